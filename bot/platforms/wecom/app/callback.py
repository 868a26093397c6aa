"""The gate of the app's callbacks: an address and bytes in, what WeCom proved to have sent out. Raises WireErrors.

It needs wechatpy, whose import takes its time: call `wechat.load` in a thread first.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

from bot.platforms.wecom.app import wechat
from bot.platforms.wecom.app.decode import instant
from bot.platforms.wecom.settings import WecomApp
from bot.platforms.wire import Forged, Malformed, Stale, TooLarge

MAX_BODY: Final = 1_000_000  # bytes
WINDOW: Final = timedelta(minutes=10)  # WeCom repeats within seconds; the rest is for clocks that differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """The console asks whether we are there; the text goes back as it is, and nothing else."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message or an event: its elements by name."""

    fields: dict[str, Any]


def verify(query: bytes, settings: WecomApp, now: datetime) -> Echo:
    """What GET, the verification of the address, is to be answered with. Raises WireError."""
    named = parameters(query)
    sealed = named.get("echostr", "")
    _check(named, sealed, settings, now)
    return Echo(text=_open(sealed, settings))


def receive(query: bytes, body: bytes, settings: WecomApp, now: datetime) -> Message:
    """What POST brings. Raises WireError."""
    if len(body) > MAX_BODY:
        raise TooLarge(f"{len(body)} bytes")
    try:
        sealed = wechat.sealed(body)
    except wechat.Unreadable as error:
        raise Malformed(f"no XML with an Encrypt: {error}") from error
    _check(parameters(query), sealed, settings, now)
    xml = _open(sealed, settings)
    try:
        return Message(fields=wechat.fields(xml))
    except wechat.Unreadable as error:
        raise Malformed(f"genuine, but no message: {error}") from error


def parameters(query: bytes) -> dict[str, str]:
    """The first value of each parameter, decoded once; a + stays one: it is a letter of base64, and no space."""
    found: dict[str, str] = {}
    for part in query.decode("ascii", "replace").split("&"):
        name, _, value = part.partition("=")
        found.setdefault(unquote(name), unquote(value))
    return found


def _check(named: dict[str, str], sealed: str, settings: WecomApp, now: datetime) -> None:
    """Raises Forged or Stale. Nothing inside is looked at before."""
    stamp = named.get("timestamp", "")
    if not sealed:
        raise Malformed("nothing encrypted in it")
    expected = wechat.signature(settings.token.get_secret_value(), stamp, named.get("nonce", ""), sealed)
    # Not wechatpy's own comparison: that takes longer the more of it is right.
    if not hmac.compare_digest(expected.encode(), named.get("msg_signature", "").encode("utf-8", "replace")):
        raise Forged("the signature is missing or wrong: is wecom.app.token the app's Token (接收消息 > Token)?")
    sent = instant(stamp)
    if sent is None or not -WINDOW <= now - sent <= WINDOW:
        raise Stale(f"stamped {stamp[:20]!r}, more than {WINDOW} from now: check this machine's clock")


def _open(sealed: str, settings: WecomApp) -> str:
    key = base64.b64decode(f"{settings.encoding_aes_key.get_secret_value()}=")
    try:
        return wechat.decrypt(sealed, key, settings.corp_id)
    except wechat.Unreadable as error:
        raise Forged(
            f"signed, but not made with wecom.app.encoding_aes_key for wecom.app.corp_id ({error}): compare both"
        ) from error
