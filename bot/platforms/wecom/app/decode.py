"""What came to the app as a ChatEvent: messages, presses, menu items, somebody opening the chat. Pure.

It goes by the elements of the XML, by name: wechatpy has no class for half of the events, and an id of 0 for all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bot.events import ChatEvent, Ignored
from bot.platforms.feishu.decode import command_of
from bot.platforms.wecom.places import PLATFORM, Place, Way, chat_id, userid
from bot.platforms.wecom.render import pressed
from bot.platforms.wecom.settings import WecomApp
from bot.platforms.written import as_object, clean, line
from storage.records import ChatType, Identity, Origin

Fields = Mapping[str, Any]
SYSTEM: Final = "sys"  # who changes to the address book come from
_UNUSABLE: Final = ("video", "shortvideo", "location", "link", "file", "miniprogrampage")


class _NotForUs(Exception):
    """A genuine event without anything to act on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What every decoder needs."""

    sender: str  # the member's userid, in lower case
    at: datetime
    key: str


def decode(fields: Fields, settings: WecomApp, now: datetime) -> ChatEvent | Ignored:
    """Decode a message or an event; `now` where it does not say when it was."""
    kind, event = line(fields.get("MsgType")).lower(), line(fields.get("Event")).lower()
    name = event if kind == "event" else kind
    key = key_of(fields)
    try:
        _check_ours(fields, settings)
        sender = userid(_needed(fields, "FromUserName"))
        if sender == SYSTEM:
            raise _NotForUs("about the address book")
        decoder = (_EVENTS if kind == "event" else _MESSAGES).get(name)
        if decoder is None:
            raise _NotForUs("nobody listens to this")
        return decoder(fields, _Context(sender=sender, at=instant(fields.get("CreateTime")) or now, key=key))
    except _NotForUs as why:
        return Ignored(event_type=name, key=key, reason=str(why))


def key_of(fields: Fields) -> str:
    """What is the same however often WeCom sends it: the MsgId, which events do not have."""
    found = line(fields.get("MsgId"))
    if found:
        return f"app:{found}"  # kept as text: it has more digits than a number in a browser
    # A press has a code of its own; of anything else the same person does no two in one second.
    person, code = userid(line(fields.get("FromUserName"))), _short(response_code(fields))
    named = [line(fields.get(name)) for name in ("CreateTime", "Event", "EventKey")]
    return ":".join(("app", person, *named, *filter(None, [code])))


def response_code(fields: Fields) -> str:
    """What the pressed card can be changed with, once, by whoever has it: nothing for an event, which is kept."""
    return line(fields.get("ResponseCode"))


def instant(raw: object) -> datetime | None:
    """A CreateTime (seconds); None when it is none."""
    text = str(raw).strip()
    return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() and 0 < len(text) <= 11 else None


def _text(fields: Fields, context: _Context) -> ChatEvent:
    text = clean(fields.get("Content")).strip()
    if not text:
        raise _NotForUs("an empty text")
    return _message(context, line(fields.get("MsgId")), text)


def _voice(fields: Fields, context: _Context) -> ChatEvent:
    """Spoken words count where WeCom wrote them down."""
    said = clean(fields.get("Recognition")).strip()
    return _message(context, line(fields.get("MsgId")), said) if said else _unusable(fields, context)


def _image(fields: Fields, context: _Context) -> ChatEvent:
    """A picture alone says nothing; what it is for is said in the next message."""
    value = {"images": [{"media": _needed(fields, "MediaId")}]}
    return _message(context, line(fields.get("MsgId")), "", value)


def _unusable(fields: Fields, context: _Context) -> ChatEvent:
    """Something somebody sent that says nothing to us; they are told so."""
    return _message(context, line(fields.get("MsgId")), "", {"unusable": line(fields.get("MsgType")).lower()})


def _menu(fields: Fields, context: _Context) -> ChatEvent:
    """An item of the app's menu: its key is a command."""
    return _message(context, "", command_of(_needed(fields, "EventKey")))


def _entered(_fields: Fields, context: _Context) -> ChatEvent:
    return _event(context, kind="chat", message_id="", action="entered")


def _press(fields: Fields, context: _Context) -> ChatEvent:
    action, value = pressed(_needed(fields, "EventKey"), _picked(fields))
    # Without an action it is a button of nobody's, which is said in the toast.
    return _event(context, kind="action", message_id=_needed(fields, "TaskId"), action=action, value=value)


def _picked(fields: Fields) -> dict[str, str]:
    """What was picked from a card's lists, by question: one list comes as an object, several as a list of objects."""
    found: dict[str, str] = {}
    for item in map(as_object, _several(as_object(fields.get("SelectedItems")).get("SelectedItem"))):
        for option in _several(as_object(item.get("OptionIds")).get("OptionId")):
            found.setdefault(line(item.get("QuestionKey")), line(option))
    return found


def _several(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_MESSAGES: Mapping[str, Callable[[Fields, _Context], ChatEvent]] = {
    "text": _text,
    "image": _image,
    "voice": _voice,
    **dict.fromkeys(_UNUSABLE, _unusable),
}
_EVENTS: Mapping[str, Callable[[Fields, _Context], ChatEvent]] = {
    "subscribe": _entered,
    "enter_agent": _entered,
    "click": _menu,
    "template_card_event": _press,
    "template_card_menu_event": _press,
}


def _message(context: _Context, message_id: str, text: str, value: Mapping[str, Any] | None = None) -> ChatEvent:
    return _event(context, kind="message", message_id=message_id, text=text, value=value)


def _event(
    context: _Context,
    *,
    kind: str,
    message_id: str,
    text: str = "",
    action: str = "",
    value: Mapping[str, Any] | None = None,
) -> ChatEvent:
    """Everything of the app is in the direct chat with one member."""
    place = Place(way=Way.APP, target=context.sender)
    return ChatEvent(
        platform=PLATFORM,
        key=context.key,
        kind=kind,
        sender=Identity(platform=PLATFORM, external_id=context.sender),
        sender_name="",
        origin=Origin(
            platform=PLATFORM,
            chat_id=chat_id(place),
            chat_type=ChatType.DIRECT,
            message_id=message_id,
            sender=context.sender,
        ),
        at=context.at,
        text=text,
        action=action,
        value=dict(value or {}),
        mentioned=True,
    )


def _check_ours(fields: Fields, settings: WecomApp) -> None:
    """Changes to the address book come without an AgentID."""
    agent = line(fields.get("AgentID"))
    if agent and agent != settings.agent_id:
        raise _NotForUs(f"for app {agent}: wecom.app.agent_id is {settings.agent_id}")


def _short(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:16] if code else ""


def _needed(fields: Fields, name: str) -> str:
    value = line(fields.get(name))
    if not value:
        raise _NotForUs(f"{name} is missing")
    return value
