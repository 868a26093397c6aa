"""After its time nothing of what was asked and answered is found anywhere in the database; the books stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from bot import forgetting as rule
from bot.events import ChatEvent
from bot.forgetting import forget
from bot.platforms.web import wire
from bot.replies import Words
from bot.router import handle
from scheduler import queue
from scheduler.verify import verify
from storage import audit, feedback, forgetting, inbox, jobs, ledger, messages, outbox
from storage.database import Database
from storage.files import Files
from storage.records import Job, JobState, Kind
from storage.tables import jobs as table
from storage.tables import metadata
from storage.tables import outbox as sending
from tests.bot.test_reserve import NOW, house

DAYS = 30
OLD = NOW - timedelta(days=DAYS + 1)
CANARIES = ("蓝鲸问题", "白鸽回答", "海豚意见", "骆驼引文")


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def asked(conn: Connection, key: str, at: Any) -> int:
    """A question on the web page, kept wherever such a thing is kept, up to its job."""
    event = wire.message_event(user_id=1, name="anna", browser_id=key, text=f"蓝鲸问题{key}", at=at)
    event = ChatEvent.from_json({**event.to_json(), "value": {"quote": "骆驼引文"}})
    entry = inbox.accept(conn, event.platform, event.key, event.to_json(), at)
    assert entry is not None
    handled = handle(conn, house(), entry, event, at)
    messages.add(conn, key=event.key, user_id=1, author="user", body={"text": event.text}, now=at)
    return int(handled.outcome.removeprefix("job:"))


def answered(conn: Connection, key: str, at: Any) -> Job:
    number = asked(conn, key, at)
    claim = queue.claim(conn, Kind.ASK, lambda head: 1, house().policy, at)
    assert claim is not None
    result = {"text": "白鸽回答 [1]", "citations": [{"quote": "骆驼引文", "passage": 1}], "grounded": True, "tokens": 7}
    assert queue.succeed(conn, claim.jobs[0], result, 0.1, at)
    for one in outbox.of_job(conn, number).values():
        messages.add(conn, key=wire.bot_key(one.key), user_id=1, author="bot", body={"text": "白鸽回答"}, now=at)
        outbox.sent(conn, one.id, {"message_id": "5"}, at)
    feedback.say(conn, number, 1, feedback.DOWN, at, ["wrong"], "海豚意见")
    return job_of(conn, number)


def job_of(conn: Connection, number: int) -> Job:
    found = jobs.get(conn, number)
    assert found is not None
    return found


def everything(conn: Connection) -> str:
    """Every row of every table, as text."""
    return "\n".join(str(tuple(row)) for one in metadata.sorted_tables for row in conn.execute(select(one)))


async def test_nothing_of_it_is_left_and_the_books_stay(db: Database, tmp_path: Path) -> None:
    old = await db.run(answered, "older-one", OLD)
    before = await db.read(ledger.of_job, old.id)
    held = await db.read(everything)
    assert all(canary in held for canary in CANARIES)
    assert await forget(db, Words("zh"), DAYS, "retention", NOW) == 1
    left = await db.read(everything)
    assert [canary for canary in CANARIES if canary in left] == []
    job = await db.read(job_of, old.id)
    assert (job.params, job.result, job.cleared) == ({"question": ""}, {}, DAYS)
    assert (job.state, job.cost, job.user_id, job.finished_at) == (
        JobState.DONE,
        old.cost,
        old.user_id,
        old.finished_at,
    )
    assert await db.read(ledger.of_job, old.id) == before
    assert await db.read(feedback.remarks, old.id) == feedback.Remarks(reasons={"wrong": 1})
    assert [one.body["text"] for one in await db.read(messages.page, 1)][1:] == [
        Words("zh").say("cleared.text", days=DAYS)
    ] * 2
    [entry] = [one for one in await db.read(audit.entries) if one.action == "questions.removed"]
    assert (entry.actor, entry.detail) == ("retention", {"days": DAYS, "questions": 1})
    assert [check for check in await db.read(verify, Files(tmp_path), NOW) if check.broken] == []


async def test_what_is_younger_or_under_way_or_a_picture_stays(db: Database) -> None:
    await db.run(answered, "younger-one", NOW - timedelta(days=DAYS - 1))
    await db.run(asked, "waiting-one", OLD)
    telling = await db.run(answered, "telling-one", OLD)

    def unsent(conn: Connection) -> None:
        delivery = outbox.of_job(conn, telling.id)["outcome"]
        conn.execute(update(sending).where(sending.c.id == delivery.id).values(state="pending"))

    drawn = await db.run(answered, "drawn-one", OLD)
    await db.run(unsent)
    await db.run(lambda conn: conn.execute(update(table).where(table.c.id == drawn.id).values(kind=Kind.DRAW)))
    before = await db.read(everything)
    assert await db.read(forgetting.due, NOW - timedelta(days=DAYS)) == 0
    assert await forget(db, Words("zh"), DAYS, "retention", NOW) == 0
    assert await forget(db, Words("zh"), 0, "retention", NOW + timedelta(days=999)) == 0
    assert await db.read(everything) == before


async def test_many_go_in_batches_each_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "BATCH", 2)
    for number in range(5):
        await db.run(answered, f"number-{number}", OLD)
    assert await db.read(forgetting.due, NOW - timedelta(days=DAYS)) == 5
    assert await forget(db, Words("en"), DAYS, "retention", NOW) == 5
    assert await forget(db, Words("en"), DAYS, "retention", NOW) == 0
