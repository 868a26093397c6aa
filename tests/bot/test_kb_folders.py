"""The knowledge base in step with folders: what is new, changed, moved, gone, told truthfully, on both databases."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from bot import kb, kb_files, kb_folders, kb_listing, kb_moves
from bot.kb_access import Access
from bot.kb_claims import Claim, claimed
from bot.kb_folders import Memory, Wanted, Watching, in_order
from bot.kb_listing import Found, Listing, look
from bot.kb_plan import Tally
from inference.grounding.chunk import Cutting
from storage import documents, owner, syncs
from storage.database import Database
from storage.documents import Holding
from storage.records import Document, utcnow
from tests.blank import blank

HR = frozenset({"dept:人事部"})
OLD = 1_700_000_000  # seconds: long settled


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another reader asks often."""
    monkeypatch.setattr(kb_folders, "AGAIN", 0.01)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


@pytest.fixture
def either(migrated_url: str) -> Iterator[Database]:
    """A database of each kind."""
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    write(made / "hr" / "年假.md", "# 年假\n\n工龄满十年的，年假十五天。\n")
    write(made / "报销.txt", "发票抬头须写公司全称。")
    write(made / ".hidden.md", "不收。")
    (made / "photo.jpg").write_bytes(b"\xff\xd8")
    return made


