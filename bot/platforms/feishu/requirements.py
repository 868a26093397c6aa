"""What a Feishu app needs in the developer console: scopes, events, callbacks, and where each is added. Pure.

One list for everybody: `moqi doctor` compares it with what the app has, `moqi feishu scopes` prints it for the
console's batch import. Nothing is asked for that no call of ours needs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

SCOPES_PAGE: Final = "Permissions & Scopes (权限管理)"
EVENTS_PAGE: Final = "Events & Callbacks (事件与回调) > Event Configuration (事件配置) > Add Events (添加事件)"
CALLBACKS_PAGE: Final = "Events & Callbacks (事件与回调) > Callback Configuration (回调配置) > Add callback (添加回调)"
BOT_PAGE: Final = "Add Features (添加应用能力) > Bot (机器人)"
RELEASE_PAGE: Final = "Version Management & Release (版本管理与发布) > Create a version (创建版本)"
REDIRECT_PAGE: Final = "Security Settings (安全设置) > Redirect URLs (重定向 URL)"
RANGE_PAGE: Final = "Permissions & Scopes (权限管理) > Data permissions (数据权限) > Contacts (通讯录)"
RELEASE: Final = f"Then publish a version, nothing changes before: {RELEASE_PAGE}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One thing to add in the console."""

    name: str  # exactly as the console calls it
    why: str
    vital: bool = False  # without it the bot cannot be talked to
    instead: tuple[str, ...] = ()  # wider ones that include it


SCOPES: Final = (
    Need(
        name="im:message:send_as_bot",
        why="answer, in messages and cards",
        vital=True,
        instead=("im:message", "im:message:send"),
    ),
    Need(name="im:message.p2p_msg:readonly", why="receive what people write to the bot directly", vital=True),
    Need(
        name="im:message.group_at_msg:readonly",
        why="receive what people write in groups when they mention the bot",
        vital=True,
        instead=("im:message.group_msg",),
    ),
    Need(name="im:resource", why="show pictures, and fetch those that people send", vital=True),
    Need(
        name="im:message:readonly",
        why="read the message that is answered to, and what was written while Moqi was away",
        instead=("im:message", "im:message.history:readonly"),
    ),
    Need(name="cardkit:card:write", why="answers that type along"),
    Need(
        name="im:chat.members:bot_access",
        why="notice that the bot was added to a group or removed from it",
        instead=("im:chat", "im:chat:readonly"),
    ),
    Need(
        name="im:chat:readonly",
        why="see whether people of other organisations are in a group",
        instead=("im:chat", "im:chat:read"),
    ),
    Need(name="im:chat.access_event.bot_p2p_chat:read", why="greet who opens the chat for the first time"),
    Need(
        name="contact:contact.base:readonly",
        why="look people up",
        instead=("contact:contact:readonly_as_app", "contact:contact:access_as_app"),
    ),
    Need(
        name="contact:user.base:readonly",
        why="call people by their names",
        instead=("contact:contact:readonly_as_app",),
    ),
    Need(
        name="contact:user.department:readonly",
        why="quotas and documents by department",
        instead=("contact:contact:readonly_as_app",),
    ),
    Need(
        name="contact:department.base:readonly",
        why="the names of departments",
        instead=("contact:contact:readonly_as_app",),
    ),
    Need(
        name="contact:department.organize:readonly",
        why="documents for a department reach those below it",
        instead=("contact:contact:readonly_as_app",),
    ),
    Need(name="tenant:tenant:readonly", why="tell our own people from those of other organisations"),
    Need(
        name="application:application:self_manage",
        why="let moqi doctor see events, callbacks and versions",
        instead=("admin:app.info:readonly",),
    ),
)

#: For the knowledge base out of Feishu's wiki only.
WIKI_SCOPES: Final = (
    Need(name="wiki:wiki:readonly", why="list the pages of a space", instead=("wiki:wiki",)),
    Need(name="docx:document:readonly", why="read documents", instead=("docx:document",)),
    Need(name="docs:document.content:read", why="read documents as Markdown"),
    Need(name="drive:drive.metadata:readonly", why="notice at once which pages were locked", instead=("drive:drive",)),
    Need(name="drive:file:readonly", why="read files in the wiki", instead=("drive:drive", "drive:drive:readonly")),
)

EVENTS: Final = (
    Need(name="im.message.receive_v1", why="messages to the bot", vital=True),
    Need(name="im.message.recalled_v1", why="a message taken back cancels what it ordered"),
    Need(name="im.chat.member.bot.added_v1", why="greet a group"),
    Need(name="im.chat.member.bot.deleted_v1", why="stop what is planned in a group it left, and tell whose it was"),
    Need(name="im.chat.disbanded_v1", why="the same for a group that is dissolved"),
    Need(name="im.chat.access_event.bot_p2p_chat_entered_v1", why="greet who opens the chat for the first time"),
    Need(name="application.bot.menu_v6", why="the menu below the input of the chat"),
)

CALLBACKS: Final = (Need(name="card.action.trigger", why="the buttons of cards", vital=True),)


def lacking(needs: Iterable[Need], have: Collection[str]) -> tuple[Need, ...]:
    """Those that are not there, in no wider form either."""
    return tuple(need for need in needs if need.name not in have and not any(one in have for one in need.instead))


def import_json(needs: Iterable[Need]) -> str:
    """Scopes as the console's batch import (批量导入) takes them."""
    return json.dumps({"scopes": {"tenant": [need.name for need in needs], "user": []}}, indent=2)


def scopes_link(domain: str, app_id: str, needs: Iterable[Need]) -> str:
    """The console's page with these scopes already looked up: one button grants them."""
    names = ",".join(need.name for need in needs)
    return (
        f"{domain}/app/{app_id}/auth?{urlencode({'q': names, 'op_from': 'openapi', 'token_type': 'tenant'}, safe=':,')}"
    )


def listed(needs: Iterable[Need]) -> str:
    """One line each: the exact name, and what it is for."""
    return "\n".join(f"  {need.name} — {need.why}" for need in needs)
