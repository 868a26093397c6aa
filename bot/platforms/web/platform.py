"""The web chat's outbound side: a message is a row, and the open pages hear of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from bot.platforms.base import Outgoing, Undelivered
from bot.platforms.web import wire
from bot.platforms.web.feed import Feed
from storage import messages
from storage.database import Database
from storage.messages import Message
from storage.records import utcnow


class WebPlatform:
    """ChatPlatform over the `messages` table. Pictures stay where they are: the page fetches them by asset id."""

    name = wire.PLATFORM
    progress_interval = 0.0

    def __init__(self, db: Database, feed: Feed, now: Callable[[], datetime] = utcnow) -> None:
        self._db = db
        self._feed = feed
        self._now = now

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        user_id = _user_id(message)
        try:
            kept, _ = await self._db.run(
                messages.add,
                key=wire.bot_key(message.key),
                user_id=user_id,
                author="bot",
                body=message.reply.to_json(),
                now=self._now(),
            )
        except IntegrityError as error:
            raise Undelivered(f"nobody has the id {user_id}") from error
        return self._tell(kept)

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        changed = await self._db.run(messages.change, int(receipt["message_id"]), message.reply.to_json(), self._now())
        if changed is None:
            raise Undelivered(f"message {receipt['message_id']} is gone")
        return self._tell(changed)

    async def close(self) -> None:
        self._feed.close()

    def _tell(self, message: Message) -> dict[str, Any]:
        self._feed.message(message.user_id, wire.message_json(message))
        return {"message_id": str(message.id)}


def _user_id(message: Outgoing) -> int:
    try:
        return int(message.origin.chat_id)
    except ValueError as error:
        raise Undelivered(f"{message.origin.chat_id!r} is no chat of the web") from error
