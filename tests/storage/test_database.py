"""The one door: what came back was committed, what failed left nothing, and nobody waits for more than they must."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from storage import database
from storage.database import Database, data_lock, located
from storage.errors import Busy, Closed, Corrupt, Locked, StorageError, Unreachable
from storage.tables import conversations
from storage.writer import ATTEMPTS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """An open database with one small table, `kept(n)`."""
    with Database.open(database_url) as opened:
        opened.run_sync(make_table)
        yield opened


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with Database.open(data=tmp_path) as opened:
        opened.run_sync(make_table)
        yield opened


@pytest.fixture
async def busy(sqlite: Database) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Keeps the writing thread occupied until called, so that what is run meanwhile becomes one group."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(conn: Connection) -> None:
        entered.set()
        go_on.wait(30)

    blocker = asyncio.ensure_future(sqlite.run(wait))
    await asyncio.to_thread(entered.wait, 30)

    async def release() -> None:
        await asyncio.sleep(0)  # what was just started gets into the line
        go_on.set()
        await blocker

    yield release
    go_on.set()
    await blocker


def make_table(conn: Connection) -> None:
    conn.execute(text("create table kept (id integer primary key, n integer not null unique)"))
    if conn.dialect.name == "postgresql":
        conn.execute(text("create sequence kept_id owned by kept.id"))
        conn.execute(text("alter table kept alter id set default nextval('kept_id')"))


def keep(conn: Connection, n: int) -> int:
    conn.execute(text("insert into kept (n) values (:n)"), {"n": n})
    return n


def kept(conn: Connection) -> list[int]:
    return list(conn.execute(text("select n from kept order by id")).scalars())


def fail(conn: Connection, n: int) -> None:
    keep(conn, n)
    raise LookupError(n)


async def test_a_returned_call_is_committed_and_seen_by_readers(db: Database) -> None:
    assert await db.run(keep, 1) == 1
    assert await db.run(keep, n=2) == 2
    assert await db.read(kept) == db.read_sync(kept) == [1, 2]


async def test_what_a_call_raises_comes_out_and_undoes_it(db: Database) -> None:
    with pytest.raises(LookupError):
        await db.run(fail, 1)
    with pytest.raises(LookupError):
        db.run_sync(fail, 2)
    assert await db.read(kept) == []


async def test_a_broken_constraint_stays_an_integrity_error(db: Database) -> None:
    await db.run(keep, 1)
    with pytest.raises(IntegrityError):
        await db.run(keep, 1)
    assert await db.read(kept) == [1]


async def test_five_hundred_callers_at_once_all_get_their_own_answer(db: Database) -> None:
    assert await asyncio.gather(*(db.run(keep, n) for n in range(500))) == list(range(500))
    assert sorted(await db.read(kept)) == list(range(500))


async def test_calls_are_done_in_the_order_they_came(sqlite: Database) -> None:
    await asyncio.gather(*(sqlite.run(keep, n) for n in reversed(range(200))))
    assert await sqlite.read(kept) == list(reversed(range(200)))


async def test_waiting_calls_share_one_commit_and_none_is_answered_before_it(
    sqlite: Database, busy: Callable[[], Awaitable[None]]
) -> None:
    seen: dict[str, Any] = {}
    entered, go_on = threading.Event(), threading.Event()

    def look(conn: Connection) -> None:
        seen["inside"], seen["outside"] = kept(conn), sqlite.read_sync(kept)
        entered.set()
        go_on.wait(30)

    first, second = asyncio.ensure_future(sqlite.run(keep, 1)), asyncio.ensure_future(sqlite.run(look))
    await busy()
    await asyncio.to_thread(entered.wait, 30)
    assert not first.done()
    go_on.set()
    await asyncio.gather(first, second)
    assert seen == {"inside": [1], "outside": []}


async def test_a_failing_call_spoils_only_itself_in_a_group(
    sqlite: Database, busy: Callable[[], Awaitable[None]]
) -> None:
    calls = [asyncio.ensure_future(sqlite.run(fail if n % 3 == 1 else keep, n)) for n in range(9)]
    await busy()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [LookupError if n % 3 == 1 else int for n in range(9)]
    assert await sqlite.read(kept) == [0, 2, 3, 5, 6, 8]


async def test_a_caller_that_leaves_disturbs_nobody_and_its_call_is_done(db: Database) -> None:
    calls = [asyncio.ensure_future(db.run(keep, n)) for n in range(50)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await db.run(keep, 50)
    await asyncio.to_thread(db.close)
    with Database.open(db.url) as again:
        assert sorted(again.read_sync(kept)) == list(range(51))


async def test_neither_writing_nor_reading_blocks_the_event_loop(db: Database) -> None:
    for door in (db.run, db.read):
        released = threading.Event()
        waiting = asyncio.ensure_future(door(lambda conn, event: event.wait(30), released))
        await asyncio.sleep(0.01)
        released.set()  # a blocked loop would never come here
        assert await waiting is True


async def test_reading_goes_on_while_a_write_is_open(db: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        keep(conn, 1)
        entered.set()
        go_on.wait(30)

    writing = asyncio.ensure_future(db.run(slow))
    await asyncio.to_thread(entered.wait, 30)
    assert await asyncio.gather(*(db.read(kept) for _ in range(20))) == [[]] * 20
    go_on.set()
    await writing
    assert await db.read(kept) == [1]


async def test_a_read_sees_one_snapshot_throughout(db: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def twice(conn: Connection) -> tuple[list[int], list[int]]:
        before = kept(conn)
        entered.set()
        go_on.wait(30)
        return before, kept(conn)

    reading = asyncio.ensure_future(db.read(twice))
    await asyncio.to_thread(entered.wait, 30)
    await db.run(keep, 1)
    go_on.set()
    assert await reading == ([], [])


async def test_reading_refuses_to_write(db: Database) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
        await db.read(keep, 1)
    await db.run(keep, 1)


async def test_a_naive_datetime_is_refused(db: Database) -> None:
    await db.run(conversations.create)

    def naive(conn: Connection) -> None:
        conn.execute(conversations.insert().values(key="a", started_at=datetime(2026, 1, 1)))

    with pytest.raises(StatementError, match="naive datetime"):
        await db.run(naive)


async def test_stop_iteration_reaches_the_caller_as_an_error(db: Database) -> None:
    for door in (db.run, db.read):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await door(lambda conn: next(iter([])))


async def test_no_open_cursor_leaves_its_thread(sqlite: Database) -> None:
    """Dropped by the event loop, it would wait for the writer's SQLite: for ever, if that connection was closed."""
    two = text("select 1 union select 2")
    kept: list[Any] = []

    def raising(conn: Connection) -> None:
        kept.append(conn.execute(two))
        raise LookupError

    for door in (sqlite.run, sqlite.read):
        kept.append(await door(lambda conn: conn.execute(two)))
        with pytest.raises(LookupError):
            await door(raising)
    assert len(kept) == 4
    for result in kept:
        with pytest.raises(DBAPIError, match="closed"):
            result.all()


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_itself(sqlite: Database) -> None:
    with pytest.raises(RuntimeError, match="wait for itself"):
        sqlite.run_sync(lambda conn: sqlite.run_sync(kept))


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest(db: Database) -> None:
    calls = [asyncio.ensure_future(db.run(keep, n)) for n in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(db.close)
    assert await asyncio.gather(*calls) == list(range(100))
    for door in (db.run, db.read):
        with pytest.raises(Closed):
            await door(kept)
    db.close()


def test_foreign_keys_hold_on_sqlite(sqlite: Database) -> None:
    sqlite.run_sync(lambda conn: conn.execute(text("create table child (n integer references kept (n))")))
    with pytest.raises(IntegrityError):
        sqlite.run_sync(lambda conn: conn.execute(text("insert into child values (7)")))


def test_every_commit_is_flushed_to_disk_on_sqlite(sqlite: Database) -> None:
    def pragmas(conn: Connection) -> list[Any]:
        return [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]

    assert sqlite.run_sync(pragmas) == ["wal", 2]


async def test_another_process_holding_the_file_makes_it_busy_until_it_lets_go(sqlite: Database) -> None:
    await sqlite.run(lambda conn: conn.exec_driver_sql("PRAGMA busy_timeout = 20"))
    with closing(raw(sqlite)) as other:
        other.execute("begin immediate")
        with pytest.raises(Busy, match="Try again") as told:
            await sqlite.run(keep, 1)
        assert told.value.transient
        other.execute("rollback")
    assert await sqlite.run(keep, 2) == 2


def raw(db: Database) -> Any:
    from sqlcipher3 import dbapi2

    return dbapi2.connect(db.url.database, isolation_level=None)


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "moqi.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(Corrupt, match="moqi restore"):
        Database.open(data=tmp_path)


def test_damage_is_found(sqlite: Database) -> None:
    assert sqlite.read_sync(database.damage) == []
    sqlite.run_sync(lambda conn: [keep(conn, n) for n in range(3000)])
    sqlite.close()
    file = Path(str(sqlite.url.database))
    content = bytearray(file.read_bytes())
    content[4096 * 4 : 4096 * 6] = b"\x00" * 4096 * 2
    file.write_bytes(content)
    with Database.open(sqlite.url) as again:
        try:
            assert again.read_sync(database.damage)
        except Corrupt:
            pass  # so damaged that the check itself stopped


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all/moqi.db", "postgresql+psycopg://user:hidden@127.0.0.1:1/moqi"]
)
def test_what_cannot_be_reached_is_said_at_once_without_the_password(url: str) -> None:
    with pytest.raises(Unreachable, match="MOQI_DATABASE_URL") as told:
        Database.open(url)
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///:memory:", "mysql://user:hidden@host/x", "::hidden::"])
def test_a_url_that_cannot_work_is_refused_with_what_can(url: str) -> None:
    with pytest.raises(StorageError, match=r"sqlite:///|MOQI_DATABASE_URL") as told:
        located(url)
    assert "hidden" not in str(told.value)


