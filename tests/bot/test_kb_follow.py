"""The knowledge base follows its sources while the server runs, by the settings of the moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot import kb, kb_files, kb_folders, kb_follow, kb_listing, sources
from bot.kb_follow import Following
from bot.kb_listing import Found, Listing
from bot.settings import Settings, load
from storage import syncs
from storage.database import Database
from storage.errors import Unreachable
from tests.blank import blank

OLD = 1_700_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    write(made / "年假.md", "年假十五天。")
    return made


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (OLD, OLD))


class House:
    """Settings that may change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.say("sources:\n  - path: ../docs")

    def say(self, knowledge: str) -> None:
        (self._folder / "knowledge.yaml").write_text(knowledge, encoding="utf-8")
        self.settings: Settings = load(self._folder, {})


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr("bot.sources.FOLDERS", sources.FOLDERS / 500)  # 10 ms
    monkeypatch.setattr(kb_follow, "AGAIN", 0.01)
    return House(tmp_path / "config")


@asynccontextmanager
async def following(db: Database, house: House) -> AsyncIterator[Following]:
    indexed = asyncio.Event()
    made = Following(db, lambda: house.settings, indexed.set)
    task = asyncio.create_task(made.run(follow=True))
    try:
        async with asyncio.timeout(20):
            await indexed.wait()
            yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(fits: Callable[[dict[str, frozenset[str]]], bool], db: Database) -> None:
    """Wait for documents and their readers."""
    async with asyncio.timeout(20):
        while not fits({one.document.name: one.principals for one in await kb.overview(db)}):
            await asyncio.sleep(0.01)


async def test_a_folder_is_followed(db: Database, house: House, folder: Path) -> None:
    async with following(db, house):
        assert [one.document.name for one in await kb.overview(db)] == ["年假.md"], "before anybody is answered"
        write(folder / "报销.md", "发票抬头。")
        await until(lambda held: set(held) == {"年假.md", "报销.md"}, db)
        (folder / "年假.md").rename(folder / "休假.md")
        await until(lambda held: set(held) == {"休假.md", "报销.md"}, db)
        (folder / "报销.md").unlink()
        await until(lambda held: set(held) == {"休假.md"}, db)


async def test_a_change_of_the_settings_holds_without_a_restart(db: Database, house: House, folder: Path) -> None:
    own = folder.parent / "own.md"
    write(own, "自己加的。")
    await kb.add(db, [own])
    async with following(db, house):
        house.say("sources:\n  - path: ../docs\naccess:\n  default: admins\n  rules: {'年假*': ['dept:人事部']}")
        hr, admins = frozenset({"dept:人事部"}), frozenset({"role:admin"})
        await until(lambda held: held == {"年假.md": hr, "own.md": admins}, db)
        house.say("sources: []")
        await until(lambda held: set(held) == {"own.md"}, db)


async def test_what_stays_as_it_is_is_not_read_again(
    db: Database, house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = 0
    sync, look = kb_folders.sync, kb_listing.look

    async def counted(*given: Any, **more: Any) -> kb_folders.Result:
        nonlocal readings
        readings += 1
        return await sync(*given, **more)

    async with following(db, house):
        await until(lambda held: bool(held), db)
        seen = 0

        def looked(wanted: Iterable[Path]) -> Listing:
            nonlocal seen
            seen += 1
            return look(wanted)

        monkeypatch.setattr(kb_listing, "look", looked)
        while seen < 5:  # the reading behind the first one has been
            await asyncio.sleep(0.01)
        monkeypatch.setattr(kb_folders, "sync", counted)
        seen = 0
        while seen < 5:
            await asyncio.sleep(0.01)
    assert readings == 0


async def test_a_file_that_could_not_be_opened_is_tried_again(
    db: Database, house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trouble of a network share passes, and nothing about the file changes when it does."""
    trouble = [OSError(5, "Input/output error")] * 3
    read = kb_files.read

    def failing(name: str, found: Found) -> kb_files.Read:
        if trouble:
            raise trouble.pop()
        return read(name, found)

    monkeypatch.setattr(kb_files, "read", failing)
    monkeypatch.setattr(kb_follow, "RETRYING", 0.01)
    async with following(db, house):
        await until(lambda held: set(held) == {"年假.md"}, db)


async def test_a_monitor_sees_that_a_quiet_folder_is_looked_at(
    db: Database, house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kb_follow, "CONFIRMING", 0.0)
    async with following(db, house):
        moments: set[datetime] = set()
        async with asyncio.timeout(20):
            while len(moments) < 5:  # more often than it is read
                [one] = await db.read(syncs.all_syncs)
                moments |= {one.finished_at} if one.finished_at else set()
                await asyncio.sleep(0.01)
    assert one.report is not None
    assert one.report["at"] < max(moments).isoformat()


async def test_a_database_that_is_away_is_waited_for(
    db: Database, house: House, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody's question would be answered until the next start."""
    away = [Unreachable(), Unreachable()]
    sync = kb_folders.sync

    async def failing(*given: Any, **more: Any) -> kb_folders.Result:
        if away:
            raise away.pop()
        return await sync(*given, **more)

    monkeypatch.setattr(kb_folders, "sync", failing)
    async with following(db, house):
        pass
    assert caplog.text.count("knowledge not read yet; trying again") == 2


async def test_files_that_are_still_being_written_are_waited_for(
    db: Database, house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a document would be reported as damaged, or answer questions wrongly."""
    listings: list[int] = []
    look = kb_listing.look

    def growing(wanted: Iterable[Path]) -> Listing:
        listings.append(1)
        if 5 <= len(listings) < 15:  # it grows between any two looks
            write(folder / "大.md", "一页。" * len(listings))
            os.utime(folder / "大.md", (OLD, OLD + len(listings)))
        return look(wanted)

    async with following(db, house):
        await until(lambda held: bool(held), db)
        monkeypatch.setattr(kb_listing, "look", growing)
        await until(lambda held: "大.md" in held, db)
    [passage] = [one.passage.text for one in await kb.search(db, "一页", k=5) if one.passage.document == "大.md"]
    assert passage == "一页。" * 14
