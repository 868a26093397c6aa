"""Frames of the robot's long connection: JSON with a command, the id of the request, and a body. Pure.

{"cmd", "headers": {"req_id"}, "body"}                        what is asked, by either side
{"headers": {"req_id"}, "errcode", "errmsg", "body"?}         what is answered to it: it has no cmd

An answer is known by its req_id alone, for frames come in any order. The same body is said by two commands:
aibot_respond_msg answers a message and carries the req_id with which that came, aibot_send_msg names the chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot.platforms.wecom.places import Place

SUBSCRIBE: Final = "aibot_subscribe"
PING: Final = "ping"
MESSAGE: Final = "aibot_msg_callback"
EVENT: Final = "aibot_event_callback"
RESPOND: Final = "aibot_respond_msg"
WELCOME: Final = "aibot_respond_welcome_msg"
UPDATE: Final = "aibot_respond_update_msg"
SEND: Final = "aibot_send_msg"
UPLOAD_INIT: Final = "aibot_upload_media_init"
UPLOAD_CHUNK: Final = "aibot_upload_media_chunk"
UPLOAD_FINISH: Final = "aibot_upload_media_finish"

TEXT_MAX: Final = 20480  # bytes of a stream's or a markdown message's text
FEEDBACK_MAX: Final = 256  # bytes of a feedback id

Body = Mapping[str, Any]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f]")  # WeCom lets them through, and JSON refuses them


class BadFrame(ValueError):
    """What came is no frame. The message says what is wrong, never what stood in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame as it came, read without trust."""

    cmd: str  # empty for an answer
    req_id: str
    code: int | None = None  # errcode; None = it has none
    said: str = ""  # errmsg
    body: Body = field(default_factory=dict)

    @property
    def is_answer(self) -> bool:
        """Whether it answers something that we asked, if its req_id is one of ours."""
        return not self.cmd or self.code is not None

    @property
    def event_type(self) -> str:
        """What an event is called; empty for anything else."""
        event = self.body.get("event")
        return str(event.get("eventtype") or "") if self.cmd == EVENT and isinstance(event, Mapping) else ""


def encode(cmd: str, req_id: str, body: Body | None = None) -> str:
    """A frame to send. Half characters, which no one could read, are replaced."""
    frame: dict[str, Any] = {"cmd": cmd, "headers": {"req_id": req_id}}
    if body is not None:
        frame["body"] = body
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def decode(raw: str | bytes) -> Frame:
    """A frame as it came. Raises BadFrame."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    try:
        frame = json.loads(_CONTROL.sub("", text))
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"a frame of {len(raw)} bytes is not JSON: {type(error).__name__}") from None
    if not isinstance(frame, dict):
        raise BadFrame("a frame is not an object")
    headers, body, code = frame.get("headers"), frame.get("body"), frame.get("errcode")
    return Frame(
        cmd=str(frame.get("cmd") or ""),
        req_id=str(headers.get("req_id") or "") if isinstance(headers, dict) else "",
        code=code if isinstance(code, int) else None,
        said=str(frame.get("errmsg") or ""),
        body=body if isinstance(body, dict) else {},
    )


def subscription(bot_id: str, secret: str) -> Body:
    return {"bot_id": bot_id, "secret": secret}


def stream(stream_id: str, text: str, *, finish: bool, feedback: str = "") -> Body:
    """All of a stream's text so far, never only what is new. `feedback` belongs to its first frame."""
    said: dict[str, Any] = {"id": stream_id, "finish": finish, "content": text}
    if feedback:
        said["feedback"] = {"id": feedback[:FEEDBACK_MAX]}
    return {"msgtype": "stream", "stream": said}


def welcome(text: str) -> Body:
    """The only answer that may be of msgtype text."""
    return {"msgtype": "text", "text": {"content": text}}


def markdown(text: str) -> Body:
    return {"msgtype": "markdown", "markdown": {"content": text}}


def image(media_id: str) -> Body:
    return {"msgtype": "image", "image": {"media_id": media_id}}


def card(template: Body) -> Body:
    return {"msgtype": "template_card", "template_card": template}


def card_update(template: Body) -> Body:
    return {"response_type": "update_template_card", "template_card": template}


def sent_to(place: Place, body: Body) -> Body:
    """What is sent without being asked. Without chat_type WeCom looks for a group of that name first."""
    return {"chatid": place.target, "chat_type": 2 if place.group else 1, **body}