def test_the_plain_postgresql_scheme_means_our_driver() -> None:
    assert located("postgresql://h/x").drivername == "postgresql+psycopg"


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def loses(conn: Connection, tries: list[int], times: int) -> int:
    """Lose against another transaction the first `times` times."""
    keep(conn, 7)
    tries.append(1)
    if len(tries) <= times:
        conn.execute(text("do $$ begin raise exception 'lost' using errcode = 'serialization_failure'; end $$"))
    return len(tries)


@only_postgresql
async def test_a_transaction_that_lost_is_run_again(db: Database) -> None:
    assert await db.run(loses, [], 2) == 3
    assert await db.read(kept) == [7]


@only_postgresql
async def test_one_that_always_loses_is_given_up(db: Database) -> None:
    tries: list[int] = []
    with pytest.raises(Busy):
        await db.run(loses, tries, 99)
    assert len(tries) == ATTEMPTS


@only_postgresql
async def test_connections_that_the_server_ended_cost_no_call(db: Database) -> None:
    await asyncio.gather(*(db.run(keep, n) for n in range(8)))
    with Database.open(db.url) as other:
        end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        other.run_sync(lambda conn: conn.execute(text(f"{end} and pid <> pg_backend_pid()")).all())
    assert await asyncio.gather(*(db.run(keep, n) for n in range(8, 16))) == list(range(8, 16))


