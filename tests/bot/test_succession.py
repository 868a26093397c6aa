"""A server that starts on the data folder of one that was killed ends what that one held, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from bot.services import take_over
from scheduler import queue
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage import leases, outbox, syncs, users
from storage.database import Database
from storage.records import Allowance, ChatType, Identity, Kind, Origin, Unit, utcnow
from storage.tables import jobs as jobs_table
from storage.tables import leases as leases_table
from storage.tables import outbox as outbox_table
from storage.tables import syncs as syncs_table

NOW = utcnow()
HOUR = timedelta(hours=1)
KILLED, ALIVE = "host_1:17:aa", "host-1:17:aa"  # LIKE, unescaped, takes the second for the first
POLICY = Policy(timezone=ZoneInfo("UTC"), allowances={Unit.DRAW: (Allowance(amount=9, period="day"),)}, concurrency=9)
ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1")


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        opened.run_sync(hold, KILLED)
        opened.run_sync(hold, ALIVE)
        yield opened


def hold(conn: Connection, owner: str) -> None:
    """Everything that a process may hold: a running job, a message on its way, a long connection, a wiki."""
    person = users.resolve(conn, Identity(platform="feishu", external_id=owner), owner, NOW)
    wanted = Submission(
        key=f"feishu:{owner}",
        kind=Kind.DRAW,
        user=person,
        origin=ORIGIN,
        params={},
        batch_key=owner,
        cost=1,
        work=1.0,
    )
    queue.submit(conn, wanted, POLICY, NOW)
    assert queue.claim(conn, Kind.DRAW, lambda head: 1, POLICY, NOW, owner) is not None
    outbox.add(conn, owner, ORIGIN, slot="reply", now=NOW)
    assert outbox.take(conn, owner, NOW, HOUR, owner) is not None
    assert leases.take(conn, f"long-connection:{owner}", f"{owner}/1", NOW + HOUR, NOW)
    assert syncs.claim(conn, f"wiki:{owner}", f"{owner}/1", NOW, NOW + HOUR)


def held(conn: Connection) -> dict[str, list[str]]:
    """What is held, and by whom."""
    sending = select(outbox_table.c.owner).where(outbox_table.c.lease_until.is_not(None))
    running = select(jobs_table.c.token).where(jobs_table.c.state == "running")
    connected = select(leases_table.c.owner).where(leases_table.c.until > NOW)
    reading = select(syncs_table.c.owner).where(syncs_table.c.claimed_until.is_not(None))
    wanted = {"messages": sending, "jobs": running, "connections": connected, "wikis": reading}
    return {
        name: sorted(found.partition("/")[0] for found in conn.execute(rows).scalars()) for name, rows in wanted.items()
    }


def both(*owners: str) -> dict[str, list[str]]:
    return dict.fromkeys(("messages", "jobs", "connections", "wikis"), sorted(owners))


def test_what_the_killed_process_held_is_free_at_once_and_the_living_keeps_its_own(db: Database) -> None:
    assert db.read_sync(held) == both(KILLED, ALIVE)
    db.run_sync(take_over, POLICY, [KILLED], NOW)
    alone = db.url.get_backend_name() == "sqlite"  # where nobody else can be at work
    assert db.read_sync(held) == (both() | {"wikis": [ALIVE]} if alone else both(ALIVE))


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_who_has_no_predecessor_ends_nothing(db: Database) -> None:
    db.run_sync(take_over, POLICY, [], NOW)
    assert db.read_sync(held) == both(KILLED, ALIVE)


def test_a_message_that_is_free_is_sent_under_its_own_key_by_the_next(db: Database) -> None:
    assert KILLED not in [one.key for one in db.run_sync(outbox.claim, NOW, HOUR, 9, "next")]
    db.run_sync(take_over, POLICY, [KILLED], NOW)
    assert KILLED in [one.key for one in db.run_sync(outbox.claim, NOW, HOUR, 9, "next")]
