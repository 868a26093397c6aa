"""What one of WeCom's products is to the platform that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bot.platforms.base import Outgoing
from bot.platforms.wecom.places import Place

Images = Mapping[int, bytes]  # by asset id: read when they are asked for


class Channel(Protocol):
    """One way to a chat. All errors are PlatformErrors, and what each means to the next way is in its class:

    Undelivered says that the message is provably not there, so another way may be tried; Retry may mean that it is,
    so only the same again under the same key; Elsewhere that nothing was tried (another process has the connection, or
    it is down for a moment).
    """

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Send a new message to `place`; returns its receipt, whose "message_id" its buttons come back with."""

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """Replace an earlier message by this one where WeCom can, else say it in a new one unless it only passes."""

    async def close(self) -> None: ...