@only_postgresql
@pytest.mark.parametrize("way", ["run", "read"])
async def test_a_connection_that_ends_in_the_middle_is_a_database_that_cannot_be_reached(
    db: Database, way: str
) -> None:
    """And no defect of whoever used it: that would fail a job, or end the loop that serves a lane."""

    def cut(conn: Connection) -> None:
        pid = conn.execute(text("select pg_backend_pid()")).scalar_one()
        with Database.open(db.url) as other:
            other.run_sync(lambda theirs: theirs.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid}).all())
        conn.execute(text("select 1"))

    with pytest.raises(Unreachable):
        await getattr(db, way)(cut)
    assert await db.run(keep, 1) == 1


# --- the process dies, the disk is full ---------------------------------------------------------------------------

STORM = """
import asyncio, os, sys
from sqlalchemy import text
from storage.database import Database

async def caller(db, k):
    for n in range(int(sys.argv[2]) + k, 10**9, 32):
        await db.run(lambda conn: conn.execute(text("insert into kept (n) values (:n)"), {"n": n}))
        os.write(1, b"%d\\n" % n)

async def main():
    db = Database.open(sys.argv[1])
    await asyncio.gather(*(caller(db, k) for k in range(32)))

asyncio.run(main())
"""


def child(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE)


def test_kill_9_in_a_storm_loses_nothing_that_was_answered(db: Database, database_url: str) -> None:
    answered: list[int] = []
    for start in (0, 10**6):
        with child(STORM, database_url, str(start)) as storm:
            assert storm.stdout is not None
            answered += [int(storm.stdout.readline()) for _ in range(300)]
            storm.send_signal(signal.SIGKILL)
            answered += [int(line) for line in storm.stdout if line.endswith(b"\n")]
    assert len(answered) >= 600
    assert set(answered) <= set(db.read_sync(kept))
    assert db.read_sync(database.damage) == []


