"""What the smart robot is told, as a ChatEvent: messages, presses, opinions, who opens the chat. Pure.

A group's robot hears only what mentions it or quotes one of its messages, so all of that is for us. Neither addresses
nor keys of files are secrets of ours, but they open what somebody sent: they stand in an event's value and in no log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bot.events import ChatEvent, Ignored
from bot.platforms.wecom.places import PLATFORM, Place, Way, chat_id, userid
from bot.platforms.wecom.render import pressed
from bot.platforms.wecom.settings import WecomAibot
from bot.platforms.wecom.texts import strip_mention
from bot.platforms.written import as_list, as_object, clean, line
from storage.records import ChatType, Identity, Origin

Json = Mapping[str, Any]

MAX_TEXT: Final = 100_000  # characters; commands refuse far shorter ones
MAX_QUOTE: Final = 2_000
_ENCRYPTED = re.compile(r"w[om](?=[^A-Z]*[A-Z])[0-9A-Za-z_-]{22,}")
_FEEDBACK = re.compile(r"moqi:([1-9][0-9]{0,9})")
_VOTES: Final[Mapping[int, str]] = {1: "vote_up", 2: "vote_down", 3: "vote_none"}


class _NotForUs(Exception):
    """A genuine event without anything to act on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Content:
    """What a message, or a quoted one, says and carries; `unusable` names what we can do nothing with."""

    text: str = ""
    images: tuple[dict[str, str], ...] = ()  # {"url", "key"}
    files: tuple[dict[str, str], ...] = ()  # {"url", "key", "name"}
    unusable: str = ""


def decode(body: Json, settings: WecomAibot, now: datetime) -> ChatEvent | Ignored:
    """Decode the body of a callback, from the long connection or decrypted from an HTTP request."""
    kind = line(body.get("msgtype"))
    event = as_object(body.get("event"))
    told = f"event:{line(event.get('eventtype'))}" if kind == "event" else kind
    key = key_of(body)
    try:
        if kind != "event":
            return _message(body, settings, key, now)
        decoder = _EVENTS.get(line(event.get("eventtype")))
        if decoder is None:
            raise _NotForUs("nobody listens to this event")
        return decoder(body, as_object(event.get(line(event.get("eventtype")))), key, now)
    except _NotForUs as why:
        return Ignored(event_type=told, key=key, reason=str(why))


def key_of(body: Json) -> str:
    """The key of an event: the same when WeCom sends it again.

    WeCom numbers all of them. Should it once not, what stands in the event is its key.
    """
    given = body.get("msgid")
    if isinstance(given, str | int) and not isinstance(given, bool) and (text := line(str(given))):
        return f"robot:{text}" if len(text) <= 200 else f"robot:{_digest(text)}"
    return f"robot:{_digest(json.dumps(body, sort_keys=True, default=str))}"


def is_encrypted(raw: str) -> bool:
    """Whether this is the id that a robot gets for a person whose userid it may not see. Its letters' case matters."""
    return _ENCRYPTED.fullmatch(raw) is not None


def person(raw: str) -> str:
    """A person's id as identities have it: a userid in lower case, an encrypted one as it is."""
    raw = raw.strip()
    return raw if is_encrypted(raw) else userid(raw)


def feedback_id(job: int) -> str:
    """What an answer is sent with, so that an opinion about it comes back with the job."""
    return f"moqi:{job}"


def instant(raw: object) -> datetime | None:
    """The time that an event tells, in seconds; None when it does not."""
    text = str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    if not re.fullmatch(r"[0-9]{9,16}", text):
        return None
    seconds = float(text)
    while seconds > 1e11:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC)


def _message(body: Json, settings: WecomAibot, key: str, now: datetime) -> ChatEvent:
    content = _content(body)
    if content is None:
        raise _NotForUs("no message of a person")
    quote = _content(as_object(body.get("quote"))) or _Content()
    origin = _origin(body, line(str(body.get("msgid") or "")) or key)
    # Whom a quoted message names without our name being known, nobody can say.
    quoted = _addressed(quote.text[:MAX_QUOTE], settings.name, bool(settings.name))
    text = _addressed(content.text[:MAX_TEXT], settings.name, origin.chat_type is ChatType.GROUP or bool(settings.name))
    if not text and not content.images and not quoted.startswith(("/", "／")):
        # To mention us and say nothing is to point at what is quoted. Others' commands are not given for them.
        text, quoted = quoted, ""
    value: dict[str, Any] = {
        "images": list(content.images or quote.images),
        "files": list(content.files or quote.files),
        "quote": quoted,
        "unusable": content.unusable,
    }
    return ChatEvent(
        platform=PLATFORM,
        key=key,
        kind="message",
        sender=Identity(platform=PLATFORM, external_id=origin.sender),
        sender_name="",
        origin=origin,
        at=instant(body.get("create_time")) or now,
        text=text,
        value={name: item for name, item in value.items() if item},
        mentioned=True,
    )