def write(path: Path, text: str, at: int = OLD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


async def sync(db: Database, *folders: Path, attended: bool = True, memory: Memory | None = None) -> dict[str, str]:
    """What became of each document."""
    wanted = Wanted(folders=dict.fromkeys(folders, frozenset[str]()))
    result = await kb_folders.sync(db, wanted, attended=attended, memory=memory)
    assert len({one.name for one in result.outcomes}) == len(result.outcomes)
    return {one.name: one.status for one in result.outcomes}


async def names(db: Database) -> list[str]:
    return [holding.document.name for holding in await kb.overview(db)]


async def report(db: Database) -> Tally:
    kept = await db.read(syncs.report_of, kb.SYNCED)
    assert kept is not None
    return Tally.from_json(kept)


@pytest.mark.parametrize("attended", [True, False])
async def test_new_changed_moved_and_gone_are_told_apart(either: Database, folder: Path, attended: bool) -> None:
    db = either
    write(folder.parent / "own.md", "自己加的。")
    await kb.add(db, [folder.parent / "own.md"])
    memory: Memory = {}
    assert await sync(db, folder, attended=attended, memory=memory) == {"hr/年假.md": "added", "报销.txt": "added"}
    assert set((await sync(db, folder, attended=attended, memory=memory)).values()) == {"unchanged"}
    ids = {one.document.name: one.document.id for one in await kb.overview(db)}
    write(folder / "新.md", "新的内容。")
    write(folder / "报销.txt", "发票抬头须写公司简称。", OLD + 1)
    (folder / "2026").mkdir()
    (folder / "hr" / "年假.md").rename(folder / "2026" / "年假.md")
    found = await sync(db, folder, attended=attended, memory=memory)
    assert found == {"2026/年假.md": "moved", "报销.txt": "updated", "新.md": "added"}
    held = {one.document.name: one for one in await kb.overview(db)}
    assert held["2026/年假.md"].document.id == ids["hr/年假.md"], "its passages are not made again"
    assert [one.passage.document for one in await kb.search(db, "年假十五天")] == ["2026/年假.md"]
    (folder / "2026" / "年假.md").unlink()
    found = await sync(db, folder, attended=attended, memory=memory)
    assert found == {"2026/年假.md": "removed", "报销.txt": "unchanged", "新.md": "unchanged"}
    assert await kb.search(db, "年假十五天") == []
    assert await names(db) == ["own.md", "报销.txt", "新.md"]
    last = await report(db)
    assert (last.seen, last.unchanged, last.deleted, last.problem) == (2, 2, 1, "")
    assert last.note == "1 files of other kinds left aside: .jpg 1"


async def test_a_file_called_otherwise_is_found_by_its_new_name(db: Database, folder: Path) -> None:
    """A text without a title of its own is found by the name of its file: passages of the old one would mislead."""
    await sync(db, folder)
    (folder / "报销.txt").rename(folder / "开票须知.txt")
    result = await kb_folders.sync(db, Wanted(folders={folder: frozenset()}))
    [moved] = [one for one in result.outcomes if one.status == "moved"]
    assert (moved.name, moved.before, moved.passages) == ("开票须知.txt", "报销.txt", 1)
    assert [one.passage.document for one in await kb.search(db, "开票须知")] == ["开票须知.txt"]
    assert [one.document.title for one in await kb.overview(db)] == ["年假", "开票须知"]


async def test_the_server_opens_no_file_that_did_not_change(
    db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "坏.md", "")
    os.truncate(folder / "坏.md", 0)
    os.utime(folder / "坏.md", (OLD, OLD))
    memory: Memory = {}
    await sync(db, folder, attended=False, memory=memory)
    opened: list[str] = []
    read = kb_files.read

    def noted(name: str, found: Found) -> object:
        opened.append(name)
        return read(name, found)

    monkeypatch.setattr(kb_files, "read", noted)
    assert (await sync(db, folder, attended=False, memory=memory))["坏.md"] == "failed"
    assert opened == []
    os.utime(folder / "报销.txt", (OLD + 5, OLD + 5))  # touched, not changed: read once, then known
    for _ in range(2):
        assert (await sync(db, folder, attended=False, memory=memory))["报销.txt"] == "unchanged"
    assert opened == ["报销.txt"]
    assert await sync(db, folder, attended=False) == await sync(db, folder, attended=False)  # after a restart
    assert opened == ["报销.txt", "坏.md", "坏.md"]
    write(folder / "报销.txt", "发票抬头须写公司简称。", OLD + 5)  # the same size and time: a person can have it read
    assert (await sync(db, folder, attended=False, memory=memory))["报销.txt"] == "unchanged"
    assert (await sync(db, folder))["报销.txt"] == "updated"


async def test_what_was_written_just_now_is_looked_at_once_more(db: Database, folder: Path) -> None:
    """Within its clock's tick a file may change again and keep its time."""
    now = int(utcnow().timestamp())
    write(folder / "报销.txt", "发票抬头须写公司全称。", now)
    memory: Memory = {}
    await sync(db, folder, attended=False, memory=memory)
    write(folder / "报销.txt", "发票抬头须写公司简称。", now)
    assert (await sync(db, folder, attended=False, memory=memory))["报销.txt"] == "updated"


async def test_several_sources_are_one_set(db: Database, folder: Path, tmp_path: Path) -> None:
    second, own = tmp_path / "second", tmp_path / "own.md"
    write(second / "报销.txt", "另一份。")
    write(own, "单独的文件。")
    wanted = Wanted(folders=dict.fromkeys((folder, second, own), frozenset[str]()))
    first, *others = (await kb_folders.sync(db, wanted)).outcomes
    assert (first.name, first.status) == ("报销.txt", "failed")
    assert "same name" in first.problem
    assert {one.status for one in others} == {"added"}
    assert await names(db) == ["hr/年假.md", "own.md", "报销.txt"]
    await sync(db, folder)
    assert await names(db) == ["hr/年假.md", "报销.txt"]


async def test_readers_come_from_the_folder_and_the_rules_and_change_with_them(either: Database, folder: Path) -> None:
    db = either
    inner = folder / "hr"
    await kb_folders.sync(db, Wanted(folders={folder: frozenset(), inner: HR}))
    held = {holding.document.name: holding.principals for holding in await kb.overview(db)}
    assert held == {"hr/年假.md": HR, "年假.md": HR, "报销.txt": kb.PUBLIC}
    ruled = Access(default=frozenset({"role:admin"}), rules=(("hr/", frozenset({"dept:法务部"})),))
    result = await kb_folders.sync(db, Wanted(folders={folder: frozenset()}, access=ruled), attended=False)
    assert {one.status for one in result.outcomes} == {"unchanged", "removed"}
    held = {holding.document.name: holding.principals for holding in await kb.overview(db)}
    assert held == {"hr/年假.md": {"dept:法务部"}, "报销.txt": {"role:admin"}}
    (inner / "年假.md").rename(folder / "年假.md")  # a document that leaves its folder leaves its readers
    await kb_folders.sync(db, Wanted(folders={folder: frozenset()}, access=ruled))
    assert {holding.principals for holding in await kb.overview(db)} == {frozenset({"role:admin"})}


async def test_a_folder_that_is_not_there_takes_nothing_out(db: Database, folder: Path) -> None:
    write(folder / "另.md", "另一份。")
    await sync(db, folder)
    with pytest.raises(kb.NoFolder, match="elsewhere"):
        await sync(db, folder, folder / "elsewhere")
    (folder / "另.md").unlink()
    write(folder / "新.md", "新的内容。")
    found = await sync(db, folder, folder / "elsewhere", attended=False)
    assert found == {"elsewhere": "failed", "hr/年假.md": "unchanged", "报销.txt": "unchanged", "新.md": "added"}
    assert "There is no folder or file" in (await report(db)).problem
    assert len(await names(db)) == 4


async def test_a_folder_that_is_suddenly_empty_is_not_mounted_unless_somebody_says_so(
    db: Database, folder: Path
) -> None:
    await sync(db, folder, attended=False)
    shutil.rmtree(folder)
    folder.mkdir()
    for _ in range(2):  # and a restart forgets nothing of it
        assert await sync(db, folder, attended=False) == {}
        assert "run `moqi kb sync`" in (await report(db)).problem
    assert len(await names(db)) == 2
    assert set((await sync(db, folder)).values()) == {"removed"}
    assert await sync(db, folder, attended=False) == {}
    assert (await report(db)).problem == ""


async def test_rights_that_were_taken_away_hold_though_the_folder_is_not_there(db: Database, folder: Path) -> None:
    await sync(db, folder)
    folder.rename(folder.parent / "away")
    ruled = Access(rules=(("年假*", frozenset({"role:admin"})),))
    wanted = Wanted(folders={folder: HR}, access=ruled)
    assert (await kb_folders.sync(db, wanted, attended=False)).tally.problem
    held = {one.document.name: one.principals for one in await kb.overview(db)}
    assert held == {"hr/年假.md": {"role:admin"}, "报销.txt": HR}
    unclear = Wanted(folders={folder: frozenset(), folder.parent / "other": HR}, access=ruled)
    await kb_folders.sync(db, unclear, attended=False)
    assert {one.document.name: one.principals for one in await kb.overview(db)} == held


async def test_what_was_read_before_is_answered_from_while_it_is_read_anew(db: Database, folder: Path) -> None:
    """After an upgrade that cuts documents otherwise, nobody waits until all of them are cut."""
    told: list[str] = []
    watching = Watching(report=lambda one: told.append(one.status), settled=lambda: told.append("settled"))
    wanted = Wanted(folders={folder: frozenset()})
    await kb_folders.sync(db, wanted, watching, attended=False)
    assert told == ["added", "added"], "what is half there would answer that it knows nothing"
    told.clear()
    (folder / "报销.txt").unlink()
    await kb_folders.sync(db, wanted, watching, attended=False)
    assert told == ["removed", "settled", "unchanged"]


async def test_a_folder_that_cannot_be_looked_into_is_not_empty(db: Database, folder: Path) -> None:
    await sync(db, folder)

    def shut(path: str | Path) -> object:
        if str(path).endswith("hr"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    scandir = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", shut)
        assert await sync(db, folder) == {"hr/": "failed", "报销.txt": "unchanged"}
    assert await names(db) == ["hr/年假.md", "报销.txt"]


async def test_documents_are_cut_anew_when_the_settings_cut_otherwise(db: Database, folder: Path) -> None:
    await sync(db, folder, attended=False)
    (folder / "hr" / "年假.md").rename(folder / "年假.md")
    finer = Wanted(folders={folder: frozenset()}, cutting=Cutting(size=200, overlap=20))
    result = await kb_folders.sync(db, finer, attended=False)
    assert {one.name: one.status for one in result.outcomes} == {"年假.md": "moved", "报销.txt": "updated"}
    assert {one.recipe for one in await kb.overview(db)} == {kb.recipe(finer.cutting)}


async def test_a_broken_new_version_leaves_the_one_that_is_in(db: Database, folder: Path) -> None:
    await sync(db, folder)
    (folder / "报销.txt").write_bytes(b"\xff\xff\x00\x81")
    assert (await sync(db, folder))["报销.txt"] == "failed"
    assert len(await kb.search(db, "发票")) == 1


async def test_a_document_of_another_source_is_left_alone(db: Database, folder: Path) -> None:
    prepared = kb.prepare("别处的。".encode(), "报销.txt", "0")
    await db.run(kb.keep, prepared, kb.PUBLIC, source="url:https://a.cn", ref="url:https://a.cn")
    assert (await sync(db, folder))["报销.txt"] == "failed"
    assert await db.read(documents.source_named, "报销.txt") == "url:https://a.cn"


# --- what lies in a folder --------------------------------------------------------------------------------------


def test_links_names_and_pipes(tmp_path: Path) -> None:
    secret, root = tmp_path / "secret.md", tmp_path / "docs"
    write(secret, "密码")
    write(root / "a.md", "甲")
    write(root / "e\u0301.md", "一")
    (root / "link.md").symlink_to(root / "a.md")
    (root / "out.md").symlink_to(secret)
    (root / "dangling.md").symlink_to(root / "nothing.md")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.md")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.md")).write_text("乙", encoding="utf-8")
    write(root / "x\u202ey\n.md", "丙")
    (tmp_path / "mounted").symlink_to(root)
    for source in (root, tmp_path / "mounted"):  # as git-sync and Kubernetes place it
        found = look([source])
        assert set(found.files) == {"a.md", "é.md", "link.md", "xy .md"}
        assert [name for name, _ in found.refused] == ["out.md", "\ufffd.md"]
        assert found == look([source])