FULL = """
import asyncio, json, resource, sys, threading
from pathlib import Path
from sqlalchemy import text
from storage.database import Database
from storage.errors import DiskFull

async def main():
    db = Database.open(sys.argv[1])
    await db.run(lambda conn: conn.execute(text("create table blobs (n integer, b blob)")))
    put = lambda conn, n: conn.execute(text("insert into blobs values (:n, :b)"), {"n": n, "b": b"x" * 20000})
    await db.run(put, 0)
    entered, go_on = threading.Event(), threading.Event()
    blocker = asyncio.ensure_future(db.run(lambda conn: (entered.set(), go_on.wait(30))))
    await asyncio.to_thread(entered.wait)
    group = [asyncio.ensure_future(db.run(put, n)) for n in range(1, 21)]
    await asyncio.sleep(0)
    used = Path(db.url.database + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (used + 100_000, resource.RLIM_INFINITY))
    go_on.set()
    await blocker
    told = [type(e).__name__ for e in await asyncio.gather(*group, return_exceptions=True)]
    numbers = lambda conn: list(conn.execute(text("select n from blobs order by n")).scalars())
    without_space = await db.read(numbers)
    small = type((await asyncio.gather(db.run(put, 98), return_exceptions=True))[0]).__name__
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await db.run(put, 99)
    db.close()
    again = Database.open(sys.argv[1])
    print(json.dumps([told, without_space, small, again.read_sync(numbers)]))

asyncio.run(main())
"""


def test_a_full_disk_tells_every_caller_of_the_group_keeps_none_and_passes(tmp_path: Path) -> None:
    with child(FULL, f"sqlite:///{tmp_path}/moqi.db") as full:
        assert full.stdout is not None
        told, without_space, small, afterwards = json.load(full.stdout)
    assert told == ["DiskFull"] * 20
    assert without_space == [0]
    assert afterwards in ([0, 99], [0, 98, 99])  # the single small one may have fitted
    assert (98 in afterwards) == (small != "DiskFull")


# --- the lock -----------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from storage.database import data_lock
with data_lock(Path(sys.argv[1]), 8080):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_on_the_folder_is_told_who_holds_it_until_that_one_is_killed(tmp_path: Path) -> None:
    with child(HOLD, str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Locked, match=f"process {holder.pid} on port 8080") as told, data_lock(tmp_path):
            pass
        assert (told.value.pid, told.value.port) == (holder.pid, 8080)
        holder.kill()
        holder.wait()
        with data_lock(tmp_path, 9090):
            pass


def test_the_lock_is_free_again_after_use_and_an_unreadable_note_is_no_error(tmp_path: Path) -> None:
    with data_lock(tmp_path, 8080):
        (tmp_path / "moqi.lock").write_text("{", encoding="utf-8")
        with pytest.raises(Locked) as told, data_lock(tmp_path):
            pass
        assert (told.value.pid, told.value.port) == (0, 0)
    with data_lock(tmp_path):
        assert json.loads((tmp_path / "moqi.lock").read_text(encoding="utf-8"))["port"] == 0


def test_the_default_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    with Database.open(data=tmp_path / "new") as opened:
        assert opened.url == make_url(f"sqlite:///{tmp_path}/new/moqi.db")
        opened.run_sync(make_table)
    assert (tmp_path / "new" / "moqi.db").exists()