def _addressed(text: str, name: str, mentions: bool) -> str:
    """What was said to us, without our mention where there may be one."""
    return strip_mention(text, name)[0] if mentions else text.strip()


def _content(message: Json) -> _Content | None:
    """What a message carries, by its type; None for what is no message."""
    kind = line(message.get("msgtype"))
    body = as_object(message.get(kind))
    if kind in ("", "stream", "event"):
        return None
    if kind in ("text", "voice"):
        said = clean(body.get("content"))
        return _Content(text=said, unusable="" if said.strip() or kind == "text" else kind)
    if kind == "image":
        return _Content(images=_resource(body))
    if kind == "file":
        name = line(body.get("filename") or body.get("file_name") or body.get("name"))
        return _Content(files=tuple({**one, "name": name} for one in _resource(body)))
    if kind == "mixed":
        return _mixed([_content(as_object(item)) or _Content() for item in as_list(body.get("msg_item"))])
    return _Content(unusable=kind)


def _mixed(parts: list[_Content]) -> _Content:
    return _Content(
        text="\n".join(part.text for part in parts if part.text.strip()),
        images=tuple(image for part in parts for image in part.images),
        files=tuple(file for part in parts for file in part.files),
    )


def _resource(body: Json) -> tuple[dict[str, str], ...]:
    url = line(body.get("url"))  # published samples end in a space
    return ({"url": url, "key": line(body.get("aeskey"))},) if url else ()


def _entered(body: Json, _: Json, key: str, now: datetime) -> ChatEvent:
    """Somebody opens the robot's chat, for the first time today."""
    return _event(body, key, now, kind="chat", action="entered", direct=True)


def _pressed(body: Json, card: Json, key: str, now: datetime) -> ChatEvent:
    picked = {}
    for item in as_list(as_object(card.get("selected_items")).get("selected_item")):
        ids = as_object(as_object(item).get("option_ids")).get("option_id")
        chosen = ids if isinstance(ids, list) else [ids]
        picked[line(as_object(item).get("question_key"))] = line(chosen[0]) if chosen else ""
    # The key says what the button does, never who may: anyone in the group can press it, again and again.
    action, value = pressed(clean(card.get("event_key")), picked)
    return _event(body, key, now, kind="action", action=action, value=value, about=line(card.get("task_id")))


def _opinion(body: Json, feedback: Json, key: str, now: datetime) -> ChatEvent:
    found = _FEEDBACK.fullmatch(line(feedback.get("id")))
    kind = feedback.get("type")
    vote = _VOTES.get(kind) if isinstance(kind, int) else None
    if found is None or vote is None:
        raise _NotForUs("an opinion about nothing of ours")
    reasons = [one for one in as_list(feedback.get("inaccurate_reason_list")) if type(one) is int and 1 <= one <= 99]
    value = {"job": int(found[1]), "reasons": reasons[:10], "said": clean(feedback.get("content")).strip()[:1000]}
    return _event(body, key, now, kind="action", action=vote, value=value)


_EVENTS: Mapping[str, Callable[[Json, Json, str, datetime], ChatEvent]] = {
    "enter_chat": _entered,
    "template_card_event": _pressed,
    "feedback_event": _opinion,
}


def _event(
    body: Json,
    key: str,
    now: datetime,
    *,
    kind: str,
    action: str,
    value: dict[str, Any] | None = None,
    about: str = "",
    direct: bool = False,
) -> ChatEvent:
    origin = _origin(body, about, direct)
    return ChatEvent(
        platform=PLATFORM,
        key=key,
        kind=kind,
        sender=Identity(platform=PLATFORM, external_id=origin.sender),
        sender_name="",
        origin=origin,
        at=instant(body.get("create_time")) or now,
        action=action,
        value=value or {},
        mentioned=True,
    )


def _origin(body: Json, message_id: str, direct: bool = False) -> Origin:
    sender = person(line(as_object(body.get("from")).get("userid")))
    chat = line(body.get("chatid"))
    if not sender:
        raise _NotForUs("from nobody")
    group = not direct and bool(chat) and line(body.get("chattype")) != "single"
    return Origin(
        platform=PLATFORM,
        chat_id=chat_id(Place(way=Way.ROBOT, target=chat if group else sender, group=group)),
        chat_type=ChatType.GROUP if group else ChatType.DIRECT,
        message_id=message_id,
        sender=sender,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
