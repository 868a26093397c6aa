"""A verified Feishu envelope as a ChatEvent: messages, button presses, recalls, what happens around chats. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot.events import ChatEvent, Ignored, Mention
from bot.platforms.feishu.contents import Content, Json, content_of, named_by, resolve
from bot.platforms.written import as_list, as_object, clean, line, plain
from storage.records import ChatType, Identity, Origin

PLATFORM = "feishu"  # the main app; further ones are feishu-<name>
_OURS = ("action", "chat", "form")  # of a button's value: what is read from elsewhere, or has its own place
NOBODY = "nobody"  # the sender of a recall: Feishu does not say who took the message back


class _NotForUs(Exception):
    """A genuine event without anything to act on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What a decoder knows besides the event."""

    event_id: str
    at: datetime  # when it happened, else when it arrived
    bot: str  # the bot's own open_id; empty while unknown
    platform: str  # feishu, or feishu-<name>


def decode(envelope: Json, bot: str, now: datetime, platform: str = PLATFORM) -> ChatEvent | Ignored:
    """Decode a v2 envelope (and acknowledge an old v1 one); `bot` is the bot's open_id, empty while unknown."""
    header, event = as_object(envelope.get("header")), as_object(envelope.get("event"))
    kind = line(header.get("event_type")) or f"v1:{line(event.get('type'))}"
    key = line(header.get("event_id") or envelope.get("uuid"))
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Ignored(event_type=kind, key=key, reason="nobody listens to this event")
    context = _Context(event_id=key, at=instant(header.get("create_time")) or now, bot=bot, platform=platform)
    try:
        return replace(decoder(event, context), tenant=_tenant(event), home=line(header.get("tenant_key")))
    except _NotForUs as why:
        return Ignored(event_type=kind, key=key, reason=str(why))


def _tenant(event: Json) -> str:
    """The organisation of whoever caused an event: in a group with outsiders it may be another one than ours."""
    found = as_object(event.get("sender")).get("tenant_key") or as_object(event.get("operator")).get("tenant_key")
    return line(found or event.get("operator_tenant_key"))


def instant(raw: object) -> datetime | None:
    """A time as Feishu writes it: seconds, milliseconds or microseconds, or a Go time; None when it is none."""
    text = str(raw).strip()
    if re.fullmatch(r"[0-9]{1,20}", text):
        seconds = float(text)
        while seconds > 1e11:  # published samples have 10, 13 and 16 digits
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    found = re.match(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)? ?(Z|[+-]\d\d:?\d\d)?", text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _message(event: Json, context: _Context) -> ChatEvent:
    sender, message = as_object(event.get("sender")), as_object(event.get("message"))
    if sender.get("sender_type") != "user":
        raise _NotForUs("not written by a person")  # two bots answering each other never stop
    key = _needed(message, "message_id")
    person = Identity(platform=context.platform, external_id=_needed(as_object(sender.get("sender_id")), "open_id"))
    direct = message.get("chat_type") == "p2p"
    content = content_of(line(message.get("message_type")), message.get("content"))
    named = [named_by(item, context.bot) for item in as_list(message.get("mentions"))]
    return ChatEvent(
        platform=context.platform,
        key=key,  # not event_id: Feishu repeats a message under another event_id
        kind="ignored" if content.ignored else "message",
        sender=person,
        sender_name="",
        origin=Origin(
            platform=context.platform,
            chat_id=_needed(message, "chat_id"),
            chat_type=ChatType.DIRECT if direct else ChatType.GROUP,
            message_id=key,
            sender=person.external_id,
            thread_id=line(message.get("thread_id")),
        ),
        at=instant(message.get("create_time")) or context.at,
        text=content.ignored or resolve(content.text, named),
        value=_enclosed(content, line(message.get("parent_id"))),
        mentions=tuple(
            Mention(identity=Identity(platform=context.platform, external_id=item.open_id), name=item.name)
            for item in named
            if item.open_id and not item.own
        ),
        mentioned=direct or any(item.own for item in named),
    )


def _action(event: Json, context: _Context) -> ChatEvent:
    place, action = as_object(event.get("context")), as_object(event.get("action"))
    value = as_object(action.get("value"))  # a text as value, which other tools make, is none of our buttons
    key = context.event_id or line(event.get("token"))
    if not key:
        raise _NotForUs("a press without an id")
    # Who pressed is the operator, never what the button's value says; anyone in the group can press.
    person = Identity(platform=context.platform, external_id=_needed(as_object(event.get("operator")), "open_id"))
    # The callback does not tell a direct chat from a group: our buttons carry it. Unknown counts as read by all.
    direct = value.get("chat") == ChatType.DIRECT.value
    return ChatEvent(
        platform=context.platform,
        key=f"press:{key}",
        kind="action",
        sender=person,
        sender_name="",
        origin=Origin(
            platform=context.platform,
            chat_id=line(place.get("open_chat_id")),
            chat_type=ChatType.DIRECT if direct else ChatType.GROUP,
            message_id=line(place.get("open_message_id")),
            sender=person.external_id,
        ),
        at=context.at,
        action=line(value.get("action")),  # empty: a button of nobody's, which is said in the toast
        value={
            **{name: plain(item) for name, item in value.items() if name not in _OURS},
            **_filled(action.get("form_value")),
        },
        mentioned=True,
    )