@pytest.mark.parametrize("swapped", ["file", "folder", "pipe"])
def test_what_took_a_files_place_since_it_was_listed_is_not_read(tmp_path: Path, swapped: str) -> None:
    secret, root = tmp_path / "away" / "a.md", tmp_path / "docs"
    write(secret, "密码")
    write(root / "x" / "a.md", "甲")
    [found] = look([root]).files.values()
    assert kb_files.read("x/a.md", found).data.decode() == "甲"
    if swapped == "folder":
        shutil.rmtree(root / "x")
        (root / "x").symlink_to(secret.parent)
    else:
        (root / "x" / "a.md").unlink()
        (root / "x" / "a.md").symlink_to(secret) if swapped == "file" else os.mkfifo(root / "x" / "a.md")
    with pytest.raises(OSError, match=r"link that leads out|not a file any more"):
        kb_files.read("x/a.md", found)


def test_folders_without_end_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kb_listing, "DEEP", 2)
    write(tmp_path / "1" / "2" / "a.md", "甲")
    write(tmp_path / "1" / "2" / "3" / "b.md", "乙")
    found = look([tmp_path])
    assert (set(found.files), found.unseen) == ({"1/2/a.md"}, ("1/2/3/",))
    assert "left aside" in found.refused[0][1]


@pytest.mark.parametrize(
    ("held", "found", "expected"),
    [
        ({"a.md": "1"}, {"b.md": "1"}, {"b.md": "a.md"}),
        ({"a.md": "1"}, {"b.md": "2"}, {}),
        ({"a.md": "1"}, {"b.md": "1", "x/a.md": "1"}, {"x/a.md": "a.md"}),  # who kept the name, not the first
        ({"a.md": "1", "b.md": "1"}, {"x/b.md": "1", "x/a.md": "1"}, {"x/a.md": "a.md", "x/b.md": "b.md"}),
        ({"a.md": "1", "b.md": "1"}, {"b.md": "1", "c.md": "1"}, {"c.md": "a.md"}),
        ({"a.md": "1", "b.md": "2"}, {"a.md": "2", "b.md": "1"}, {}),  # two that changed places were updated
        ({"hr/a.md": "1"}, {"a.md": "1"}, {"a.md": "hr/a.md"}),
        ({"shut/a.md": "1"}, {"a.md": "1"}, {}),  # perhaps it is still there
    ],
)
def test_what_was_moved(held: dict[str, str], found: dict[str, str], expected: dict[str, str]) -> None:
    files = {name: Found(path=name, source=Path(), size=int(one), modified=0) for name, one in found.items()}
    listing = Listing(files=files, refused=(), unseen=("shut/",), empty=(), others=())
    holdings = {name: holding(name, sha256) for name, sha256 in held.items()}
    contents = {name: found[name] for name in kb_moves.candidates(listing, holdings)}
    moves = kb_moves.moves(listing, holdings, contents)
    assert {name: one.document.name for name, one in moves.items()} == expected


