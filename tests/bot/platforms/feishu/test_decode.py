"""Captured payloads, each with what must become of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.commands import Draw, Rules, parse
from bot.events import ChatEvent, Ignored
from bot.platforms.feishu.decode import decode, instant
from bot.router import talk_of_others
from tests.simulators.feishu_events import BOT_OPEN_ID, App, mention, message

NOW = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "data" / "feishu"
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in sorted(DATA.glob("*.json"))
    for case in json.loads(file.read_text(encoding="utf-8"))
]


def described(event: ChatEvent) -> dict[str, Any]:
    """An event in the words of the payload files."""
    return {
        "type": "event",
        "kind": event.kind,
        "key": event.key,
        "text": event.text,
        "action": event.action,
        "value": event.value,
        "sender": event.sender.external_id,
        "mentions": [[m.identity.external_id, m.name] for m in event.mentions],
        "mentioned": event.mentioned,
        "chat_id": event.origin.chat_id,
        "chat_type": event.origin.chat_type.value,
        "message_id": event.origin.message_id,
        "thread_id": event.origin.thread_id,
        "at": event.at.isoformat(),
    }


@pytest.mark.parametrize("case", CASES)
def test_payload(case: dict[str, Any]) -> None:
    decoded = decode(case["envelope"], BOT_OPEN_ID, NOW)
    if isinstance(decoded, Ignored):
        found = {"type": "ignored", "event_type": decoded.event_type, "reason": decoded.reason}
    else:
        found = described(decoded)
        assert ChatEvent.from_json(json.loads(json.dumps(decoded.to_json()))) == decoded
        found["text"].encode()  # fits into a database: no half characters
    assert {name: found[name] for name in case["expect"]} == case["expect"]


def test_all_files_are_read() -> None:
    assert {file.stem for file in DATA.glob("*.json")} >= {"text", "post", "ignored", "action", "around"}
    assert len(CASES) > 50


def test_trap_2_key_is_the_message_id_because_feishu_changes_event_ids() -> None:
    first = decode(message(App(), "x", message_id="om_1", event_id="a"), "", NOW)
    second = decode(message(App(), "x", message_id="om_1", event_id="b"), "", NOW)
    assert isinstance(first, ChatEvent)
    assert isinstance(second, ChatEvent)
    assert first.key == second.key == "om_1"


def test_until_its_id_is_known_a_mentioned_bot_is_taken_for_the_bot() -> None:
    mentions = [mention(1, BOT_OPEN_ID, "墨契", "bot"), mention(2, "ou_li", "李雷")]
    decoded = decode(message(App(), "@_user_1 hi @_user_2", group=True, mentions=mentions), "", NOW)
    assert isinstance(decoded, ChatEvent)
    assert (decoded.text, decoded.mentioned) == ("hi @李雷", True)


@pytest.mark.parametrize(
    ("text", "for_us"),
    [
        ("/draw 猫", True),
        ("／draw 猫", True),
        ("\u3000／draw　猫", True),
        ("\u200b\u00a0/draw 猫", True),
        ("@_user_1 /draw 猫", True),
        ("@_user_1\u3000／draw　猫", True),
        ("画一只猫", False),
        ("@_user_2 /draw 猫", False),
        ("@_all 开会了", False),
        ("1/2 好了", False),
    ],
)
def test_trap_13_in_a_group_a_command_is_for_us_however_it_was_typed(text: str, for_us: bool) -> None:
    mentions = [mention(1, BOT_OPEN_ID, "墨契", "bot"), mention(2, "ou_li", "李雷")]
    said = message(App(), text, group=True, mentions=[one for one in mentions if one["key"] in text])
    decoded = decode(said, BOT_OPEN_ID, NOW)
    assert isinstance(decoded, ChatEvent)
    assert talk_of_others(decoded) is not for_us
    assert not for_us or isinstance(parse(decoded.text, Rules()), Draw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("1795262400", "2026-11-21T12:00:00+00:00"),
        ("1795262400000", "2026-11-21T12:00:00+00:00"),
        ("1795262400000000", "2026-11-21T12:00:00+00:00"),
        (1795262400, "2026-11-21T12:00:00+00:00"),
        (" 1795262400 ", "2026-11-21T12:00:00+00:00"),
        ("2026-11-21 20:00:00.123456789 +0800 CST m=+0.000123", "2026-11-21T12:00:00+00:00"),
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00+00:00"),
        ("2026-11-21 12:00:00", "2026-11-21T12:00:00+00:00"),
        ("99999999999999999999", "1970-01-01T00:00:00+00:00"),
        ("2026-13-41 12:00:00", None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("１７９５", None),
        (None, None),
    ],
)
def test_instant(raw: object, expected: str | None) -> None:
    found = instant(raw)
    if raw == "99999999999999999999":  # whatever it is, it does not raise
        assert found is not None
        return
    assert (found.isoformat() if found else None) == expected
