"""Frames: what is read is what was written, broken ones are refused, pieces join in any order within bounds."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from bot.platforms.feishu import frames
from bot.platforms.feishu.frames import BadFrame, Fragments, Frame

EVENT = Frame(
    method=frames.DATA,
    service=33554678,
    headers={"type": "event", "message_id": "m", "sum": "1", "seq": "0", "trace_id": "t"},
    payload="猫".encode(),
    seq_id=2**63,
    log_id=7,
    log_id_new="n",
    encoding="gzip",
    content_type="json",
)


def piece(number: int, total: int, payload: bytes, key: str = "m") -> Frame:
    headers = {"type": "event", "message_id": key, "sum": str(total), "seq": str(number), "trace_id": "t"}
    return Frame(method=frames.DATA, service=1, headers=headers, payload=payload)


def test_a_frame_survives_the_wire() -> None:
    assert frames.decode(frames.encode(EVENT)) == EVENT
    assert frames.decode(frames.encode(frames.ping(5))) == Frame(method=0, service=5, headers={"type": "ping"})
    assert frames.ping(5).kind == "ping"


def test_an_acknowledgement_is_the_frame_with_an_answer() -> None:
    plain = frames.acknowledged(EVENT, 200, 12)
    assert plain.headers == {**EVENT.headers, "biz_rt": "12"}
    assert (plain.seq_id, plain.log_id, plain.service, plain.method) == (2**63, 7, 33554678, 1)
    assert json.loads(plain.payload) == {"code": 200}
    said = json.loads(frames.acknowledged(EVENT, 200, 1, {"toast": {"content": "好"}}).payload)
    assert json.loads(base64.b64decode(said["data"])) == {"toast": {"content": "好"}}


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x08", b"{}", b"\x2a\x05\x0a\x01", b"no frame", b""])
def test_broken_bytes_are_no_frame(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.decode(raw)


def test_pieces_join_in_any_order() -> None:
    whole = Fragments()
    assert whole.join(piece(2, 3, b"c"), 0) is None
    assert whole.join(piece(0, 2, b"x", "other"), 0) is None
    assert whole.join(piece(0, 3, b"a"), 0) is None
    assert whole.join(piece(0, 3, b"a"), 0) is None  # repeated
    assert whole.join(piece(1, 3, b"b"), 0) == b"abc"
    assert whole.join(piece(1, 2, b"y", "other"), 0) == b"xy"
    assert whole.join(EVENT, 0) == EVENT.payload
    assert whole.join(piece(0, 2, b""), 0) is None
    assert whole.join(piece(1, 2, b"z"), 0) == b"z"  # an empty piece is a piece


def test_what_never_gets_whole_is_forgotten() -> None:
    whole = Fragments()
    whole.join(piece(0, 2, b"a"), 0)
    whole.join(piece(0, 2, b"x", "later"), frames.FRAGMENT_SECONDS + 1)
    assert whole.join(piece(1, 2, b"b"), frames.FRAGMENT_SECONDS + 1) is None
    big = bytes(frames.FRAGMENT_BYTES // 4)
    for number in range(20):
        whole.join(piece(0, 2, big, f"big{number}"), 100)
    assert whole._size() <= frames.FRAGMENT_BYTES
    assert whole.join(piece(1, 2, b"!", "big19"), 100) == big + b"!"  # the newest is still there


@pytest.mark.parametrize("frame", [piece(2, 2, b""), piece(-1, 2, b""), piece(0, 10**9, b"")])
def test_impossible_pieces_are_refused(frame: Frame) -> None:
    with pytest.raises(BadFrame):
        Fragments().join(frame, 0)


def test_pieces_of_different_counts_are_refused() -> None:
    whole = Fragments()
    whole.join(piece(0, 3, b"a"), 0)
    with pytest.raises(BadFrame):
        whole.join(piece(1, 2, b"b"), 0)
    with pytest.raises(BadFrame):
        whole.join(Frame(method=1, service=1, headers={"sum": "many"}), 0)


def test_frames_cost_no_import_of_the_sdk() -> None:
    """lark_oapi itself takes 4 s and 100 MB. That it still imports afterwards: test_feishu_gateway.py does that."""
    program = """
import sys
from bot.platforms.feishu import frames
assert not [name for name in sys.modules if name.startswith("lark_oapi")]
assert frames.decode(frames.encode(frames.ping(1))).service == 1
left = [name for name in sys.modules if name.startswith("lark_oapi") and not name.startswith("lark_oapi.ws.pb")]
assert not left, left
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
