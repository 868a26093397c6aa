"""What WeCom is told when it asks, as tables; and the seal of its callbacks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.platforms.wecom.robot import pulled
from bot.platforms.wecom.robot.crypto import Seal, read_body, read_object, read_query
from bot.platforms.wecom.robot.pulled import Stage
from bot.platforms.wire import Forged, Malformed, Stale, WireError
from bot.reply import Reply
from storage.records import ChatType
from storage.wecom_replies import OpenReply, ReplyState
from tests.simulators.wecom_crypto import seal as sealed
from tests.simulators.wecom_crypto import unseal

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ROW = OpenReply(stream="s", msgid="m", chat_id="robot:alice", sender="alice", opened_at=NOW, until=NOW)
KEY, TOKEN = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "token"


@pytest.mark.parametrize(
    ("state", "minutes", "stage"),
    [
        (ReplyState.OPEN, 0, Stage.GOING),
        (ReplyState.OPEN, 4.99, Stage.GOING),
        (ReplyState.OPEN, 5, Stage.LATE),
        (ReplyState.PROMISED, 0, Stage.PROMISED),
        (ReplyState.CLOSING, 5.5, Stage.ENDING),  # the end may still be fetched
        (ReplyState.TOLD, 5.9, Stage.ENDING),
        (ReplyState.OVER, 1, Stage.SEPARATE),
    ],
)
def test_where_an_answer_stands(state: ReplyState, minutes: float, stage: Stage) -> None:
    assert pulled.stage(replace(ROW, state=state), NOW + timedelta(minutes=minutes)) is stage


@pytest.mark.parametrize("tail", [(), ("好了我发给你", "图在别处")])
def test_trap_06_an_answer_is_cut_by_bytes_and_keeps_what_is_below_it(tail: tuple[str, ...]) -> None:
    text = pulled.said(Reply(text="很长的话。" * 3000), ChatType.DIRECT, "…（太长）", *tail)
    assert 20000 < len(text.encode()) <= 20480
    assert text.endswith("".join(f"\n\n{line}" for line in tail) or "…（太长）")
    assert pulled.said(Reply(text="短"), ChatType.DIRECT, "…", "尾") == "短\n\n尾"


def test_the_name_of_a_stream_is_safe_for_wecom_and_always_the_same() -> None:
    assert pulled.stream_of("CAIQ/+ä") == pulled.stream_of("CAIQ/+ä") != pulled.stream_of("CAIQ")
    assert pulled.stream_of("x").removeprefix("moqi-").isalnum()


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"echostr=a+b%2Bc%2f%3D&x", {"echostr": "a+b+c/=", "x": ""}),
        (b"echostr=%252B", {"echostr": "%2B"}),  # decoded once
    ],
)
def test_trap_03_a_query_is_decoded_once_and_a_plus_stays_one(raw: bytes, read: dict[str, str]) -> None:
    assert read_query(raw) == read


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"encrypt": 1}', b'{"Encrypt": "x"}', b"\xff", b"[" * 100_000])
def test_what_is_no_callback(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_body(raw)


def test_control_characters_in_what_people_write_are_read() -> None:
    assert read_object('{"text": "a\x0bb"}') == {"text": "a\x0bb"}


def asked(text: str, *, at: datetime = NOW, token: str = TOKEN, **changed: str) -> dict[str, str]:
    query = {"timestamp": str(int(at.timestamp())), "nonce": "n"}
    parts = sorted((token, query["timestamp"], "n", text))
    return query | {"msg_signature": hashlib.sha1("".join(parts).encode()).hexdigest()} | changed


TEXT = sealed(KEY, "你好".encode(), "")


@pytest.mark.parametrize(
    ("text", "query", "error"),
    [
        (TEXT, {}, Forged),
        (TEXT, asked(TEXT, msg_signature="é"), Forged),
        (TEXT, asked(TEXT, token="another"), Forged),
        (TEXT, asked(TEXT, nonce="another"), Forged),
        (TEXT, asked(TEXT, at=NOW - timedelta(minutes=11)), Stale),
        (TEXT, asked(TEXT, at=NOW + timedelta(minutes=11)), Stale),
        ("x", asked("x"), Forged),
        ("eA==", asked("eA=="), Forged),
        ("", asked(""), Forged),
        (sealed(KEY, b"{}", "corp"), None, Forged),
        (sealed("B" * 43, b"{}", ""), None, Forged),
    ],
    ids=lambda value: type(value).__name__,  # what is sealed differs from run to run, and the names of tests must not
)
async def test_trap_04_what_is_not_sealed_for_us_is_refused(
    text: str, query: dict[str, str] | None, error: type[WireError]
) -> None:
    seal = Seal(TOKEN, KEY)
    await seal.ready()
    with pytest.raises(error) as raised:
        seal.open(asked(text) if query is None else query, text, NOW)
    assert raised.value.status in (400, 401)


async def test_a_timestamp_that_is_none_is_malformed_though_signed() -> None:
    seal = Seal(TOKEN, KEY)
    await seal.ready()
    parts = sorted((TOKEN, "soon", "n", TEXT))
    query = {"timestamp": "soon", "nonce": "n", "msg_signature": hashlib.sha1("".join(parts).encode()).hexdigest()}
    with pytest.raises(Malformed):
        seal.open(query, TEXT, NOW)


async def test_what_we_seal_wecom_can_open() -> None:
    seal = Seal(TOKEN, KEY)
    await seal.ready()
    assert seal.open(asked(TEXT), TEXT, NOW) == "你好"
    answer = json.loads(json.dumps(seal.close("好的，收到", "nonce", NOW)))
    assert set(answer) == {"encrypt", "msgsignature", "timestamp", "nonce"}
    assert answer["timestamp"] == int(NOW.timestamp())
    assert unseal(KEY, answer["encrypt"]) == ("好的，收到".encode(), "")
    parts = sorted((TOKEN, str(answer["timestamp"]), "nonce", answer["encrypt"]))
    assert answer["msgsignature"] == hashlib.sha1("".join(parts).encode()).hexdigest()
