"""The knowledge base in step with Feishu's wiki: the real reading against the simulator, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import kb, kb_claims, kb_plan, kb_wiki
from bot.kb_access import Access
from bot.kb_confine import confine
from bot.kb_plan import Tally, WikiSource, plan
from bot.kb_wiki import follow, reports, sync
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.feishu.wiki import TRIES, Listing, Node, Wiki
from bot.settings.knowledge import Part
from storage import documents, syncs
from storage.database import Database
from storage.records import utcnow
from tests.blank import blank
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_wiki import Page, WikiSide

HR = frozenset({"dept:人事部"})
ALL = frozenset({"everyone"})


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture
def side(feishu: FeishuSimulator) -> WikiSide:
    return feishu.wiki


@asynccontextmanager
async def reader(feishu: FeishuSimulator) -> AsyncIterator[Wiki]:
    """A wiki whose waiting takes no time."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await asyncio.sleep(0)

    settings = FeishuSettings.model_validate(feishu.settings)
    wiki = Wiki(settings, FeishuClient(settings, pooled(settings), clock=lambda: now[0], sleep=sleep), sleep=sleep)
    try:
        yield wiki
    finally:
        await wiki.close()


@pytest.fixture
async def wiki(feishu: FeishuSimulator) -> AsyncIterator[Wiki]:
    async with reader(feishu) as opened:
        yield opened


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        yield opened


def source(space: str = "", readers: frozenset[str] = ALL, node: str = "") -> WikiSource:
    part = Part(space=space, node=node)
    return WikiSource(app="feishu", part=part, readers=readers, every=timedelta(minutes=15))


async def read(db: Database, wiki: Wiki, of: WikiSource) -> Tally:
    found = await sync(db, wiki, of)
    assert found is not None
    return found


def counts(tally: Tally) -> dict[str, int]:
    return {name: value for name in kb_plan.COUNTED if (value := getattr(tally, name))}


async def names(db: Database) -> list[str]:
    return [holding.document.name for holding in await kb.overview(db)]


async def found(db: Database, question: str, principals: frozenset[str] = ALL) -> list[str]:
    return [one.passage.document for one in await kb.search(db, question, principals=principals)]


@pytest.fixture
def space(side: WikiSide) -> str:
    """制度: 请假 with 年假 beneath it, 报销, and a shortcut to 年假."""
    space = side.space("制度")
    leave = side.add(space, "请假", "请假须提前申请。")
    annual = side.add(space, "年假", "工龄满十年的，年假十五天。", parent=leave)
    side.add(space, "报销", "发票抬头须写公司全称。")
    side.shortcut(space, annual)
    return space


def page(side: WikiSide, title: str) -> Page:
    return next(one for one in side.pages.values() if one.title == title and one.original is None)


# --- following --------------------------------------------------------------------------------------------------


async def test_a_space_is_read_once_and_then_only_what_changed(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    first = await read(db, wiki, source(space))
    assert counts(first) == {"seen": 3, "added": 3}
    assert await names(db) == ["制度/报销", "制度/请假", "制度/请假/年假"]
    [passage] = [one.passage for one in await kb.search(db, "年假几天", k=1)]
    assert passage.url == f"https://acme.feishu.cn/wiki/{page(side, '年假').token}"
    assert len(side.read) == 3  # the shortcut is no second page

    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "unchanged": 3}
    assert len(side.read) == 3
    side.edit(page(side, "报销"), "发票抬头写简称即可。")
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "changed": 1, "unchanged": 2}
    assert side.read[3:] == [page(side, "报销").obj]
    assert await found(db, "简称") == ["制度/报销"]
    assert await found(db, "公司全称") == []


