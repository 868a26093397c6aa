"""The pictures and files that people send to WeCom: fetched from its media hosts and nowhere else, and decrypted.

The address comes with the message and is good for five minutes. Whoever could forge one could make this server ask
its own network, so only hosts of WeCom are asked, over https, and no redirect is followed. Neither an address nor a key
is ever put into a log or an error: both together are the file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from bot.events import ChatEvent
from bot.platforms.base import BROKEN, FOREIGN, GONE, TOO_LARGE, Enclosed, Retry, Undelivered
from bot.platforms.wecom.settings import RobotMode, WecomAibot
from bot.platforms.written import line

_BLOCK = 32  # bytes to which WeCom pads; standard AES pads to 16
_SPARE = 2 * _BLOCK  # bytes by which the encrypted file may be longer
#: *.qq.com is WeCom's own. The bucket is the one its documents and its callbacks name; others at the same provider
#: belong to anybody.
_HOSTS = re.compile(
    r"(?:[a-z0-9-]+\.)+qq\.com|ww-aibot-img-1258476243\.cos\.[a-z0-9-]+\.(?:myqcloud\.com|tencentcos\.cn)"
)
_HERE = re.compile(r"127\.\d+\.\d+\.\d+|localhost|\[?::1\]?")


_AS_IT_IS = {"accept-encoding": "identity"}  # nothing that unpacks to more than was asked for


async def enclosed(
    http: httpx.AsyncClient, event: ChatEvent, kind: str, limit: int, settings: WecomAibot
) -> Enclosed | None:
    """The picture or file that a message to the robot carries or quotes; None = neither has one.

    Raises PlatformError. See bot.platforms.base.Enclosing.
    """
    found = _choose(kind, event.value.get("images", ()), event.value.get("files", ()))
    if found is None:
        return None
    key = str(found.get("key") or "")
    if not key and settings.mode is RobotMode.CALLBACK:
        key = settings.encoding_aes_key.get_secret_value()
    fetched = await fetch(http, str(found.get("url") or ""), key, limit, settings.media_hosts)
    return Enclosed(data=fetched.data, name=str(found.get("name") or "") or fetched.name)


def gone(why: str) -> Undelivered:
    """What was sent cannot be fetched any more."""
    return _refused(why, GONE)


async def fetch(http: httpx.AsyncClient, url: str, key: str, limit: int, hosts: Collection[str] = ()) -> Enclosed:
    """Fetch a file and decrypt it; an empty `key` = it is not encrypted. At most `limit` bytes are given back.

    `hosts` are allowed beside WeCom's own, as host or host:port; plain http only there, and on this machine. Raises
    Retry, and Undelivered with TOO_LARGE, GONE, FOREIGN or BROKEN.
    """
    if not allowed(url, hosts):
        host = _host(url) or "an address without a host"
        raise _refused(f"{host} is none of WeCom's media hosts (platforms.yaml, wecom.aibot.media_hosts)", FOREIGN)
    secret = aes_key(key) if key else b""
    data, name = await _read(http, url, limit + _SPARE if secret else limit)
    if secret:
        data = decrypted(data, secret)
    if len(data) > limit:
        raise _refused(f"the file has more than {limit:,} bytes", TOO_LARGE)
    return Enclosed(data=data, name=name)


def allowed(url: str, hosts: Collection[str] = ()) -> bool:
    """Whether a file may be fetched from there. Pure."""
    try:
        split = urlsplit(url)
        host, port = (split.hostname or "").lower(), split.port
    except ValueError:
        return False
    if split.username is not None or split.password is not None or re.search(r"[\s\\]", url):
        return False
    named = {host, f"{host}:{port}"} & {one.strip().lower() for one in hosts}
    if split.scheme == "http":
        return bool(named) and _HERE.fullmatch(host) is not None
    return split.scheme == "https" and (bool(named) or (_HOSTS.fullmatch(host) is not None and port in (None, 443)))


def aes_key(text: str) -> bytes:
    """The 32 bytes of a key as WeCom writes them: base64, mostly without its last `=`. Raises Undelivered."""
    bare = text.strip().rstrip("=")
    try:
        secret = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _BLOCK:
        raise _refused("the key of the file is not the base64 of 32 bytes", BROKEN)
    return secret


def decrypted(data: bytes, secret: bytes) -> bytes:
    """AES-256-CBC, its first vector the key's first half, padded to a multiple of 32. Raises Undelivered."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if not data or len(data) % 16:
        raise _refused("the file came incomplete: what is encrypted has whole blocks", BROKEN)
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).decryptor()
    plain = decryptor.update(data) + decryptor.finalize()
    pad = plain[-1]
    if not 1 <= pad <= _BLOCK or plain[-pad:] != bytes([pad]) * pad:
        raise _refused("the file is encrypted with another key: its padding is wrong", BROKEN)
    return plain[:-pad]


async def _read(http: httpx.AsyncClient, url: str, limit: int) -> tuple[bytes, str]:
    """The bytes at an address, and what the file is called there."""
    body = bytearray()
    try:
        async with http.stream("GET", url, headers=_AS_IT_IS, follow_redirects=False) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise Retry(f"WeCom's media host answered {response.status_code}")
            if response.status_code != 200:  # the answer to an address that is over is 403 with some XML
                raise _refused(f"WeCom's media host answered {response.status_code}: the address is over", GONE)
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > limit:
                    raise _refused(f"the file has more than {limit:,} bytes", TOO_LARGE)
            return bytes(body), filename(response.headers)
    except httpx.HTTPError as error:  # its text may hold the address
        raise Retry(f"WeCom's media host did not send the file: {type(error).__name__}") from None
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused(f"the address of the file is none: {type(error).__name__}", FOREIGN) from None


def filename(headers: Mapping[str, str]) -> str:
    """The name in a Content-Disposition header, to be shown and never trusted; empty without one."""
    raw = headers.get("content-disposition", "")
    try:
        raw = raw.encode("latin-1").decode("utf-8")  # servers that send UTF-8 as it is
    except ValueError:
        pass
    if encoded := re.search(r"filename\*\s*=\s*utf-8''([^;\s]+)", raw, re.IGNORECASE):
        return line(unquote(encoded[1]))
    message = Message()
    message["content-disposition"] = " ".join(raw.split())
    return line(unquote(str(message.get_filename() or "")))


def _choose(kind: str, images: Sequence[Any], files: Sequence[Any]) -> dict[str, Any] | None:
    """The first one that fits. A picture may have been sent as a file; its bytes will tell."""
    for found in (*(images if kind == "picture" else ()), *files):
        if isinstance(found, dict):
            return found
    return None


def _host(url: str) -> str:
    try:
        return line(urlsplit(url).hostname or "")[:100]
    except ValueError:
        return ""


def _refused(message: str, code: int) -> Undelivered:
    error = Undelivered(message)
    error.code = code
    return error
