"""Frames of the long connection: what is written, and what is read without trust."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.platforms.wecom.places import Place, Way
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.robot.frames import BadFrame, Frame, decode, encode


@pytest.mark.parametrize(
    ("raw", "frame"),
    [
        ('{"headers":{"req_id":"a"},"errcode":0,"errmsg":"ok"}', Frame(cmd="", req_id="a", code=0, said="ok")),
        ('{"cmd":"x","headers":{"req_id":"a"},"body":{"b":1}}', Frame(cmd="x", req_id="a", body={"b": 1})),
        (b'{"cmd":"x","headers":{"req_id":"a"}}', Frame(cmd="x", req_id="a")),
        (
            '{"cmd":"x","body":{"t":"a\x01\x0b\x1fb\tc"}}'.replace("\t", "\\t"),
            Frame(cmd="x", req_id="", body={"t": "ab\tc"}),
        ),
        ('{"cmd":null,"headers":[],"body":7,"errcode":"0"}', Frame(cmd="", req_id="")),
    ],
)
def test_reads_a_frame(raw: str | bytes, frame: Frame) -> None:
    assert decode(raw) == frame


@pytest.mark.parametrize("raw", ["", "x", "[1]", "[" * 50_000, b"\xff\xfe", "null"])
def test_refuses_what_is_none(raw: str | bytes) -> None:
    with pytest.raises(BadFrame):
        decode(raw)


@pytest.mark.parametrize(
    ("frame", "answers"),
    [
        (Frame(cmd="", req_id="a"), True),
        (Frame(cmd="ping", req_id="a", code=0), True),  # some servers repeat the command
        (Frame(cmd=frames.MESSAGE, req_id="a"), False),
    ],
)
def test_trap_14_an_answer_is_told_from_a_callback(frame: Frame, answers: bool) -> None:
    assert frame.is_answer is answers


def test_writes_what_can_be_read_and_no_escapes() -> None:
    raw = encode("x", "r", {"t": "画\ud83d一"})  # half an emoji, from a cut text
    assert json.loads(raw) == {"cmd": "x", "headers": {"req_id": "r"}, "body": {"t": "画?一"}}
    assert "画" in raw
    assert "body" not in json.loads(encode("ping", "r"))


@pytest.mark.parametrize(
    ("place", "head"),
    [
        (Place(way=Way.ROBOT, target="wr1", group=True), {"chatid": "wr1", "chat_type": 2}),
        (Place(way=Way.ROBOT, target="alice"), {"chatid": "alice", "chat_type": 1}),
        (Place(way=Way.ANY, target="alice"), {"chatid": "alice", "chat_type": 1}),
    ],
)
def test_says_of_every_chat_what_it_is(place: Place, head: dict[str, Any]) -> None:
    assert frames.sent_to(place, frames.image("m")) == {**head, "msgtype": "image", "image": {"media_id": "m"}}


@pytest.mark.parametrize(
    ("code", "text", "event"),
    [(frames.EVENT, "enter_chat", "enter_chat"), (frames.MESSAGE, "enter_chat", ""), (frames.EVENT, None, "")],
)
def test_names_the_event(code: str, text: str | None, event: str) -> None:
    assert Frame(cmd=code, req_id="r", body={"event": {"eventtype": text}}).event_type == event


def test_a_stream_names_its_feedback_once() -> None:
    assert frames.stream("s", "t", finish=True)["stream"] == {"id": "s", "finish": True, "content": "t"}
    assert frames.stream("s", "t", finish=False, feedback="f")["stream"]["feedback"] == {"id": "f"}