async def test_an_edit_in_the_second_of_the_last_reading_is_not_missed(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    now = int(utcnow().timestamp())
    side.edit(page(side, "报销"), "先写的。", at=now)
    await read(db, wiki, source(space))
    side.edit(page(side, "报销"), "后写的。", at=now)
    assert counts(await read(db, wiki, source(space)))["changed"] == 1
    assert await found(db, "后写的") == ["制度/报销"]


async def test_deleted_moved_and_renamed_pages_are_followed(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.trash(page(side, "报销"))
    page(side, "年假").parent = ""
    side.edit(page(side, "请假"), title="休假")
    assert counts(await read(db, wiki, source(space))) == {"seen": 2, "changed": 2, "deleted": 1}
    assert await names(db) == ["制度/休假", "制度/年假"]
    assert await found(db, "发票抬头") == []
    assert await found(db, "休假") == ["制度/休假"]  # its title is what it is found by
    assert counts(await read(db, wiki, source(space))) == {"seen": 2, "unchanged": 2}


async def test_pages_of_one_name_have_names_of_their_own(db: Database, wiki: Wiki, side: WikiSide) -> None:
    space = side.space("制\u200b度")  # what cannot be seen does not tell names apart
    twins = [side.add(space, "说明/补充", f"第{n}份。") for n in range(2)]
    assert counts(await read(db, wiki, source(space))) == {"seen": 2, "added": 2}
    assert await names(db) == sorted(f"制度/说明／补充 ({one.obj})" for one in twins)
    side.trash(twins[0])
    await read(db, wiki, source(space))
    assert await found(db, "第1份") != []
    assert counts(await read(db, wiki, source(space))) == {"seen": 1, "unchanged": 1}


async def test_a_name_somebody_else_has_is_left_to_them(db: Database, wiki: Wiki, side: WikiSide, space: str) -> None:
    await db.run(_put_by_hand, "制度/报销")
    await read(db, wiki, source(space))
    obj = page(side, "报销").obj
    assert [name for name in await names(db) if "报销" in name] == ["制度/报销", f"制度/报销 ({obj})"]
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "unchanged": 3}


def _put_by_hand(conn: Connection, name: str) -> None:
    documents.put_document(conn, name=name, title="", sha256="", recipe="", pieces=(), principals=ALL)


async def test_a_shortcut_to_another_space_brings_nothing_in(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    """Trap 31: whoever may write a shortcut could otherwise publish what the app alone may read."""
    secret = side.add(side.space("薪酬"), "薪级表", "总监三万。")
    side.shortcut(space, secret)
    tally = await read(db, wiki, source(space))
    assert counts(tally) == {"seen": 4, "added": 3, "skipped": 1}
    assert "outside of this source" in tally.why[0][1]
    assert secret.obj not in side.read


async def test_two_sources_that_overlap_keep_a_page_once(db: Database, wiki: Wiki, side: WikiSide, space: str) -> None:
    leave = page(side, "请假")
    inner, outer = source(node=leave.token, readers=HR), source(space)
    assert counts(await read(db, wiki, inner)) == {"seen": 2, "added": 2}
    tally = await read(db, wiki, outer)
    assert counts(tally) == {"seen": 3, "added": 1, "skipped": 2}
    assert inner.name in tally.why[0][1]
    assert await found(db, "年假几天") == []
    await confine(db, {outer.name: outer.readers}, Access())
    assert counts(await read(db, wiki, outer)) == {"seen": 3, "added": 2, "unchanged": 1}


async def test_files_are_read_and_what_has_no_text_is_named(db: Database, wiki: Wiki, side: WikiSide) -> None:
    space = side.space("资料")
    side.add(space, "手册.txt", kind="file", data="饭卡在前台领。".encode())
    side.add(space, "照片.jpg", kind="file", data=b"\xff\xd8")
    side.add(space, "坏的.pdf", kind="file", data=b"%PDF-1.7 cut off")
    side.add(space, "台账", kind="sheet")
    side.add(space, "空的")
    tally = await read(db, wiki, source(space))
    assert counts(tally) == {"seen": 5, "added": 1, "skipped": 3, "failed": 1}
    reasons = dict(tally.why)
    assert "damaged" in reasons["资料/坏的.pdf"]
    assert ".jpg are not read" in reasons["资料/照片.jpg"]
    assert "spreadsheets" in reasons["资料/台账"]
    assert "no text" in reasons["资料/空的"]
    assert await found(db, "饭卡") == ["资料/手册.txt"]


async def test_what_cannot_be_read_is_not_fetched_again_before_it_changed(
    db: Database, wiki: Wiki, side: WikiSide
) -> None:
    space = side.space("资料")
    broken = side.add(space, "坏的.pdf", kind="file", data=b"%PDF-1.7 cut off")
    side.add(space, "空的")
    memory: kb_wiki.Memory = {}
    first = await sync(db, wiki, source(space), memory=memory)
    fetched = list(side.read)
    again = await sync(db, wiki, source(space), memory=memory)
    assert first is not None
    assert again is not None
    assert (counts(again), again.why) == (counts(first), first.why)
    assert side.read == fetched
    broken.data, broken.title = "好了。".encode(), "好的.txt"
    side.edit(broken)
    assert counts(await sync(db, wiki, source(space), memory=memory) or first)["added"] == 1


async def test_a_page_that_was_emptied_says_nothing_any_more(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.edit(page(side, "报销"), " ")
    assert counts(await read(db, wiki, source(space)))["skipped"] == 1
    assert await found(db, "发票") == []


# --- permissions ------------------------------------------------------------------------------------------------


async def test_a_page_locked_for_the_app_is_out_though_the_tree_still_shows_it(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.locked.add(page(side, "报销").obj)
    tally = await read(db, wiki, source(space))
    assert counts(tally) == {"seen": 3, "deleted": 1, "unchanged": 2}
    assert "1770032" in tally.why[0][1]
    assert await found(db, "发票") == []
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "skipped": 1, "unchanged": 2}
    side.locked.clear()
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "added": 1, "unchanged": 2}


async def test_a_space_the_app_was_taken_from_is_out_at_once(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.strangers.add(space)
    tally = await read(db, wiki, source(space))
    assert counts(tally) == {"deleted": 3}
    assert "131006" in tally.problem
    assert await names(db) == []


async def test_a_subtree_that_was_hidden_is_out_and_the_rest_stays(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    shared = side.add(space, "病假", "病假须有证明。", parent=page(side, "请假"))
    await read(db, wiki, source(space))
    side.hidden.add(page(side, "请假").token)
    side.shared.add(shared.token)  # it cannot be listed any more, and may still be read
    assert counts(await read(db, wiki, source(space))) == {
        "seen": 3, "deleted": 1, "unchanged": 2, "skipped": 1,  # the shortcut to it leads nowhere now
    }  # fmt: skip
    assert await names(db) == ["制度/报销", "制度/请假", "制度/请假/病假"]


async def test_without_the_right_to_ask_about_locks_the_report_says_so(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.no_scope.add("drive")
    tally = await read(db, wiki, source(space))
    assert (counts(tally), tally.problem) == ({"seen": 3, "unchanged": 3}, "")
    assert "drive:drive.metadata:readonly" in tally.note


async def test_readers_are_those_of_the_source_and_change_with_it(
    db: Database, wiki: Wiki, side: WikiSide, space: str, feishu: FeishuSimulator
) -> None:
    await read(db, wiki, source(space, HR))
    assert {holding.principals for holding in await kb.overview(db)} == {HR}
    assert await found(db, "年假几天") == []
    assert await found(db, "年假几天", ALL | HR) != []
    feishu.fail("html", times=1000, on="/wiki/")  # taking a right away needs no answer of Feishu
    design = frozenset({"dept:设计部"})
    assert (await read(db, wiki, source(space, design))).problem
    assert await found(db, "年假几天", ALL | HR) == []
    assert await found(db, "年假几天", ALL | design) != []


async def test_before_anybody_is_answered_the_settings_hold(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    other = side.space("另一个")
    side.add(other, "另一页", "别的内容。")
    await db.run(_put_by_hand, "own.md")
    for one in (source(space), source(other)):
        await read(db, wiki, one)
    rules = Access(rules=(("报销", frozenset({"role:admin"})),))
    await confine(db, {source(space).name: HR}, rules)
    held = {holding.document.name: holding.principals for holding in await kb.overview(db)}
    assert held == {"own.md": ALL, "制度/报销": {"role:admin"}, "制度/请假": HR, "制度/请假/年假": HR}
    assert [one.source for one in await reports(db)] == [source(space).name]


# --- failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "500", "close", "429"])
async def test_a_list_that_breaks_off_takes_nothing_out(
    db: Database, wiki: Wiki, side: WikiSide, space: str, feishu: FeishuSimulator, kind: str
) -> None:
    await read(db, wiki, source(space))
    side.trash(page(side, "报销"))
    feishu.fail(kind, times=TRIES, on="/nodes")
    tally = await read(db, wiki, source(space))
    assert (counts(tally), bool(tally.problem)) == ({}, True)
    assert len(await names(db)) == 3
    assert counts(await read(db, wiki, source(space))) == {"seen": 2, "deleted": 1, "unchanged": 2}


async def test_a_list_that_breaks_off_in_its_middle_takes_nothing_out(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    await read(db, wiki, source(space))
    side.broken[page(side, "请假").token] = side.broken[""] = TRIES
    assert "131007" in (await read(db, wiki, source(space))).problem
    assert len(await names(db)) == 3


async def test_a_missing_scope_takes_nothing_out(db: Database, wiki: Wiki, side: WikiSide, space: str) -> None:
    await read(db, wiki, source(space))
    for page_ in side.pages.values():
        page_.edited += 10
    side.no_scope |= {"docs", "docx"}
    assert "99991672" in (await read(db, wiki, source(space))).problem
    side.no_scope.add("wiki")
    assert "99991672" in (await read(db, wiki, source(space))).problem
    assert len(await names(db)) == 3


async def test_a_page_that_cannot_be_fetched_keeps_the_version_that_is_in(
    db: Database, wiki: Wiki, side: WikiSide, space: str, feishu: FeishuSimulator
) -> None:
    await read(db, wiki, source(space))
    side.edit(page(side, "报销"), "新的规定。")
    feishu.fail("html", times=TRIES, on="/docs/v1/content")
    tally = await read(db, wiki, source(space))
    assert counts(tally) == {"seen": 3, "failed": 1, "unchanged": 2}
    assert await found(db, "发票抬头") == ["制度/报销"]
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "changed": 1, "unchanged": 2}


class Died(BaseException):
    """The process is gone."""


async def test_a_reading_that_was_broken_off_goes_on_where_it_ended(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    def die(outcome: kb.Outcome) -> None:
        raise Died

    with pytest.raises(Died):
        await sync(db, wiki, source(space), report=die)
    assert len(await names(db)) == 1
    assert counts(await read(db, wiki, source(space))) == {"seen": 3, "added": 2, "unchanged": 1}
    assert len(side.read) == 3


async def test_the_last_report_is_kept_and_each_page_is_counted_once(
    db: Database, wiki: Wiki, side: WikiSide, space: str
) -> None:
    heard: list[kb.Outcome] = []
    totals: list[int] = []
    tally = await sync(db, wiki, source(space), report=heard.append, total=totals.append)
    assert tally is not None
    assert await reports(db) == [tally]
    assert totals == [len(heard)] == [tally.seen]
    assert str(tally) == "3 seen, 3 added"
    assert str(replace(tally, problem="broken")).endswith("; broken")


# --- one at a time ----------------------------------------------------------------------------------------------


@pytest.fixture
async def shared(migrated_url: str) -> AsyncIterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


async def test_of_many_that_claim_at_once_one_wins(shared: Database) -> None:
    now = utcnow()
    until = now + timedelta(minutes=1)
    for turn in range(3):
        name = f"s{turn}"
        won = await asyncio.gather(*(shared.run(syncs.claim, name, f"p{n}", now, until) for n in range(8)))
        assert won.count(True) == 1
    winner = next(one.owner for one in await shared.read(syncs.all_syncs) if one.source == "s0")
    await shared.run(syncs.renew, "s0", winner, until)
    with pytest.raises(syncs.Lost):
        await shared.run(syncs.renew, "s0", "stranger", until)
    assert not await shared.run(syncs.claim, "s0", "late", now + timedelta(seconds=59), until)
    assert await shared.run(syncs.claim, "s0", "late", until, until + timedelta(minutes=1))  # the winner was away
    with pytest.raises(syncs.Lost):
        await shared.run(syncs.finish, "s0", winner, {}, now)
    await shared.run(syncs.finish, "s0", "late", {"seen": 1}, until)
    assert not await shared.run(syncs.claim, "s0", "soon", until, until, until - timedelta(seconds=1))
    assert await shared.run(syncs.claim, "s0", "soon", until, until, until)


async def test_two_processes_do_not_read_a_source_at_once(
    shared: Database, feishu: FeishuSimulator, side: WikiSide, space: str
) -> None:
    async with reader(feishu) as one, reader(feishu) as other:
        tallies = await asyncio.gather(sync(shared, one, source(space)), sync(shared, other, source(space)))
        assert sorted(tally is None for tally in tallies) == [False, True]
        assert len(side.read) == 3
        again = await sync(shared, other, source(space), unless_since=utcnow() - timedelta(minutes=5))
        assert again is None
        assert (await sync(shared, other, source(space), unless_since=utcnow())) is not None


async def test_whoever_lost_the_source_writes_nothing_more(
    shared: Database, feishu: FeishuSimulator, side: WikiSide, space: str
) -> None:
    async with reader(feishu) as wiki:
        thief = asyncio.Event()

        def stolen(outcome: kb.Outcome) -> None:
            if not thief.is_set():
                thief.set()
                later = utcnow() + timedelta(hours=1)
                assert shared.run_sync(syncs.claim, source(space).name, "thief", later, later)

        assert await sync(shared, wiki, source(space), report=stolen) is None
        assert len(await names(shared)) == 1
        [left] = await shared.read(syncs.all_syncs)
        assert (left.owner, left.report) == ("thief", None)


async def test_whoever_is_stopped_lets_go_at_whatever_moment(
    shared: Database, feishu: FeishuSimulator, space: str
) -> None:
    async with reader(feishu) as wiki:
        for pause in range(8):
            reading = asyncio.create_task(sync(shared, wiki, source(space)))
            await asyncio.sleep(pause / 200)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert [one.owner for one in await shared.read(syncs.all_syncs)] in ([], [""])


async def test_every_source_is_read_again_and_again(
    db: Database, wiki: Wiki, side: WikiSide, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = side.space("另一个")
    side.add(other, "另一页", "别的内容。")
    quick = [replace(source(one), every=timedelta(milliseconds=20)) for one in (space, other)]
    following = asyncio.create_task(follow(db, wiki, quick))
    try:
        await _until(lambda: _held(db, 4))
        side.trash(page(side, "另一页"))
        await _until(lambda: _held(db, 3))
        side.add(other, "又一页", "又有内容。")
        await _until(lambda: _held(db, 4))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert {one.owner for one in await db.read(syncs.all_syncs)} == {""}


async def _held(db: Database, count: int) -> bool:
    return len(await names(db)) == count


async def _until(look: Any) -> None:
    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.01)


# --- the plan ---------------------------------------------------------------------------------------------------


def node(obj: str, title: str = "", *, shortcut: bool = False, edited: str = "1", above: Sequence[str] = ()) -> Node:
    return Node(
        token=f"n{obj}{'s' if shortcut else ''}", obj=obj, kind="docx", title=title or obj, space="1",
        path=tuple(above), edited=edited, shortcut=shortcut, has_child=False, url=f"https://a.cn/wiki/n{obj}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "fetch", "skipped"),
    [
        ([], [], 0),
        ([node("a")], ["a"], 0),
        ([node("a"), node("a", shortcut=True)], ["a"], 0),
        ([node("a", shortcut=True), node("a")], ["a"], 0),
        ([node("a", shortcut=True), node("a", shortcut=True)], [], 1),
        ([node("a", "x"), node("b", "x")], ["x (a)", "x (b)"], 0),
        ([node("a", "x/y", above=["s"])], ["s/x／y"], 0),
    ],
)
def test_the_plan(nodes: list[Node], fetch: list[str], skipped: int) -> None:
    todo = plan("feishu", Listing(nodes=tuple(nodes), complete=True), {}, kb.recipe())
    assert [one.name for one in todo.fetch] == fetch
    assert len(todo.skipped) == skipped


def test_leases_outlive_heartbeats() -> None:
    assert kb_claims.LEASE.total_seconds() > 3 * kb_claims.HEARTBEAT
