"""Messages that were written while nobody was connected: fetched from the chats we know, kept like any other.

Feishu repeats an event for seven hours at most, and not at all when it believes that it was taken. The inbox keeps each
message once, so what comes twice does no harm. Replies inside a topic are not in a chat's list: those are not fetched.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from bot.events import ChatEvent
from bot.platforms.base import Retry, Undelivered
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.decode import decode, instant
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.inbound import Accept
from storage import inbox
from storage.database import Database
from storage.records import ChatType, utcnow

log = logging.getLogger("moqi.feishu")

OVERLAP: Final = timedelta(minutes=2)  # Feishu's clock and ours differ
FURTHEST: Final = timedelta(days=7)  # what is older, people have asked again
KNOWN: Final = timedelta(days=60)  # a chat that was silent for longer is not looked at
EVENTS: Final = 5000  # the newest events among which chats are looked for
CHATS: Final = 200
PAGES: Final = 20  # of one chat
PAGE: Final = 50  # messages; Feishu's limit


async def catch_up(platform: FeishuPlatform, db: Database, accept: Accept, since: datetime) -> int:
    """Keep what was written after `since` in the chats we know; how many messages were for us.

    Raises Retry when it is to be tried again, Unconfigured when the app may not read messages.
    """
    since = max(since - OVERLAP, utcnow() - FURTHEST)
    chats = await db.read(known_chats, platform.name, utcnow() - KNOWN)
    if not chats:
        return 0
    await platform.identify()
    if not platform.bot:
        raise Retry("nobody knows yet who the bot is")  # nor, therefore, which messages mention it
    found = 0
    for chat, chat_type in chats.items():
        try:
            async for item in _messages(platform.client, chat, since):
                found += await _keep(platform, item, chat_type, accept)
        except Undelivered as error:
            log.info("%s: a chat cannot be read, its missed messages stay unread: %s", platform.name, error)
    return found


def known_chats(conn: Connection, platform: str, since: datetime) -> dict[str, ChatType]:
    """The chats people wrote in after `since`, the liveliest last word first."""
    chats: dict[str, ChatType] = {}
    for event in inbox.recent(conn, platform, since, EVENTS):
        origin = event["origin"]
        told = event["kind"] in ("message", "ignored") and origin["chat_id"]  # the others do not tell the chat's type
        if told and len(chats) < CHATS:
            chats.setdefault(origin["chat_id"], ChatType(origin["chat_type"]))
    return chats


def as_envelope(item: Mapping[str, Any], chat_type: ChatType) -> dict[str, Any]:
    """An entry of the message list in the shape of the event that would have announced it."""
    sender, body = item.get("sender") or {}, item.get("body") or {}
    named = [
        {**entry, "id": {entry.get("id_type") or "open_id": entry.get("id")}}
        for entry in item.get("mentions") or []
        if isinstance(entry, dict)
    ]
    message = {
        **{name: item.get(name) for name in ("message_id", "root_id", "parent_id", "thread_id", "chat_id")},
        "create_time": str(item.get("create_time") or ""),
        "chat_type": "p2p" if chat_type is ChatType.DIRECT else "group",
        "message_type": item.get("msg_type"),
        "content": body.get("content"),
        "mentions": named,
    }
    ids = {sender.get("id_type") or "open_id": sender.get("id")}
    return {
        "schema": "2.0",
        "header": {"event_type": "im.message.receive_v1", "event_id": ""},
        "event": {"sender": {**sender, "sender_id": ids}, "message": message},
    }


def for_us(event: ChatEvent) -> bool:
    """In a group the list has everything people say there; events only come for what is said to the bot."""
    return event.mentioned or event.text.lstrip().startswith(("/", "／"))


async def _keep(platform: FeishuPlatform, item: Mapping[str, Any], chat_type: ChatType, accept: Accept) -> int:
    if item.get("deleted"):
        return 0
    event = decode(as_envelope(item, chat_type), platform.bot, utcnow(), platform.name)
    if not isinstance(event, ChatEvent) or not for_us(event):
        return 0
    await accept(event)
    return 1


async def _messages(client: FeishuClient, chat: str, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
    """The messages of a chat from `since` on, oldest first."""
    asked = {
        "container_id_type": "chat",
        "container_id": chat,
        "start_time": str(int(since.timestamp())),
        "sort_type": "ByCreateTimeAsc",
        "page_size": str(PAGE),
    }
    for _ in range(PAGES):
        answer = await client.call("GET", "/im/v1/messages", "", params=asked)
        data = answer.body.get("data")
        page = data if isinstance(data, dict) else {}
        for item in page.get("items") or []:
            if isinstance(item, dict) and (instant(item.get("create_time")) or since) >= since:
                yield item
        if not page.get("has_more") or not page.get("page_token"):
            return
        asked["page_token"] = str(page["page_token"])
    log.warning("more than %d messages were missed in one chat; the newer ones stay unread", PAGES * PAGE)
