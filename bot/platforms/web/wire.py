"""The web chat's formats. Pure: browser JSON to ChatEvent, rows to JSON, server-sent events to text.

Every key carries the person's id in front: a browser chooses its ids freely and must not meet another's.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.events import ChatEvent
from bot.platforms.web.feed import News
from storage.messages import Message
from storage.records import ChatType, Identity, Origin

PLATFORM = "web"
NAME_LIMIT = 32  # characters of a chosen name
ID_PATTERN = re.compile(r"[0-9A-Za-z_-]{8,64}")  # what a browser makes: a UUID


def chosen_name(text: str) -> str | None:
    """The name as it is kept (NFKC, outer space removed), or None when it is not one.

    NFKC makes full-width and half-width spellings one name; invisible characters are refused because
    two people could otherwise look the same.
    """
    name = unicodedata.normalize("NFKC", text).strip()
    return name if 1 <= len(name) <= NAME_LIMIT and name.isprintable() else None


def own_key(user_id: int, browser_id: str) -> str:
    """The unique key of something a browser sent."""
    return f"{user_id}:{browser_id}"


def bot_key(delivery_key: str) -> str:
    """The unique key of an answer; never equal to an `own_key`."""
    return f"bot:{delivery_key}"


def message_event(*, user_id: int, name: str, browser_id: str, text: str, at: datetime, picture: str = "") -> ChatEvent:
    """What somebody wrote, and the picture they attached."""
    return ChatEvent(
        platform=PLATFORM,
        key=own_key(user_id, browser_id),
        kind="message",
        sender=Identity(platform=PLATFORM, external_id=name),
        sender_name=name,
        origin=_origin(user_id, name, browser_id),
        at=at,
        text=text,
        value={"picture": picture} if picture else {},
        mentioned=True,
    )


def action_event(
    *,
    user_id: int,
    name: str,
    browser_id: str,
    action: str,
    value: dict[str, int],
    message: int | None,
    at: datetime,
    form: Mapping[str, str] | None = None,
) -> ChatEvent:
    """A button somebody pressed under message `message` (None: in the gallery), perhaps with the form it sends."""
    return ChatEvent(
        platform=PLATFORM,
        key=own_key(user_id, browser_id),
        kind="action",
        sender=Identity(platform=PLATFORM, external_id=name),
        sender_name=name,
        origin=_origin(user_id, name, "" if message is None else str(message)),
        at=at,
        action=action,
        value={**value, "form": dict(form)} if form else dict(value),
        mentioned=True,
    )


def message_json(message: Message) -> dict[str, Any]:
    """A message as the page reads it. `client` is the browser's own id, so that its first sketch is replaced."""
    return {
        "id": message.id,
        "client": message.key.partition(":")[2] if message.author == "user" else None,
        "author": message.author,
        "body": message.body,
        "at": message.created_at.isoformat(),
        "version": message.updated_at.isoformat(timespec="microseconds"),
    }


def server_sent(news: News) -> str:
    """One event of the stream. JSON keeps the data on one line, whatever it contains."""
    data = json.dumps(news.data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {news.event}\ndata: {data}\n\n"


def _origin(user_id: int, name: str, message_id: str) -> Origin:
    return Origin(
        platform=PLATFORM, chat_id=str(user_id), chat_type=ChatType.DIRECT, message_id=message_id, sender=name
    )
