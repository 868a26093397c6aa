"""The gate of Feishu's webhook: headers and bytes in, a verified event out, or a WireError. No I/O, no clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.events import ChatEvent, Ignored
from bot.platforms.feishu.decode import PLATFORM, decode, instant
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.wire import Forged, Malformed, Stale, TooLarge

MAX_BODY = 1_000_000  # bytes
# Feishu repeats an event after 15 s, 5 min, 1 h and 6 h: the last push comes 7 h 5 min after the first, and nothing
# says whether a repetition is stamped anew. Within the window a replay changes nothing: the inbox keeps each key once.
WINDOW = timedelta(hours=8)
CLOCK_ERROR = timedelta(minutes=10)  # how far our clock may be behind Feishu's

Toast = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """The console asks whether we are there; the text goes back as it came."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something somebody did."""

    event: ChatEvent


Received = Challenge | Event | Ignored


def receive(
    headers: Mapping[str, str],
    body: bytes,
    settings: FeishuSettings,
    now: datetime,
    bot: str = "",
    platform: str = PLATFORM,
) -> Received:
    """Verify, decrypt and decode one request; `bot` is the bot's own open_id, empty while unknown.

    Raises Forged, Stale, Malformed or TooLarge, each with its HTTP `status`.
    """
    if len(body) > MAX_BODY:
        raise TooLarge(f"{len(body)} bytes")
    names = {name.lower(): value for name, value in headers.items()}  # servers and proxies change the case
    key = settings.encrypt_key.get_secret_value()
    if not key:  # the long connection needs none, but then nothing proves who posts
        raise Forged("feishu.encrypt_key is empty: no request can be believed")
    signed = _signed(names, body, key)
    envelope = _envelope(_sealed(body), key, signed)
    header = _mapping(envelope.get("header"))
    _check_token(header.get("token") or envelope.get("token"), settings)
    if envelope.get("type") == "url_verification":
        # The one request Feishu does not sign; that it decrypts and carries our token is its proof.
        return Challenge(text=str(envelope.get("challenge", "")))
    if not signed:
        raise Forged("the signature is missing or wrong: is feishu.encrypt_key the app's Encrypt Key?")
    _check_fresh(instant(names.get("x-lark-request-timestamp")) or instant(header.get("create_time")), now)
    if header and header.get("app_id") != settings.app_id:
        raise Forged(f"the event is for app {header.get('app_id')!r}, feishu.app_id is {settings.app_id!r}")
    return _decoded(envelope, bot, now, platform)


def unwrap(payload: bytes, settings: FeishuSettings, now: datetime, bot: str, platform: str) -> Received:
    """Decode what came over the long connection: plain JSON, proved by the connection itself. Raises WireError."""
    envelope = _load(payload)
    header = _mapping(envelope.get("header"))
    if header and header.get("app_id") != settings.app_id:
        raise Forged(f"the event is for app {header.get('app_id')!r}, feishu.app_id is {settings.app_id!r}")
    return _decoded(envelope, bot, now, platform)


def _decoded(envelope: Mapping[str, Any], bot: str, now: datetime, platform: str) -> Event | Ignored:
    decoded = decode(envelope, bot, now, platform)
    return decoded if isinstance(decoded, Ignored) else Event(event=decoded)


def signature(timestamp: str, nonce: str, encrypt_key: str, body: bytes) -> str:
    """What X-Lark-Signature must say, over the bytes as they came."""
    return hashlib.sha256(f"{timestamp}{nonce}{encrypt_key}".encode() + body).hexdigest()


def decrypt(sealed: str, encrypt_key: str) -> bytes:
    """Undo Feishu's AES-256-CBC; raises Forged when it was not made with this key."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    try:
        blob = base64.b64decode(sealed, validate=True)
    except ValueError as error:
        raise Malformed("encrypt is not base64") from error
    if len(blob) < 32 or len(blob) % 16:
        raise Malformed("encrypt is cut short")
    key = hashlib.sha256(encrypt_key.encode()).digest()
    decryptor = Cipher(algorithms.AES(key), modes.CBC(blob[:16])).decryptor()
    padded = decryptor.update(blob[16:]) + decryptor.finalize()
    padding = padded[-1]
    if not 1 <= padding <= 16 or padded[-padding:] != bytes([padding]) * padding:
        raise Forged("encrypt was not made with feishu.encrypt_key")
    return padded[:-padding]


def answer_toast(kind: str, text: str, card: Mapping[str, Any] | None = None) -> Toast:
    """The answer to a button press: a short notice (info, success, warning, error), and the card it becomes."""
    answer: Toast = {"toast": {"type": kind, "content": text}} if text else {}
    if card is not None:
        answer["card"] = {"type": "raw", "data": dict(card)}
    return answer


def _signed(names: Mapping[str, str], body: bytes, encrypt_key: str) -> bool:
    claimed = names.get("x-lark-signature", "")
    timestamp, nonce = names.get("x-lark-request-timestamp", ""), names.get("x-lark-request-nonce", "")
    expected = signature(timestamp, nonce, encrypt_key, body)
    return hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "replace"))


def _sealed(body: bytes) -> str:
    sealed = _load(body).get("encrypt")
    if not isinstance(sealed, str):
        # Also a plaintext challenge: with an Encrypt Key in the console everything comes encrypted.
        raise Forged("not encrypted: set the Encrypt Key of feishu.encrypt_key in the console")
    return sealed


def _envelope(sealed: str, encrypt_key: str, signed: bool) -> dict[str, Any]:
    plain = decrypt(sealed, encrypt_key)
    try:
        return _load(plain)
    except Malformed as error:
        if signed:
            raise
        # To a stranger, wrong padding and wrong contents look alike: a difference would let them read by guessing.
        raise Forged("encrypt was not made with feishu.encrypt_key") from error


def _load(raw: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON, or cut short") from error
    if not isinstance(loaded, dict):
        raise Malformed("not a JSON object")
    return loaded


def _check_token(claimed: object, settings: FeishuSettings) -> None:
    expected = settings.verification_token.get_secret_value().encode()
    if not isinstance(claimed, str) or not hmac.compare_digest(expected, claimed.encode("utf-8", "replace")):
        raise Forged("the verification token is another one: compare feishu.verification_token")


def _check_fresh(stamped: datetime | None, now: datetime) -> None:
    if stamped is None:
        raise Stale("it does not say when it was sent")
    if not -CLOCK_ERROR <= now - stamped <= WINDOW:
        raise Stale(f"stamped {stamped:%Y-%m-%d %H:%M:%S}Z, more than {WINDOW} old or from the future: check the clock")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
