"""A verified Feishu envelope as a ChatEvent: message contents, mentions, button presses, recalls. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot.events import ChatEvent, Mention
from storage.records import ChatType, Identity, Origin

PLATFORM = "feishu"  # the main app; further ones are feishu-<name>
_OURS = ("action", "chat", "form")  # of a button's value: what is read from elsewhere, or has its own place
NOBODY = "nobody"  # the sender of a recall: Feishu does not say who took the message back

_PLACEHOLDER = re.compile(r"@_user_[0-9]+")
_OWN = "\ue000"  # stands where the bot's own mention stood, until the spaces around it are joined
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " ")
# Invisible marks that break a command word. The joiners U+200C/D stay: they hold emoji and scripts together.
_INVISIBLE = dict.fromkeys([0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_CONTROLS = dict.fromkeys([*(c for c in range(32) if c not in (9, 10)), *range(127, 160), ord(_OWN)])
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # half a character from JSON: no database takes it
_TABLE = {**_SPACES, **_INVISIBLE, **_CONTROLS, **_SURROGATES}

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A genuine event that is acknowledged and then forgotten."""

    event_type: str
    key: str  # event_id
    reason: str


class _NotForUs(Exception):
    """A genuine event without anything to act on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What a decoder knows besides the event."""

    event_id: str
    at: datetime  # when it happened, else when it arrived
    bot: str  # the bot's own open_id; empty while unknown
    platform: str  # feishu, or feishu-<name>


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """One entry of `mentions`."""

    placeholder: str
    open_id: str
    name: str
    own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Content:
    """What a message says, or why it says nothing to us."""

    text: str = ""
    images: tuple[str, ...] = ()
    files: tuple[dict[str, str], ...] = ()  # {"key", "name"}
    ignored: str = ""


def decode(envelope: Json, bot: str, now: datetime, platform: str = PLATFORM) -> ChatEvent | Ignored:
    """Decode a v2 envelope (and acknowledge an old v1 one); `bot` is the bot's open_id, empty while unknown."""
    header, event = _object(envelope.get("header")), _object(envelope.get("event"))
    kind = _line(header.get("event_type")) or f"v1:{_line(event.get('type'))}"
    key = _line(header.get("event_id") or envelope.get("uuid"))
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Ignored(event_type=kind, key=key, reason="nobody listens to this event")
    context = _Context(event_id=key, at=instant(header.get("create_time")) or now, bot=bot, platform=platform)
    try:
        return replace(decoder(event, context), tenant=_tenant(event), home=_line(header.get("tenant_key")))
    except _NotForUs as why:
        return Ignored(event_type=kind, key=key, reason=str(why))


def _tenant(event: Json) -> str:
    """The organisation of whoever caused an event: in a group with outsiders it may be another one than ours."""
    found = _object(event.get("sender")).get("tenant_key") or _object(event.get("operator")).get("tenant_key")
    return _line(found or event.get("operator_tenant_key"))


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
    sender, message = _object(event.get("sender")), _object(event.get("message"))
    if sender.get("sender_type") != "user":
        raise _NotForUs("not written by a person")  # two bots answering each other never stop
    key = _needed(message, "message_id")
    person = Identity(platform=context.platform, external_id=_needed(_object(sender.get("sender_id")), "open_id"))
    direct = message.get("chat_type") == "p2p"
    content = _content(_line(message.get("message_type")), message.get("content"))
    named = [_named(item, context.bot) for item in _list(message.get("mentions"))]
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
            thread_id=_line(message.get("thread_id")),
        ),
        at=instant(message.get("create_time")) or context.at,
        text=content.ignored or _resolve(content.text, named),
        value=_enclosed(content, _line(message.get("parent_id"))),
        mentions=tuple(
            Mention(identity=Identity(platform=context.platform, external_id=item.open_id), name=item.name)
            for item in named
            if item.open_id and not item.own
        ),
        mentioned=direct or any(item.own for item in named),
    )


def _action(event: Json, context: _Context) -> ChatEvent:
    place, action = _object(event.get("context")), _object(event.get("action"))
    value = _object(action.get("value"))  # a text as value, which other tools make, is none of our buttons
    key = context.event_id or _line(event.get("token"))
    if not key:
        raise _NotForUs("a press without an id")
    # Who pressed is the operator, never what the button's value says; anyone in the group can press.
    person = Identity(platform=context.platform, external_id=_needed(_object(event.get("operator")), "open_id"))
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
            chat_id=_line(place.get("open_chat_id")),
            chat_type=ChatType.DIRECT if direct else ChatType.GROUP,
            message_id=_line(place.get("open_message_id")),
            sender=person.external_id,
        ),
        at=context.at,
        action=_line(value.get("action")),  # empty: a button of nobody's, which is said in the toast
        value={
            **{name: _plain(item) for name, item in value.items() if name not in _OURS},
            **_filled(action.get("form_value")),
        },
        mentioned=True,
    )


def _filled(form: object) -> dict[str, Any]:
    """What was filled in where the button sends a form, by the names of its fields."""
    if not isinstance(form, dict):
        return {}
    return {"form": {_line(name): _clean(text) for name, text in form.items() if isinstance(text, str)}}


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
            chat_id=_line(event.get("chat_id")),
            chat_type=ChatType.GROUP,
            message_id=message_id,
            sender=NOBODY,
        ),
        at=instant(event.get("recall_time")) or context.at,
        value={"message_id": message_id},
    )


