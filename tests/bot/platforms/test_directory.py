"""The loop that looks people up: one who makes it fail does not keep the others waiting for ever."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bot.platforms.base import PlatformError, Retry, Unconfigured
from bot.platforms.directory import TRIES, Directory, Person, Place
from storage import users
from storage.database import Database
from storage.migrations import migrate
from storage.records import Identity, utcnow

PLATFORM = "feishu"


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "moqi.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def db(blank: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(blank, tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


async def sleep(seconds: float) -> None:
    await asyncio.sleep(0)


class Company(Directory):
    """Tells everybody's name, unless somebody is among those asked for who makes it fail."""

    def __init__(self, db: Database, fail: Callable[[Sequence[str]], PlatformError | None]) -> None:
        super().__init__(PLATFORM, db, at_once=8, calls=1000, sleep=sleep)
        self.asked: list[list[str]] = []
        self._fail = fail

    async def _people(self, ids: Sequence[str]) -> list[Person]:
        self.asked.append(list(ids))
        if error := self._fail(ids):
            raise error
        return [Person(id=one, name=f"{one}!", departments=None) for one in ids]

    async def _departments(self, ids: Sequence[str]) -> list[Place]:
        return []


async def look_up(db: Database, company: Company, ids: Sequence[str]) -> set[str]:
    """Who is known by name once nothing waits any more."""
    for one in ids:
        await db.run(users.resolve, Identity(platform=PLATFORM, external_id=one), one, utcnow())
        company.want(one)
    task = asyncio.create_task(company.run())
    async with asyncio.timeout(20):
        while company._waiting:
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {one for one in ids if await db.read(users.find, f"{one}!")}


async def test_one_whom_it_refuses_is_left_alone_and_the_others_are_told(db: Database) -> None:
    ids = [f"p{number:02}" for number in range(20)]
    company = Company(db, lambda asked: Retry("no answer") if "p03" in asked else None)
    assert await look_up(db, company, ids) == {*ids} - {"p03"}
    assert company.asked.count(["p03"]) == TRIES
    assert len(company.asked) < 20
    before = len(company.asked)
    company.want("p03")
    assert not company._waiting  # for an hour
    assert len(company.asked) == before


@pytest.mark.parametrize("error", [Unconfigured("no scope"), Retry("busy", after=1.0)])
async def test_what_is_nobodys_fault_is_counted_against_nobody(db: Database, error: PlatformError) -> None:
    left = [error] * 3 * TRIES
    company = Company(db, lambda asked: left.pop() if left else None)
    assert await look_up(db, company, ["p1", "p2"]) == {"p1", "p2"}
    assert company.asked == [["p1", "p2"]] * (3 * TRIES + 1)
