"""The seal of the robot's callbacks: signature, freshness, wechatpy's cipher, or a WireError. No I/O, no clock.

wechatpy compares signatures at whatever speed, looks at no time and reads neither WeCom's JSON nor answers in it
(it knows apps, not robots): of it there is the cipher alone. Importing it takes a tenth of a second, on a busy machine
more than the second in which an address has to prove itself: a thread does it, from the start on.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import hmac
import json
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from bot.platforms.wire import Forged, Malformed, Stale, TooLarge

MAX_BODY: Final = 1_000_000  # bytes
WINDOW: Final = timedelta(minutes=10)  # between WeCom's clock and ours, either way; it repeats within seconds

Query = Mapping[str, str]


class _Cipher(Protocol):
    def encrypt(self, text: str, receive_id: str) -> bytes: ...

    def decrypt(self, text: str, receive_id: str) -> str: ...


class Seal:
    """What we share with WeCom about one robot. A robot of our own organisation has the receive id ""."""

    def __init__(self, token: str, aes_key: str, receive_id: str = "") -> None:
        """`aes_key`: the EncodingAESKey, 43 characters."""
        self._token = token
        self._aes_key = aes_key
        self._receive_id = receive_id
        self._cipher: _Cipher | None = None

    def load(self) -> None:
        """Begin to load what opens and closes the seal; nobody waits for that."""
        Thread(target=_cipher, args=(self._aes_key,), name="wecom cipher", daemon=True).start()

    async def ready(self) -> None:
        """Wait until the seal can be opened and closed."""
        if self._cipher is None:
            self._cipher = await asyncio.to_thread(_cipher, self._aes_key)

    def open(self, query: Query, sealed: str, now: datetime) -> str:
        """The text in `sealed`, which came with `query`. Raises WireError; `ready` comes first."""
        assert self._cipher is not None, "ready() comes first"
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        given = query.get("msg_signature", "").lower().encode()
        if not hmac.compare_digest(self._signature(timestamp, nonce, sealed).encode(), given):
            raise Forged("the signature is missing or wrong: is wecom.aibot.token the robot's Token?")
        _check_fresh(timestamp, now)
        from wechatpy.exceptions import InvalidAppIdException

        try:
            return self._cipher.decrypt(sealed, self._receive_id)
        except InvalidAppIdException as error:
            raise Forged("it was sealed for another receive id: is this a robot of your own organisation?") from error
        except (ValueError, IndexError, TypeError, struct.error, binascii.Error):
            # From None: such an error shows what was being read.
            raise Forged("it does not decrypt: is wecom.aibot.encoding_aes_key the robot's EncodingAESKey?") from None

    def close(self, text: str, nonce: str, now: datetime) -> dict[str, Any]:
        """`text` as WeCom takes it for an answer to the callback that came with `nonce`."""
        assert self._cipher is not None, "ready() comes first"
        sealed, timestamp = self._cipher.encrypt(text, self._receive_id).decode(), int(now.timestamp())
        signature = self._signature(str(timestamp), nonce, sealed)
        return {"encrypt": sealed, "msgsignature": signature, "timestamp": timestamp, "nonce": nonce}

    def _signature(self, timestamp: str, nonce: str, sealed: str) -> str:
        parts = sorted((self._token, timestamp, nonce, sealed))
        return hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()  # as WeCom wants it


def read_query(raw: bytes) -> dict[str, str]:
    """The query of a callback as it was sent. A + stays one: base64 has no blanks. Raises Malformed."""
    found = {}
    for part in raw.split(b"&") if raw else ():
        name, _, value = part.partition(b"=")
        try:
            found[unquote_to_bytes(name).decode()] = unquote_to_bytes(value).decode()
        except UnicodeDecodeError as error:
            raise Malformed("the query is not UTF-8") from error
    return found


def read_body(raw: bytes) -> str:
    """What is sealed in a callback's body. Raises Malformed or TooLarge."""
    if len(raw) > MAX_BODY:
        raise TooLarge(f"{len(raw)} bytes")
    sealed = read_object(raw).get("encrypt")
    if not isinstance(sealed, str) or not sealed:
        raise Malformed("the body has no field encrypt")
    return sealed


def read_object(raw: bytes | str) -> dict[str, Any]:
    """A JSON object. WeCom leaves control characters in what people write. Raises Malformed."""
    try:
        found = json.loads(raw, strict=False)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    if not isinstance(found, dict):
        raise Malformed("it is no JSON object")
    return found


def _check_fresh(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Malformed("the timestamp is no number of seconds")
    apart = abs(now.timestamp() - int(timestamp))
    if apart > WINDOW.total_seconds():
        raise Stale(f"it was signed {apart:.0f} s from now")


def _cipher(aes_key: str) -> _Cipher:
    from base64 import b64decode

    from wechatpy.crypto import PrpCrypto

    cipher: _Cipher = PrpCrypto(b64decode(f"{aes_key}="))
    return cipher
