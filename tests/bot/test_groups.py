"""Reservations that are also posted to a group: named with --to, kept, posted with the outcome, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from bot.commands import Draw, Redo, Reserve, Rules, UsageError, parse
from bot.delivery import Post, Skip, Wait, _for_owner, decide
from bot.groups import Groups, groups, origin
from bot.handlers.draw import changed
from bot.moderation import Rule, Screen
from bot.ordering import BOOKED
from bot.platforms.wecom.settings import WecomWebhook
from bot.render import Renderer
from bot.replies import Words
from scheduler import queue
from scheduler.policy import Policy
from scheduler.queue import COPIES
from storage import assets, jobs, outbox
from storage.database import Database
from storage.migrations import migrate
from storage.outbox import BLOCKED
from storage.records import Allowance, ChatType, Delivery, DeliveryState, Job, Kind, Unit
from tests.bot.test_reserve import Chat, house

NAMED = ("设计群", "ops-team")
RULES = Rules(groups=NAMED)
GROUPS = Groups(named=(*NAMED, "all"), every=("all",), alerts=("ops-team",))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'moqi.db'}"
    migrate(url)
    with Database.open(url) as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    home = house()
    return Chat(db, replace(home, groups=GROUPS, rules=replace(home.rules, groups=GROUPS.named)))


# --- what is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("/draw 猫 --at 明天9:00 --to 设计群", "设计群"),
        ("/draw --to 设计群 猫 --every 每天9:00", "设计群"),
        ("/draw 猫 --at 22:00 --to “设计群”", "设计群"),
        ("/draw 猫 --at 22:00 —to OPS-Team", "ops-team"),
        ("/draw 猫 --at 22:00 --to ｏｐｓ-team", "ops-team"),
        ("/reserve 明天9:00 画 一只猫 --to=设计群", "设计群"),
        ("/draw 猫 --at 22:00", ""),
        ("/draw 猫 --at 22:00 -- --to 设计群", ""),
    ],
)
def test_a_group_is_named(text: str, to: str) -> None:
    found = parse(text, RULES)
    assert isinstance(found, Reserve)
    assert found.to == to


@pytest.mark.parametrize(
    ("text", "rules", "code", "says"),
    [
        ("/draw 猫 --at 22:00 --to 设汁群", RULES, "unknown_group", "--to 设计群"),
        ("/draw 猫 --at 22:00 --to 财务", RULES, "unknown_group", "设计群 / ops-team"),
        ("/draw 猫 --at 22:00 --to 设计群", Rules(), "no_groups", "wecom.webhooks"),
        ("/draw 猫 --to 设计群", RULES, "to_alone", "--at"),
        ("/redo 17 --to 设计群", RULES, "to_alone", "--at"),
        ("/draw 猫 --at 22:00 --to", RULES, "missing_value", "--to 设计群"),
        ("/draw 猫 --at 22:00 --to 设计群 --to 设计群", RULES, "repeated_flag", "--to"),
    ],
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_wrong_is_said_with_what_would_be_right(
    text: str, rules: Rules, code: str, says: str, language: str
) -> None:
    found = parse(text, rules)
    assert isinstance(found, UsageError)
    assert found.code == code
    assert says in Words(language).usage(found).text


def test_what_settings_say_of_the_groups() -> None:
    made = {
        "a": WecomWebhook.model_validate("key-a"),
        "b": WecomWebhook.model_validate({"url": "key-b", "reservations": "all", "alerts": False}),
        "c": WecomWebhook.model_validate({"url": "key-c", "reservations": "none"}),
    }
    found = groups(made)
    assert found == Groups(named=("a", "b"), every=("b",), alerts=("a", "c"))
    assert [found.given({"to": name}) for name in ("", "a", "b", "c", "gone")] == [
        ("b",),
        ("a", "b"),
        ("b",),
        ("b",),
        ("b",),
    ]


# --- what becomes of it -------------------------------------------------------------------------------------------


def reserved(chat: Chat, text: str) -> Job:
    """The job that a confirmed reservation orders the next morning."""
    chat.say(text)
    assert chat.push("确认")[0] == "success"
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    return chat.db.read_sync(jobs.recent)[0]


def finished(chat: Chat, result: dict[str, Any], *, picture: bool = True) -> dict[str, Delivery]:
    """Its messages, once it has ended."""

    def end(conn: Connection) -> dict[str, Delivery]:
        claim = queue.claim(conn, Kind.DRAW, lambda job: 1, chat.house.policy, chat.now)
        assert claim is not None
        (job,) = claim.jobs
        if picture:
            made: dict[str, Any] = {"sha256": "0" * 64, "media_type": "image/png", "size": 1, "width": 8, "height": 8}
            result["assets"] = [assets.add(conn, **made, job_id=job.id, index=0, now=chat.now)]
        assert queue.succeed(conn, job, result, 0.5, chat.now)
        return outbox.of_job(conn, job.id)

    return chat.db.run_sync(end)


def test_the_card_and_the_job_know_it_and_the_group_gets_the_picture_with_the_outcome(chat: Chat) -> None:
    job = reserved(chat, "/draw 猫 --at 明天9:00 --to ops-team")
    assert dict(chat.card().fields)["同时发到"] == "ops-team、all"
    assert chat.kept().params["to"] == "ops-team"
    told = finished(chat, {"seeds": [7]})
    assert list(told) == ["card", "outcome", "to-ops-team", "to-all"]
    copy = told["to-ops-team"]
    assert (copy.key, copy.origin) == (f"job-{job.id}-to-ops-team", origin("ops-team"))
    assert copy.origin.chat_type is ChatType.GROUP
    assert copy.origin.chat_id == "webhook:ops-team"


def test_the_group_sees_the_picture_and_nothing_of_its_owners_affairs(chat: Chat) -> None:
    chat.house = replace(chat.house, policy=replace(chat.house.policy, warn_at=1))
    job = reserved(chat, "/draw 猫 --at 明天9:00 --to 设计群")
    assert job.notices  # its owner is told that little is left
    told = finished(chat, {"seeds": [7], "seconds": 2.0})
    render = Renderer(lambda: chat.house)
    own = chat.db.read_sync(render.delivery, told["outcome"])
    shared = chat.db.read_sync(render.delivery, told["to-设计群"])
    assert own.note != shared.note == "内容由 AI 生成"
    assert shared.text == "猫"
    assert shared.pictures == own.pictures
    assert (shared.buttons, shared.form) == ((), None)
    assert dict(shared.fields) == {"预约": f"r{job.params[BOOKED]['reservation']}"}


@pytest.mark.parametrize("text", ["/draw 猫 --at 明天9:00", "/draw 猫"])
def test_nobody_else_is_given_what_was_not_named(chat: Chat, text: str) -> None:
    chat.house = replace(chat.house, groups=replace(GROUPS, every=()))
    chat.say(text)
    if "--at" in text:
        chat.push("确认")
        chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
        chat.fire()
    assert list(finished(chat, {})) == ["card", "outcome"]


def test_without_a_picture_there_is_nothing_to_share(chat: Chat) -> None:
    reserved(chat, "/draw 猫 --at 明天9:00 --to 设计群")
    assert list(finished(chat, {}, picture=False)) == ["card", "outcome"]


def test_what_fails_or_is_cancelled_is_not_shared(chat: Chat) -> None:
    def end(conn: Connection, job: Job) -> list[str]:
        queue.cancel(conn, job, "user:1", chat.now)
        return list(outbox.of_job(conn, job.id))

    job = reserved(chat, "/draw 猫 --at 明天9:00 --to 设计群")
    assert chat.db.run_sync(end, job) == ["card", "outcome"]


NOTHING = Policy(timezone=ZoneInfo("Asia/Shanghai"), allowances={Unit.DRAW: (Allowance(amount=0, period="day"),)})
NO_CATS = Screen(rules=(Rule(name="no cats", words=frozenset({"猫"})),))


@pytest.mark.parametrize("since", [{"policy": NOTHING}, {"screen": NO_CATS}], ids=["quota", "words"])
def test_what_is_refused_since_it_was_booked_never_reaches_a_group(chat: Chat, since: dict[str, Any]) -> None:
    chat.say("/draw 猫 --at 明天9:00 --to 设计群")
    chat.push("确认")
    chat.house = replace(chat.house, **since)
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    assert chat.db.read_sync(jobs.recent) == []
    assert {one.origin.chat_id for one in chat.sent()} == {"oc_team"}


def test_drawing_it_again_is_for_the_one_who_does(chat: Chat) -> None:
    job = reserved(chat, "/draw 猫 --at 明天9:00 --to 设计群")
    assert set(job.params[COPIES]) == {"设计群", "all"}
    again = changed(job.params, Redo(job=job.id))
    assert not {COPIES, BOOKED, "to"} & set(again)


def test_help_names_the_groups_where_there_are_some(chat: Chat) -> None:
    chat.say("/help to")
    assert "`--to 设计群`" in chat.said()
    assert "ops-team" in chat.said()
    chat.house = replace(chat.house, rules=Rules())
    chat.say("/help reserve")
    assert "--to" not in chat.said()


# --- how it is sent -----------------------------------------------------------------------------------------------


def message(slot: str, state: DeliveryState = DeliveryState.PENDING, **values: Any) -> Delivery:
    fields: dict[str, Any] = {"attempts": 1, "receipt": {}} | values
    return Delivery(
        id=1,
        key=f"job-1-{slot}",
        origin=origin("设计群"),
        job_id=1,
        slot=slot,
        body={},
        state=state,
        reason="",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
        sent_at=None,
        **fields,
    )


COPY = message("to-设计群")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (None, Post),
        (message("outcome"), Wait),  # its owner first
        (message("outcome", attempts=4), Post),  # their platform is down: the group need not wait for that
        (message("outcome", DeliveryState.SENT), Post),
        (message("outcome", DeliveryState.FAILED), Post),
        (message("outcome", receipt={BLOCKED: "an audit"}), Skip),
        (message("outcome", DeliveryState.SENT, receipt={BLOCKED: "an audit"}), Skip),
    ],
)
def test_a_copy_follows_its_outcome(outcome: Delivery | None, expected: type) -> None:
    siblings = {"card": message("card", DeliveryState.SENT), COPY.slot: COPY}
    assert isinstance(decide(COPY, siblings | ({"outcome": outcome} if outcome else {})), expected)


def test_a_copy_that_a_group_does_not_take_goes_to_nobody_else(chat: Chat) -> None:
    reserved(chat, "/draw 猫 --at 明天9:00 --to 设计群")
    told = finished(chat, {})
    assert chat.db.read_sync(_for_owner, told["outcome"])
    assert not chat.db.read_sync(_for_owner, told["to-设计群"])


def test_an_order_for_now_has_no_group() -> None:
    assert isinstance(parse("/draw 猫", RULES), Draw)
