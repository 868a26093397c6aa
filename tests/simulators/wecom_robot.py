"""What a smart robot may say, over either of its ways: streams, cards, pictures, pushes, and the limits of all."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.wecom_cards import judge, readable
from tests.simulators.wecom_media import Media, is_picture
from tests.simulators.wecom_world import DAY, HOUR, Refused, Robot, Shown, World

MOST = 20480  # bytes of a stream or a markdown text
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_RATE = ((30, 60.0), (1000, HOUR))
_MEDIA = ("image", "file", "voice", "video")


@dataclass
class Asked:
    """One callback: what a person did, and what the robot has said to it."""

    robot: Robot
    kind: str  # message, or the type of the event
    msgid: str
    chat: str  # a group's id, or the person's real userid
    group: bool
    user: str  # the person's real userid
    body: dict[str, Any]
    at: float
    req_id: str = ""  # the latest it was sent under; a number of the connection where it is valid
    line: int = 0  # of the connection it was sent over; 0 = posted, or nowhere
    delivered: bool = False
    turned_away: bool = False  # the person had too many open: the robot never hears of it
    response_code: str = ""  # in response_url
    streams: dict[str, Shown] = field(default_factory=dict)  # by the id that the robot gave
    carded: bool = False
    welcomed: bool = False
    pressed: Shown | None = None  # the card, for a press
    statuses: list[int] = field(default_factory=list)  # URL mode: what each post was answered with; 0 = not at all
    answer: dict[str, Any] | None = None  # URL mode: what the first good answer said, decrypted
    seconds: list[float] = field(default_factory=list)  # URL mode: how long each post took
    sent: tuple[dict[str, str], bytes] = field(default_factory=lambda: ({}, b""))  # URL mode: the last post


class RobotSide:
    """Judges everything that robots say, and shows it."""

    def __init__(self, world: World, media: Media) -> None:
        self._world, self._media = world, media
        self.asked: dict[str, Asked] = {}  # by msgid
        self.spoken: set[tuple[str, str]] = set()  # (robot, chat) in which somebody has written to the robot
        self.codes: dict[str, Asked] = {}  # by the response_code of a response_url that was not used yet
        self.open_limit = 3  # streams at once per person
        self.stream_seconds = 360.0  # from its first frame; then 846608
        self.event_seconds = 5.0  # in which a welcome or a card update must come
        self.second_streams = False  # a second stream to one message; else 6000
        self.refreshes_count = True  # each frame of a stream counts against the 30 a minute
        self.markdown_replies = False  # aibot_respond_msg takes markdown (nothing says that it does)

    # -- what is open ------------------------------------------------------------------------------------------------

    def open_streams(self, robot: Robot, user: str) -> int:
        """How many unfinished streams a person has with a robot."""
        mine = (a for a in self.asked.values() if a.robot is robot and a.user == user)
        return sum(self._alive(s) for a in mine for s in a.streams.values())

    def _alive(self, stream: Shown) -> bool:
        return not stream.finished and self._world.now() - stream.at <= self.stream_seconds

    # -- answers -----------------------------------------------------------------------------------------------------

    def reply(self, asked: Asked, body: Mapping[str, Any]) -> None:
        """aibot_respond_msg: to a message, for 24 hours."""
        if asked.kind != "message" or self._world.now() - asked.at > DAY:
            raise Refused(846605, "invalid req_id")
        kind = str(body.get("msgtype"))
        if kind == "stream":
            self.stream(asked, body.get("stream"), pictures=False)
            return
        allowed = ("template_card", *_MEDIA, *(("markdown",) if self.markdown_replies else ()))
        if kind not in allowed:
            raise Refused(40008, "invalid message type")
        if kind == "template_card":
            self.first_card(asked)
        message = self._message(asked.robot, kind, body)
        self._rate(asked.robot, asked.chat)
        message.chat, message.answers = asked.chat, asked.msgid
        asked.carded = asked.carded or kind == "template_card"
        self._world.show(message)

    def first_card(self, asked: Asked) -> None:
        """One card to a message."""
        if asked.carded:
            raise Refused(6000, "data version conflict")

    def stream(self, asked: Asked, stream: Any, *, pictures: bool) -> Shown:
        """One frame of a stream: the whole text so far."""
        if not isinstance(stream, Mapping) or not isinstance(stream.get("id"), str) or not stream["id"]:
            raise Refused(40058, "invalid Request Parameter: stream.id")
        content, finish = str(stream.get("content") or ""), bool(stream.get("finish"))
        if len(content.encode()) > MOST:
            raise Refused(45002, "content size out of limit")
        images = self._images(stream.get("msg_item") or [], allowed=pictures and finish)
        shown = asked.streams.get(stream["id"])
        if shown is None:
            shown = self._open(asked, stream, content, finish=finish)
        else:
            self._refresh(asked, shown, content, finish=finish)
        shown.images = images or shown.images
        with self._world.moved:
            shown.finished = shown.finished or (finish and _closes(content))
            self._world.moved.notify_all()
        return shown

    def _open(self, asked: Asked, stream: Mapping[str, Any], content: str, *, finish: bool) -> Shown:
        if asked.streams and not self.second_streams:
            raise Refused(6000, "data version conflict")
        if not finish and self.open_streams(asked.robot, asked.user) >= self.open_limit:
            raise Refused(45033, "too many messages in interaction")
        feedback = str(stream.get("feedback", {}).get("id", ""))
        if len(feedback.encode()) > 256:
            raise Refused(40058, "invalid Request Parameter: feedback.id")
        self._rate(asked.robot, asked.chat)
        shown = asked.streams[stream["id"]] = Shown(
            way="robot",
            chat=asked.chat,
            kind="stream",
            content=content,
            finished=False,
            answers=asked.msgid,
            by=asked.robot.bot_id,
            feedback=feedback,
            stream_id=stream["id"],
            raw=dict(stream),
        )
        return self._world.show(shown)

    def _refresh(self, asked: Asked, shown: Shown, content: str, *, finish: bool) -> None:
        if shown.finished:
            if finish and content == shown.content:
                return  # the same again does no harm
            raise Refused(6000, "data version conflict")
        if not self._alive(shown):
            raise Refused(846608, "stream message update expired (>6 minutes), cannot update")
        if self.refreshes_count:
            self._rate(asked.robot, asked.chat)
        self._world.change(shown, content)

    def _images(self, items: Any, *, allowed: bool) -> list[bytes]:
        if items and not allowed:
            raise Refused(40058, "invalid Request Parameter: stream.msg_item")
        if len(items) > 10:
            raise Refused(40058, "invalid Request Parameter: stream.msg_item has more than 10")
        return [image_of(item.get("image", {}), 10) for item in items]

    def welcome(self, asked: Asked, body: Mapping[str, Any]) -> None:
        """aibot_respond_welcome_msg: within 5 s of enter_chat, once, text or a card."""
        if asked.kind != "enter_chat" or asked.welcomed or self._late(asked):
            raise Refused(846605, "invalid req_id")
        kind = str(body.get("msgtype"))
        if kind not in ("text", "template_card"):
            raise Refused(40008, "invalid message type")
        message = self._message(asked.robot, kind, body)
        message.chat, message.answers, asked.welcomed = asked.chat, asked.msgid, True
        self._world.show(message)

    def update(self, asked: Asked, body: Mapping[str, Any]) -> None:
        """aibot_respond_update_msg: within 5 s of a press, once, the same task_id."""
        if asked.kind != "template_card_event" or asked.carded or self._late(asked):
            raise Refused(846605, "invalid req_id")
        if body.get("response_type") != "update_template_card":
            raise Refused(40058, "invalid Request Parameter: response_type")
        card = body.get("template_card")
        clipped = judge(card)
        assert isinstance(card, dict)
        if asked.pressed is not None and card.get("task_id") != asked.pressed.task_id:
            raise Refused(40058, "invalid Request Parameter: template_card.task_id")
        asked.carded = True
        if asked.pressed is not None:
            asked.pressed.card, asked.pressed.clipped = card, clipped
            self._world.change(asked.pressed, readable(card))

    def _late(self, asked: Asked) -> bool:
        return self._world.now() - asked.at > self.event_seconds

    # -- pushes ------------------------------------------------------------------------------------------------------

    def send(self, robot: Robot, body: Mapping[str, Any]) -> None:
        """aibot_send_msg: into a chat in which somebody has written to the robot before."""
        chat = self._target(robot, str(body.get("chatid") or ""), body.get("chat_type", 0))
        kind = str(body.get("msgtype"))
        if kind not in ("markdown", "template_card", *_MEDIA):
            raise Refused(40008, "invalid message type")
        message = self._message(robot, kind, body)
        self._rate(robot, chat)
        message.chat = chat
        self._world.show(message)

    def _target(self, robot: Robot, raw: str, chat_type: Any) -> str:
        if chat_type not in (0, 1, 2) or not raw:
            raise Refused(40058, "invalid Request Parameter: chatid or chat_type")
        groups = {chat for bot_id, chat in self.spoken if bot_id == robot.bot_id and self._world.find(chat) is None}
        if chat_type in (0, 2) and raw in groups:
            return raw
        person = self._world.who(robot, raw) if chat_type in (0, 1) else None
        if person is None or (robot.bot_id, person.userid) not in self.spoken:
            raise Refused(93006, "invalid chatid")
        return person.userid

    def response(self, code: str, body: Mapping[str, Any]) -> None:
        """aibot/response: once per address, within an hour, markdown or a card."""
        asked = self.codes.get(code)
        if asked is None or self._world.now() - asked.at > HOUR:
            raise Refused(40058, "invalid response_code")
        kind = str(body.get("msgtype"))
        if kind not in ("markdown", "template_card"):
            raise Refused(40008, "invalid message type")
        message = self._message(asked.robot, kind, body)
        self._rate(asked.robot, asked.chat)
        del self.codes[code]
        message.chat, message.answers = asked.chat, asked.msgid
        self._world.show(message)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _message(self, robot: Robot, kind: str, body: Mapping[str, Any]) -> Shown:
        """What is to be shown, once all that stands in it is right."""
        inner = body.get(kind)
        if not isinstance(inner, dict):
            raise Refused(40058, f"invalid Request Parameter: {kind}")
        message = Shown(way="robot", chat="", kind=kind, by=robot.bot_id, raw=dict(body))
        message.feedback = str(inner.get("feedback", {}).get("id", ""))
        if kind in ("markdown", "text"):
            message.content = str(inner.get("content") or "")
            if not message.content:
                raise Refused(44004, "empty content")
            if len(message.content.encode()) > MOST:
                raise Refused(45002, "content size out of limit")
        elif kind == "template_card":
            message.clipped, message.card, message.content = judge(inner), inner, readable(inner)
            message.task_id = self._task_id(robot, inner)
        else:
            medium = self._media.get(inner.get("media_id"), kind)
            message.data, message.name = medium.data, medium.name
        return message

    def _task_id(self, robot: Robot, card: Mapping[str, Any]) -> str:
        """Which nobody else's card of this robot may have; WeCom makes one where the robot gives none."""
        task_id = str(card.get("task_id") or secrets.token_hex(16))
        if any(m.task_id == task_id and m.by == robot.bot_id for m in self._world.messages):
            raise Refused(40058, "invalid Request Parameter: template_card.task_id stands on another card")
        return task_id

    def _rate(self, robot: Robot, chat: str) -> None:
        if not self._world.within(f"chat {robot.bot_id} {chat}", *_RATE):
            raise Refused(45009, "api freq out of limit")

    # -- callbacks ---------------------------------------------------------------------------------------------------

    def ask(self, robot: Robot, kind: str, user: str, chat: str | None, more: Mapping[str, Any]) -> Asked:
        """A callback to be brought to the robot: a message, or an event of type `kind`."""
        person = self._world.member(user)
        msgid = str(more.get("msgid") or f"CAIQ{secrets.token_urlsafe(18)}")
        body: dict[str, Any] = {"msgid": msgid, "aibotid": robot.bot_id}
        if chat is not None:
            body["chatid"] = chat
        body["chattype"] = "single" if chat is None else "group"
        body["from"] = {"userid": robot.id_of(person.userid)}
        if kind != "message":
            body |= {"create_time": int(time.time()), "msgtype": "event"}
        asked = Asked(
            robot=robot,
            kind=kind,
            msgid=msgid,
            chat=person.userid if chat is None else chat,
            group=chat is not None,
            user=person.userid,
            body=body | {key: value for key, value in more.items() if key != "msgid"},
            at=self._world.now(),
        )
        if robot.url and kind in ("message", "template_card_event"):
            asked.response_code = secrets.token_urlsafe(24)
            self.codes[asked.response_code] = asked
            asked.body["response_url"] = (
                f"{self._world.origin}/cgi-bin/aibot/response?response_code={asked.response_code}"
            )
        with self._world.lock:
            if kind == "message":
                asked.turned_away = self._world.limits and self.open_streams(robot, asked.user) >= self.open_limit
                self.spoken.add((robot.bot_id, asked.chat))
            self.asked[msgid] = asked
        return asked


def image_of(image: Mapping[str, Any], most: int) -> bytes:
    """The picture in {base64, md5}, of at most so many MiB."""
    try:
        data = base64.b64decode(str(image.get("base64")), validate=True)
    except binascii.Error as error:
        raise Refused(40058, "invalid Request Parameter: image.base64") from error
    if hashlib.md5(data).hexdigest() != str(image.get("md5")).lower():
        raise Refused(301019, "image md5 does not match")
    if len(data) > most * 1024 * 1024:
        raise Refused(40009, "invalid image size")
    if not is_picture(data):
        raise Refused(40005, "invalid file type")
    return data


def _closes(content: str) -> bool:
    """A bubble that is finished with only blanks keeps on thinking; with nothing at all it closes."""
    return not content or bool(content.translate({ord(mark): None for mark in _INVISIBLE}).strip())
