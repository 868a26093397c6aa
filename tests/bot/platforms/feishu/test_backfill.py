"""Missed messages: an entry of the list becomes what its event would have been, and every app keeps its own name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.events import ChatEvent, Ignored
from bot.platforms.feishu.backfill import as_envelope, for_us, known_chats
from bot.platforms.feishu.decode import decode
from storage import inbox
from storage.database import Database
from storage.records import ChatType
from tests.blank import blank
from tests.bot.platforms.feishu.test_decode import CASES
from tests.simulators import feishu_events as events
from tests.simulators.feishu import listed
from tests.simulators.feishu_events import BOT_OPEN_ID, App

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
APP = App()
MESSAGES: dict[str, dict[str, Any]] = {
    "text": events.message(APP, "/draw 一只猫"),
    "group": events.message(
        APP,
        "@_user_1 画 @_user_2",
        group=True,
        mentions=[events.mention(1, BOT_OPEN_ID, "墨契", "bot"), events.mention(2, "ou_li", "李雷")],
        thread_id="omt_1",
    ),
    "post": events.post(APP, [[{"tag": "text", "text": "/draw"}, {"tag": "img", "image_key": "img_1"}]]),
    "image": events.message(APP, {"image_key": "img_v3_x"}, kind="image"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_an_entry_of_the_list_is_decoded_as_its_event_is(name: str) -> None:
    event = MESSAGES[name]["event"]
    direct = event["message"]["chat_type"] == "p2p"
    entry = listed(event)
    assert "chat_type" not in entry
    fetched = decode(as_envelope(entry, ChatType.DIRECT if direct else ChatType.GROUP), BOT_OPEN_ID, NOW)
    pushed = decode(MESSAGES[name], BOT_OPEN_ID, NOW)
    assert isinstance(fetched, ChatEvent)
    assert isinstance(pushed, ChatEvent)
    # A message knows its organisation, but nothing says which one the app itself is installed in.
    same = [field for field in pushed.to_json() if field != "home"]
    assert {field: fetched.to_json()[field] for field in same} == {field: pushed.to_json()[field] for field in same}


@pytest.mark.parametrize("entry", [{}, {"sender": None, "body": None, "mentions": None}, {"mentions": ["x"]}])
def test_an_entry_that_says_nothing_is_nothing(entry: dict[str, Any]) -> None:
    assert isinstance(decode(as_envelope(entry, ChatType.GROUP), BOT_OPEN_ID, NOW), Ignored)


@pytest.mark.parametrize(
    ("text", "mentioned", "ours"),
    [
        ("/draw", False, True),
        ("／画 猫", False, True),
        ("你好", True, True),
        ("你好", False, False),
        ("", False, False),
    ],
)
def test_in_a_group_only_what_is_said_to_the_bot_is_for_us(text: str, mentioned: bool, ours: bool) -> None:
    event = decode(MESSAGES["group"], BOT_OPEN_ID, NOW)
    assert isinstance(event, ChatEvent)
    assert for_us(replace(event, text=text, mentioned=mentioned)) is ours


@pytest.mark.parametrize("case", CASES)
def test_every_event_of_a_further_app_belongs_to_it(case: dict[str, Any]) -> None:
    """Whatever kind of event is decoded: nobody of one app is taken for somebody of another."""
    event = decode(case["envelope"], BOT_OPEN_ID, NOW, "feishu-design")
    if isinstance(event, ChatEvent):
        people = [event.sender, *(mention.identity for mention in event.mentions)]
        assert {event.platform, event.origin.platform, *(person.platform for person in people)} == {"feishu-design"}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


def test_the_chats_we_know_are_those_people_wrote_in(db: Database) -> None:
    def keep(envelope: dict[str, Any], at: datetime, platform: str = "feishu") -> None:
        event = decode(envelope, BOT_OPEN_ID, at, platform)
        assert isinstance(event, ChatEvent)
        db.run_sync(inbox.accept, platform, event.key, event.to_json(), at)

    keep(events.message(APP, "x", chat_id="oc_old"), NOW - timedelta(days=61))
    keep(events.message(APP, "x", chat_id="oc_1"), NOW - timedelta(days=2))
    keep(events.message(APP, "x", chat_id="oc_2", group=True), NOW - timedelta(days=1))
    keep(events.message(APP, "x", chat_id="oc_1"), NOW)
    keep(events.message(APP, "x", chat_id="oc_other"), NOW, "feishu-design")
    keep(events.recalled(APP, "om_1", chat_id="oc_recalled"), NOW)  # does not tell what kind of chat it is
    found = db.read_sync(known_chats, "feishu", NOW - timedelta(days=60))
    assert list(found.items()) == [("oc_1", ChatType.DIRECT), ("oc_2", ChatType.GROUP)]
