"""The oracle has teeth: every invariant, broken on purpose, is found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, make_url, text

from scheduler import queue, quota
from scheduler.policy import Policy
from scheduler.queue import Submission
from scheduler.verify import verify
from storage import assets, audit, inbox, jobs, outbox, users
from storage.database import Database
from storage.files import Files
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow
from tests.blank import blank, postgres_database

DAY, MONTH = Allowance(amount=9, period="day"), Allowance(amount=90, period="month")
POLICY = Policy(
    timezone=ZoneInfo("UTC"),
    allowances=dict.fromkeys(Unit, (DAY, MONTH)),
    shared={"group:web:1": {Unit.DRAW: (DAY,)}},
)
LATER = timedelta(minutes=5)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A copy of that life: to live it takes ten times as long."""
    lived: Path = request.getfixturevalue("lived")
    shutil.copytree(lived / "files", tmp_path / "files")
    if request.param == "sqlite":
        with Database.open(f"sqlite:///{shutil.copy(lived / 'moqi.db', tmp_path)}") as opened:
            yield opened
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("lived_postgres")
    with postgres_database(server, template) as url, Database.open(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that life in a SQLite database, and its files."""
    folder = tmp_path_factory.mktemp("lived")
    with Database.open(blank(folder / "moqi.db")) as opened:
        live(opened, Files(folder / "files"))
    return folder


@pytest.fixture(scope="module")
def lived_postgres(postgres_url: str, postgres_blank: str, lived: Path) -> Iterator[str]:
    """The name of a PostgreSQL database with that life."""
    with postgres_database(postgres_url, postgres_blank) as url:
        with Database.open(url) as opened:
            live(opened, Files(lived / "files"))
        yield str(make_url(url).database)


def live(db: Database, files: Files) -> None:
    """A small healthy life in a group with a quota: one picture delivered, one order cancelled, one waiting."""
    user = db.run_sync(users.resolve, Identity(platform="web", external_id="anna"), "anna", utcnow())
    for number in range(3):
        key = f"m{number}"
        origin = Origin(platform="web", chat_id="1", chat_type=ChatType.GROUP, message_id=key, sender="anna")
        entry = db.run_sync(inbox.accept, "web", key, {}, utcnow())
        wanted = Submission(
            key=f"web:{key}",
            kind=Kind.DRAW,
            user=user,
            origin=origin,
            params={"count": 1},
            cost=2,
            work=1.0,
            card=lambda conn, job, place: {},
        )
        job = db.run_sync(queue.submit, wanted, POLICY, utcnow())
        assert isinstance(job, Job)
        assert entry is not None
        db.run_sync(inbox.handled, entry, f"job:{job.id}", utcnow())
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, utcnow())
    assert claim is not None
    done = claim.jobs[0]
    sha = files.put(b"a picture")
    db.run_sync(
        assets.add, sha256=sha, media_type="image/png", size=9, width=1, height=1, job_id=1, index=0, now=utcnow()
    )
    db.run_sync(queue.succeed, done, {"seeds": [1]}, 1.0, utcnow())
    cancelled = db.read_sync(jobs.get, 2)
    assert cancelled is not None
    db.run_sync(queue.cancel, cancelled, "user:1", utcnow())
    for delivery in db.run_sync(outbox.claim, utcnow(), timedelta(seconds=9), 9):
        db.run_sync(outbox.sent, delivery.id, {"message_id": "1"}, utcnow())
    db.run_sync(audit.seal)


def execute(conn: Connection, statement: str) -> None:
    conn.execute(text(statement))


def broken(db: Database, files: Files) -> list[int]:
    """The numbers of the invariants that do not hold, as the contract counts them."""
    checks = db.read_sync(verify, files, utcnow() + LATER)
    return [number for number, check in enumerate(checks, 1) if not check.ok]


def test_a_healthy_life_breaks_nothing(db: Database, files: Files) -> None:
    assert broken(db, files) == []


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        ("update inbox set handled_at = null, outcome = '' where id = 1", 1),
        ("update inbox set outcome = 'job:99', key = 'elsewhere' where id = 1", 1),
        ("update stretches set jobs = jobs + 1", 1),
        ("update stretches set work = work + 1", 1),
        ("update stretches set vtag = vtag + 99", 1),
        ("delete from stretches", 1),
        ("update turns set waiting = waiting + 1", 1),
        ("delete from turns", 1),
        ("update jobs set state = 'queued', result = null where id = 1", 1),
        ("delete from outbox where job_id = 1 and slot = 'outcome'", 2),
        ("update outbox set job_id = 3 where job_id = 1 and slot = 'outcome'", 2),
        ("update outbox set state = 'failed', reason = '' where job_id = 2 and slot = 'card'", 2),
        ("update outbox set sent_at = null where job_id = 1", 2),
        ("update jobs set result = null where id = 1", 2),
        ("update accounts set balance = balance + 1", 3),
        ("delete from accounts", 3),
        ("delete from ledger where kind = 'settle'", 3),
        ("delete from ledger where kind = 'refund'", 3),
        ("delete from ledger where job_id = 3", 3),
        ("update accounts set granted = granted + 1", 3),
        ("delete from ledger where account like 'group:%' and kind = 'refund'", 3),
        ("update ledger set amount = -1 where account like 'group:%' and kind = 'hold' and job_id = 1", 3),
        ("update ledger set account = 'user:99' where account like 'user:%' and job_id is not null", 3),
        ("update ledger set amount = -3 where bucket like 'month:%' and kind = 'hold' and job_id = 1", 3),
        ("update ledger set bucket = 'extra' where bucket like 'month:%' and kind = 'hold' and job_id = 1", 3),
        ("update jobs set cost = 1 where id = 1", 3),
        ("update ledger set amount = -1 where job_id = 1 and kind = 'hold'", 3),
        ("update ledger set kind = 'settle' where kind = 'refund'", 3),
        ("delete from assets", 5),
    ],
)
def test_each_damage_is_found(db: Database, files: Files, damage: str, invariant: int) -> None:
    db.run_sync(execute, damage)
    assert invariant in broken(db, files)


def test_a_changed_or_missing_file_is_found(db: Database, files: Files) -> None:
    sha = next(files.iterate())[0]
    files.path(sha).write_bytes(b"another picture")
    assert broken(db, files) == [5]
    files.delete(sha)
    assert broken(db, files) == [5]


def test_what_people_gave_needs_its_file_like_what_was_made(db: Database, files: Files) -> None:
    sha = files.put(b"given")
    size: dict[str, Any] = {"media_type": "image/png", "size": 5, "width": 1, "height": 1}
    db.run_sync(lambda conn: assets.take(conn, sha256=sha, now=utcnow(), **size))
    assert broken(db, files) == []
    files.delete(sha)
    assert broken(db, files) == [5]


def test_a_file_without_a_row_is_found_once_it_is_no_longer_young(db: Database, files: Files) -> None:
    files.put(b"nobody's")
    young = db.read_sync(verify, files, utcnow())
    assert [check.ok for check in young] == [True] * 6
    assert broken(db, files) == [5]


def test_what_could_not_be_delivered_must_cost_nothing(db: Database, files: Files) -> None:
    db.run_sync(execute, "update outbox set state = 'failed', reason = 'gone' where job_id = 1 and slot = 'outcome'")
    assert broken(db, files) == [3]
    db.run_sync(quota.give_back, 1, utcnow(), "gone")
    assert broken(db, files) == []
