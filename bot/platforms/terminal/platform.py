"""The terminal's outbound side. Whoever typed the command waits for the job's row and prints it (bot/cli), also when
another process does the work; so there is nothing to push, and confirming is all there is to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.platforms.base import Outgoing


class TerminalPlatform:
    """ChatPlatform for work ordered on the command line."""

    name = "terminal"
    progress_interval = 0.0

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        return {"message_id": message.key}

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        return dict(receipt)

    async def close(self) -> None:
        """Nothing is open."""
