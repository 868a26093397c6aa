"""A pressed card is left alone until the press is answered: what changes it before that is lost or undone by Feishu."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

SETTLING: Final = 0.3  # seconds that the answer takes from us to Feishu, amply


class Presses:
    """Which messages are being pressed."""

    def __init__(self, settling: float = SETTLING) -> None:
        self._settling = settling
        self._open: dict[str, list[asyncio.Event]] = {}  # by message id, one for each press

    @asynccontextmanager
    async def answering(self, message_id: str) -> AsyncIterator[None]:
        """While a press on a message is answered, and a moment longer."""
        settled = asyncio.Event()
        self._open.setdefault(message_id, []).append(settled)
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(self._settling, self._close, message_id, settled)

    async def over(self, message_id: str) -> None:
        """Wait until nobody waits for the answer to a press on this message."""
        for settled in list(self._open.get(message_id, ())):
            await settled.wait()

    def _close(self, message_id: str, settled: asyncio.Event) -> None:
        settled.set()
        self._open[message_id].remove(settled)
        if not self._open[message_id]:
            del self._open[message_id]