def _filled(form: object) -> dict[str, Any]:
    """What was filled in where the button sends a form, by the names of its fields."""
    if not isinstance(form, dict):
        return {}
    return {"form": {line(name): clean(text) for name, text in form.items() if isinstance(text, str)}}


def _recall(event: Json, context: _Context) -> ChatEvent:
    message_id = _needed(event, "message_id")
    return ChatEvent(
        platform=context.platform,
        key=f"recall:{message_id}",
        kind="recall",
        sender=Identity(platform=context.platform, external_id=NOBODY),
        sender_name="",
        origin=Origin(
            platform=context.platform,
            chat_id=line(event.get("chat_id")),
            chat_type=ChatType.GROUP,
            message_id=message_id,
            sender=NOBODY,
        ),
        at=instant(event.get("recall_time")) or context.at,
        value={"message_id": message_id},
    )


def _menu(event: Json, context: _Context) -> ChatEvent:
    """An item of the bot's menu: its key is a command, answered in the chat with whoever chose it."""
    operator = as_object(event.get("operator"))
    person = Identity(platform=context.platform, external_id=_needed(as_object(operator.get("operator_id")), "open_id"))
    if not context.event_id:
        raise _NotForUs("a choice without an id")
    return ChatEvent(
        platform=context.platform,
        key=f"menu:{context.event_id}",
        kind="message",
        sender=person,
        sender_name=line(operator.get("operator_name")),
        origin=Origin(
            platform=context.platform, chat_id="", chat_type=ChatType.DIRECT, message_id="", sender=person.external_id
        ),
        at=instant(event.get("timestamp")) or context.at,
        text=command_of(_needed(event, "event_key")),
        mentioned=True,
    )


def command_of(event_key: str) -> str:
    """The command a menu item stands for: `/quota` and `quota` alike; `draw_help` is `/help draw`."""
    if event_key.startswith(("/", "／")):
        return event_key
    topic = event_key.removesuffix("_help")
    return f"/help {topic}" if topic != event_key else f"/{event_key}"


def _chat(action: str, direct: bool = False) -> Callable[[Json, _Context], ChatEvent]:
    """The bot came into a chat or is out of it, or somebody opened theirs."""

    def decoder(event: Json, context: _Context) -> ChatEvent:
        chat_id = _needed(event, "chat_id")
        open_id = line(as_object(event.get("operator_id")).get("open_id")) or NOBODY
        if not context.event_id:
            raise _NotForUs("an event without an id")
        return ChatEvent(
            platform=context.platform,
            key=f"chat:{context.event_id}",
            kind="chat",
            sender=Identity(platform=context.platform, external_id=open_id),
            sender_name="",
            origin=Origin(
                platform=context.platform,
                chat_id=chat_id,
                chat_type=ChatType.DIRECT if direct else ChatType.GROUP,
                message_id="",
                sender=open_id,
            ),
            at=context.at,
            action=action,
            value={
                **({"name": name} if (name := line(event.get("name"))) else {}),
                **({"external": True} if event.get("external") is True else {}),
            },
        )

    return decoder


_DECODERS: Mapping[str, Callable[[Json, _Context], ChatEvent]] = {
    "im.message.receive_v1": _message,
    "im.message.recalled_v1": _recall,
    "card.action.trigger": _action,
    "application.bot.menu_v6": _menu,
    "im.chat.member.bot.added_v1": _chat("joined"),
    "im.chat.access_event.bot_p2p_chat_entered_v1": _chat("entered", direct=True),
    "im.chat.member.bot.deleted_v1": _chat("left"),
    "im.chat.disbanded_v1": _chat("disbanded"),
}


def _enclosed(content: Content, parent: str) -> dict[str, Any]:
    """What the message carries beside its words, and the message it answers."""
    found = {"images": list(content.images), "files": list(content.files), "parent": parent}
    return {name: value for name, value in found.items() if value}


def _needed(source: Json, name: str) -> str:
    value = line(source.get(name))
    if not value:
        raise _NotForUs(f"{name} is missing")
    return value