def _menu(event: Json, context: _Context) -> ChatEvent:
    """An item of the bot's menu: its key is a command, answered in the chat with whoever chose it."""
    operator = _object(event.get("operator"))
    person = Identity(platform=context.platform, external_id=_needed(_object(operator.get("operator_id")), "open_id"))
    if not context.event_id:
        raise _NotForUs("a choice without an id")
    return ChatEvent(
        platform=context.platform,
        key=f"menu:{context.event_id}",
        kind="message",
        sender=person,
        sender_name=_line(operator.get("operator_name")),
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
        open_id = _line(_object(event.get("operator_id")).get("open_id")) or NOBODY
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
                **({"name": name} if (name := _line(event.get("name"))) else {}),
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


def enclosures(kind: str, raw: object) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    """The keys of the pictures and the files of any message, by its type and content."""
    found = _content(kind, raw)
    return found.images, found.files


def _enclosed(content: _Content, parent: str) -> dict[str, Any]:
    """What the message carries beside its words, and the message it answers."""
    found = {"images": list(content.images), "files": list(content.files), "parent": parent}
    return {name: value for name, value in found.items() if value}


def _content(kind: str, raw: object) -> _Content:
    """The content of a message, which is JSON inside a JSON string."""
    if kind not in ("text", "post", "image", "file"):
        return _Content(ignored=f"message type {kind or 'missing'}")
    try:
        content = json.loads(raw if isinstance(raw, str) else "")
    except (ValueError, RecursionError):
        return _Content(ignored="content is not JSON")
    if not isinstance(content, dict):
        return _Content(ignored="content is not an object")
    if kind == "text":
        return _Content(text=_clean(content.get("text")))
    if kind == "image":
        key = _line(content.get("image_key"))
        return _Content(images=(key,) if key else (), ignored="message type image")
    if kind == "file":
        given = {"key": _line(content.get("file_key")), "name": _line(content.get("file_name"))}
        return _Content(files=(given,) if given["key"] else (), ignored="message type file")
    return _post(content)


def _post(content: Json) -> _Content:
    """Formatted text as plain text, paragraph by paragraph; its pictures by their keys."""
    if "content" not in content:  # as sent by bots: one version per language
        content = next((item for item in content.values() if isinstance(item, dict)), {})
    paragraphs = [[_object(run) for run in _list(paragraph)] for paragraph in _list(content.get("content"))]
    lines = [_clean(content.get("title")), *("".join(map(_run, paragraph)) for paragraph in paragraphs)]
    images = tuple(_line(run.get("image_key")) for paragraph in paragraphs for run in paragraph if run.get("image_key"))
    text = "\n".join(line for line in lines if line.strip())
    if not text and images:
        return _Content(images=images, ignored="message type post, pictures only")
    return _Content(text=text, images=images)


def _run(run: Json) -> str:
    """One piece of a paragraph. Pictures, rules and tags we do not know say nothing."""
    if run.get("tag") == "at":
        user = _line(run.get("user_id"))
        if user in ("all", "@_all"):
            return "@_all"
        return user if _PLACEHOLDER.fullmatch(user) else f"@{_line(run.get('user_name'))}"
    if run.get("tag") == "emotion":
        return f"[{_line(run.get('emoji_type'))}]"
    return _clean(run.get("text"))


def _named(item: object, bot: str) -> _Named:
    entry = _object(item)
    open_id = _line(_object(entry.get("id")).get("open_id"))
    # By id, never by name. Until our own id is known, a mentioned bot is taken for us: only then do events arrive.
    own = open_id == bot if bot else entry.get("mentioned_type") == "bot"
    return _Named(placeholder=_line(entry.get("key")), open_id=open_id, name=_line(entry.get("name")), own=own)


def _resolve(text: str, named: list[_Named]) -> str:
    """Write names for placeholders and take the bot's own mention out."""
    words = {item.placeholder: _OWN if item.own else f"@{item.name}" for item in named}
    words["@_all"] = "@all"  # may have no entry of its own
    longest_first = sorted(filter(None, words), key=len, reverse=True)  # @_user_1 is a prefix of @_user_10
    text = re.sub("|".join(map(re.escape, longest_first)), lambda found: words[found[0]], text)
    return re.sub(rf"(^|\n)?[ \t]*{_OWN}[ \t]*", lambda found: " " if found[1] is None else found[1], text).strip()


def _clean(value: object) -> str:
    """Text without what no reader sees and no database keeps; its words untouched."""
    return value.replace("\r\n", "\n").translate(_TABLE) if isinstance(value, str) else ""


def _line(value: object) -> str:
    return _clean(value).replace("\n", " ").strip()


def _plain(value: Any) -> Any:
    """A button's value with its texts cleaned."""
    if isinstance(value, dict):
        return {_line(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _clean(value) if isinstance(value, str) else value


def _needed(source: Json, name: str) -> str:
    value = _line(source.get(name))
    if not value:
        raise _NotForUs(f"{name} is missing")
    return value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Iterator[Any]:
    return iter(value if isinstance(value, list) else [])
