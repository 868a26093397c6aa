"""Pictures go after their time, and only those: whatever stops in between, every row has its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.delivery import reply_row
from bot.render import Renderer
from bot.reply import Picture, Reply
from bot.retention import Keeper
from scheduler.verify import GRACE, verify
from storage import assets, audit, faults, outbox, retention, reviews
from storage.database import Database
from storage.files import Files
from storage.records import JobState, ReservationState, utcnow
from storage.retention import NOTHING
from storage.tables import reservations
from storage.thumbnails import Thumbnails
from tests.blank import blank
from tests.bot.test_reserve import house
from tests.pictured import ordered, origin, person

OLD = utcnow() - timedelta(days=31)
DAYS = 30


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Keeper]:
    with Database.open(url) as db:
        yield Keeper(db=db, files=Files(folder / "files"), thumbnails=Thumbnails(folder / "thumbnails"))


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with opened(blank(tmp_path / "moqi.db"), tmp_path) as keeper:
        yield keeper


@pytest.fixture
def on_both(migrated_url: str, tmp_path: Path) -> Iterator[Keeper]:
    with opened(migrated_url, tmp_path) as keeper:
        yield keeper


def kept(keeper: Keeper, content: str, *, age: float = 1e7, given: bool = False, **order: Any) -> tuple[str, int]:
    """A picture with its file: drawn for somebody, or given by them. Returns its content's name, and its job."""
    sha = keeper.files.put(content.encode())
    os.utime(keeper.files.path(sha), (0, utcnow().timestamp() - age))
    keeper.thumbnails.of(sha, "", lambda: b"small", keeper.files.exists)

    def work(conn: Connection) -> int:
        if given:
            size: dict[str, Any] = {"media_type": "image/png", "size": 100, "width": 4, "height": 3}
            assets.take(conn, sha256=sha, now=order.pop("at", OLD), **size)
            return 0
        return ordered(conn, person(conn, "anna"), content, shas=(sha,), **{"at": OLD, **order})

    return sha, keeper.db.run_sync(work)


def breaches(keeper: Keeper) -> list[str]:
    """What is wrong with files and rows, as `moqi verify` would say it."""
    checks = keeper.db.read_sync(verify, keeper.files, utcnow() + GRACE)
    return next(one.broken for one in checks if "every asset" in one.invariant)


async def test_what_is_older_goes_and_what_is_needed_stays(on_both: Keeper) -> None:
    keeper = on_both
    old, _ = kept(keeper, "old")
    given, _ = kept(keeper, "given", given=True)
    stays = [
        kept(keeper, "young", at=utcnow())[0],
        kept(keeper, "young and given", given=True, at=utcnow())[0],
        kept(keeper, "not ended", state=JobState.RUNNING)[0],
        kept(keeper, "booked")[0],
        kept(keeper, "waited for", given=True)[0],
    ]
    told, job = kept(keeper, "not told")
    twice, _ = kept(keeper, "drawn twice")
    keeper.db.run_sync(lambda conn: ordered(conn, 1, "drawn twice", shas=(twice,), at=utcnow()))

    def waiting(conn: Connection) -> None:
        ordered(conn, 1, state=JobState.QUEUED, shas=(), source={"sha256": stays[4]})
        values = {"user_id": 1, "kind": "draw", "origin": {}, "work": 1.0, "rule": {}, "choices": [], "zone": "UTC"}
        values |= {"params": {"source": {"sha256": stays[3]}}, "state": ReservationState.ACTIVE, "created_at": OLD}
        conn.execute(reservations.insert().values(values))
        outbox.add(conn, "told", origin(), slot="outcome", body={}, now=utcnow(), job_id=job)

    keeper.db.run_sync(waiting)
    foreseen = await keeper.due(DAYS, utcnow())
    assert (foreseen.pictures, foreseen.given, foreseen.size) == (2, 1, 300)
    done = await keeper.tidy(DAYS, "retention", utcnow())
    assert done == foreseen
    there = {sha for sha, _ in keeper.files.iterate()}
    assert there == {*stays, told, twice}, "the file of a picture that was drawn again lately stays, too"
    assert not keeper.files.exists(old)
    assert not list(keeper.thumbnails.root.glob(f"*/{given}"))
    assert breaches(keeper) == []
    [entry] = keeper.db.read_sync(lambda conn: audit.entries(conn, action="pictures.removed"))
    assert entry.detail == {"days": DAYS, "pictures": 2, "given": 1, "bytes": 300}
    assert await keeper.tidy(DAYS, "retention", utcnow()) == NOTHING == await keeper.tidy(0, "retention", utcnow())


@pytest.mark.parametrize("at", ["pictures-retired:1", "picture-deleted:1", "picture-deleted:2"])
async def test_whenever_it_is_killed_rows_and_files_fit_and_the_next_turn_ends_it(
    keeper: Keeper, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    shas = [kept(keeper, f"old {n}", given=n > 1)[0] for n in range(4)]
    monkeypatch.setattr("storage.faults.os.kill", die)
    faults.arm(at)
    with pytest.raises(Killed):
        await keeper.tidy(DAYS, "retention", utcnow())
    faults.arm("")
    assert any(map(keeper.files.exists, shas))
    assert breaches(keeper) == []
    assert len(keeper.db.read_sync(retention.on_their_way, 9)) == 4
    assert await keeper.tidy(0, "retention", utcnow()) == NOTHING, "switched off meanwhile, it is still ended"
    assert not any(map(keeper.files.exists, shas))
    assert breaches(keeper) == []
    assert keeper.db.read_sync(retention.on_their_way, 9) == []


async def test_a_rejected_picture_stays_while_its_appeal_is_open(on_both: Keeper) -> None:
    sha, job = kept(on_both, "held", state=JobState.FAILED)
    await on_both.db.run(reviews.add, job, [], OLD)
    await on_both.tidy(DAYS, "retention", utcnow())
    assert on_both.files.exists(sha)
    await on_both.db.run(reviews.withdraw, job, utcnow())
    await on_both.tidy(DAYS, "retention", utcnow())
    assert not on_both.files.exists(sha)


async def test_what_is_given_again_while_it_goes_is_kept(keeper: Keeper) -> None:
    """Its file was put again, and perhaps no row says so yet."""
    sha, _ = kept(keeper, "again", given=True)
    keeper.db.run_sync(retention.retire, utcnow() - timedelta(days=DAYS), DAYS, utcnow(), 10)
    assert keeper.files.put(b"again") == sha
    await keeper.tidy(0, "retention", utcnow())
    assert keeper.files.exists(sha)
    kept(keeper, "again", given=True, at=utcnow())
    await keeper.tidy(DAYS, "retention", utcnow())
    assert keeper.files.exists(sha)
    assert breaches(keeper) == []
    assert keeper.db.read_sync(retention.on_their_way, 9) == []


async def test_a_message_written_before_says_that_its_picture_is_gone(keeper: Keeper) -> None:
    _, job = kept(keeper, "old")
    [asset] = keeper.db.read_sync(assets.of_job, job)
    picture = Picture(asset=asset.id, width=4, height=3, alt="old")
    keeper.db.run_sync(reply_row, "listing", origin(), Reply(title="found", pictures=(picture,)), utcnow())
    await keeper.tidy(DAYS, "retention", utcnow())

    def said(conn: Connection) -> Reply:
        delivery = outbox.by_key(conn, "listing")
        assert delivery is not None
        return Renderer(house).delivery(conn, delivery)

    reply = keeper.db.read_sync(said)
    assert (reply.title, reply.pictures) == ("found", ())
    assert "30 天后删除" in reply.note
