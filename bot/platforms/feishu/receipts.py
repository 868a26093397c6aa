"""What sending a message has achieved so far, and the key under which Feishu knows it at every try."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from bot.platforms.base import PROBLEM, PlatformError
from storage.records import Origin

MAX_IMAGE_BYTES: Final = 10_000_000  # Feishu takes 10 MB
_KEPT: Final = ("card_id", "since", "images", "parts")  # of a receipt, when a later step fails


class Keeping:
    """Puts what was achieved into a PlatformError that leaves the block: it is not done a second time."""

    def __init__(self, receipt: dict[str, Any]) -> None:
        self._receipt = receipt

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PlatformError):
            error.receipt = {name: self._receipt[name] for name in _KEPT if name in self._receipt}


def joined(*receipts: Mapping[str, Any]) -> dict[str, Any]:
    """One receipt of several, later ones winning, with all their image keys; the originals stay as they are."""
    whole = {name: value for receipt in receipts for name, value in receipt.items() if name != PROBLEM}
    images = {asset: key for receipt in receipts for asset, key in receipt.get("images", {}).items()}
    parts = {"parts": dict(receipts[0]["parts"])} if "parts" in receipts[0] else {}  # of this message, not of the other
    return {**whole, "images": images, **parts}


async def within_limit(data: bytes) -> bytes:
    """The picture as Feishu takes it: as it is, or made smaller."""
    if len(data) <= MAX_IMAGE_BYTES:
        return data
    from inference.images.finish import to_chat_jpeg

    return await asyncio.to_thread(to_chat_jpeg, data, MAX_IMAGE_BYTES)


def uuid_of(key: str, origin: Origin) -> str:
    """The idempotency key as Feishu takes it: at most 50 characters, the same at every try.

    Our keys count from 1 in every new data folder, and Feishu remembers an hour: without the message that is answered,
    a fresh installation would repeat the keys of the one before and its first answers would be swallowed.
    """
    whole = "/".join((key, origin.chat_id, origin.message_id, origin.sender))
    return f"{key[:33]}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