def holding(name: str, sha256: str) -> Holding:
    document = Document(id=1, name=name, title="", sha256=sha256, updated_at=utcnow())
    revision = f"{int(sha256)}:0"
    return Holding(
        document=document,
        recipe="",
        source=kb.SYNCED,
        ref="",
        revision=revision,
        passages=0,
        principals=kb.PUBLIC,
    )


# --- breaking off and going on ----------------------------------------------------------------------------------

CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from bot.kb_folders import Wanted, Watching, sync
from storage.database import Database

done = []

def report(outcome):
    done.append(outcome)
    if len(done) == 10:
        os.kill(os.getpid(), signal.SIGKILL)

with Database.open(sys.argv[1]) as db:
    asyncio.run(sync(db, Wanted(folders={Path(sys.argv[2]): frozenset()}), Watching(report=report), attended=False))
"""


async def test_a_killed_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(30):
        write(folder / f"{number:02}.md", f"# 第{number}条\n\n编号{number}的规定。")
    url = blank(tmp_path / "moqi.db")
    child = subprocess.run([sys.executable, "-c", CHILD, url, str(folder)], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    with Database.open(url) as db:
        kept = len(await names(db))
        assert 10 <= kept < 30
        found = Counter((await sync(db, folder, attended=False)).values())  # at once: nobody waits for the dead one
        assert found == {"unchanged": kept, "added": 30 - kept}
        assert await db.read(documents.stats) == documents.Stats(documents=30, passages=30)


async def test_two_that_read_at_once_take_turns(either: Database, folder: Path) -> None:
    db = either
    first, second = await asyncio.gather(sync(db, folder), sync(db, folder))
    assert {*first.values()} | {*second.values()} == {"added", "unchanged"}
    assert len({*first.values()}) == len({*second.values()}) == 1


async def test_a_reader_that_was_away_too_long_writes_nothing(
    either: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor may have taken documents out that it would bring back."""
    db, left, tries = either, 0, 0

    def report(outcome: kb.Outcome) -> None:
        nonlocal left
        if not left:
            db.run_sync(_rob)
            left = db.read_sync(documents.stats).documents

    def counted(*given: Any) -> AbstractAsyncContextManager[Claim | None]:
        nonlocal tries
        tries += 1
        return claimed(*given)

    monkeypatch.setattr(kb_folders, "claimed", counted)
    for number in range(18):
        write(folder / f"{number:02}.md", f"第{number}份。")
    reading = asyncio.create_task(kb_folders.sync(db, Wanted(folders={folder: frozenset()}), Watching(report=report)))
    async with asyncio.timeout(20):
        while tries < 2:
            await asyncio.sleep(0.01)
        assert 0 < left == len(await names(db)) < 20
        await db.run(syncs.release, kb.SYNCED, "another:1")
        result = await reading  # it begins again, as whoever holds it now
    assert Counter(one.status for one in result.outcomes) == {"unchanged": left, "added": 20 - left}
    assert len(await names(db)) == 20


def _rob(conn: object) -> None:
    from sqlalchemy import Connection, update

    from storage.tables import syncs as table

    assert isinstance(conn, Connection)
    conn.execute(update(table).values(owner="another:1"))


def test_whose_process_has_ended() -> None:
    assert not owner.is_gone(owner.name())
    assert not owner.is_gone("elsewhere:1:abc")
    assert not owner.is_gone("another")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = owner.name().partition(":")[0]
    assert owner.is_gone(f"{host}:{ended.pid}:abc")
    assert owner.is_gone(f"{host}:{os.getpid()}:abc"), "its number was given to us"


async def test_work_is_done_in_order_and_not_all_at_once() -> None:
    going: list[int] = []
    most = 0

    async def work(number: int) -> int:
        nonlocal most
        going.append(number)
        most = max(most, len(going))
        await asyncio.sleep(0)
        going.remove(number)
        return number

    assert [one async for one in in_order(range(9), work, 3)] == list(range(9))
    assert most == 3
