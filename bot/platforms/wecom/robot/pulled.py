"""Answers that WeCom fetches: what it is told when it asks about a message, and until when. Pure.

In callback mode nothing can be sent into a stream: WeCom asks for it, about once a second, until it is told that this
was all or six minutes have passed since the message. Each time it is told the whole text so far; pictures and a card
come with the end only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from bot.platforms.wecom import render
from bot.platforms.wecom.texts import cut
from bot.reply import Reply
from storage.records import ChatType
from storage.wecom_replies import OpenReply, ReplyState

TEXT_MAX: Final = 20480  # bytes of a stream's text, and of what goes by response_url
WELCOME_MAX: Final = 2048  # bytes
PICTURES_MAX: Final = 10
PICTURE_MAX: Final = 10 * 1024 * 1024  # bytes before base64
LIFE: Final = timedelta(minutes=5)  # of an answer that goes on; WeCom asks for six from the message
LAST: Final = timedelta(seconds=350)  # after the message: until then an end may still be fetched
OPEN_MAX: Final = 2  # of one person at once: WeCom allows three, and the next message needs one
PATIENCE: Final = timedelta(seconds=20)  # that an end waits for being fetched, then it goes another way
URL_LIFE: Final = timedelta(minutes=59)  # in which a response_url is used; WeCom says an hour
KEPT: Final = timedelta(hours=1)  # after its response_url has expired, an answer is forgotten

Body = dict[str, Any]


class Stage(StrEnum):
    """What WeCom is told when it asks about a message now."""

    GOING = "going"  # what is said so far
    LATE = "late"  # the same, and that the result comes separately: it has to be ended now
    PROMISED = "promised"  # the same, it was ended so
    ENDING = "ending"  # the whole, with its pictures: the end
    SEPARATE = "separate"  # only that the result comes separately


def stage(row: OpenReply, now: datetime) -> Stage:
    """Where an answer stands."""
    match row.state:
        case ReplyState.OPEN:
            return Stage.LATE if now - row.opened_at >= LIFE else Stage.GOING
        case ReplyState.PROMISED:
            return Stage.PROMISED
        case ReplyState.CLOSING | ReplyState.TOLD:
            return Stage.ENDING
        case ReplyState.OVER:
            return Stage.SEPARATE


def passes(reply: Reply) -> bool:
    """Whether more follows: it says how a job stands that has not ended. What is held keeps the way for its end."""
    return reply.state in ("queued", "running", "review")


def stream_of(msgid: str) -> str:
    """What WeCom is to ask by for the answer to a message; also the task_id of the card that ends it."""
    return f"moqi-{hashlib.sha256(msgid.encode()).hexdigest()[:32]}"


def chat_type(chat_id: str) -> ChatType:
    """Who reads along in a chat of the robot: see places.py."""
    return ChatType.DIRECT if chat_id.startswith("robot:") else ChatType.GROUP


def said(reply: Reply, chat: ChatType, ending: str, *tail: str) -> str:
    """A reply as one text, with sentences below it; `ending` is put where it had to be cut."""
    below = "".join(f"\n\n{line}" for line in tail if line)
    return cut(render.whole(reply, chat), TEXT_MAX - len(below.encode()), ending) + below


def stream(name: str, content: str, *, finish: bool, feedback: str = "", images: Iterable[bytes] = ()) -> Body:
    """The answer to a message, or to being asked about it; `images` with the end only, `feedback` the first time."""
    inner: Body = {"id": name, "finish": finish, "content": content}
    if feedback:
        inner["feedback"] = {"id": feedback}
    if items := [{"msgtype": "image", "image": picture(data)} for data in images]:
        inner["msg_item"] = items
    return {"msgtype": "stream", "stream": inner}


def with_card(body: Body, card: Mapping[str, Any] | None) -> Body:
    """The same with a card below it: once for each message."""
    return body if card is None else {**body, "msgtype": "stream_with_template_card", "template_card": dict(card)}


def picture(data: bytes) -> dict[str, str]:
    """A picture inside a message: the digest is of its bytes, not of their base64."""
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()  # as WeCom wants it
    return {"base64": base64.b64encode(data).decode(), "md5": digest}


def welcome(reply: Reply, ending: str) -> Body:
    """What is said when somebody opens the chat: the only place for a plain text."""
    return {"msgtype": "text", "text": {"content": cut(render.plain(reply), WELCOME_MAX, ending)}}


def markdown(text: str) -> Body:
    """A text for a response_url."""
    return {"msgtype": "markdown", "markdown": {"content": text}}


def template_card(card: Mapping[str, Any]) -> Body:
    """A card for a response_url."""
    return {"msgtype": "template_card", "template_card": dict(card)}


def card_update(card: Mapping[str, Any]) -> Body:
    """The answer to a press: its card anew."""
    return {"response_type": "update_template_card", "template_card": dict(card)}
