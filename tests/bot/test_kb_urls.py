"""The knowledge base in step with pages of the web: the real reading against a real server, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot import kb, kb_urls, sources, url_doctor
from bot.kb_access import PUBLIC, Access
from bot.kb_confine import confine
from bot.kb_fetch import Fetcher, Limits
from bot.kb_plan import Tally
from bot.kb_urls import UrlSource, sync
from bot.settings import load
from storage import documents, syncs
from storage.database import Database
from storage.records import utcnow
from storage.tables import documents as table
from tests.blank import blank
from tests.bot.test_kb_fetch import HERE, Site, local, serving

HR = frozenset({"dept:人事部"})


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
def site() -> Iterator[Site]:
    with serving() as made:
        made.page("/handbook", "<title>员工手册</title><h1>年假</h1><p>年假十五天。</p>".encode(), etag='"1"')
        yield made


def source(site: Site, path: str = "/handbook", readers: frozenset[str] = PUBLIC) -> UrlSource:
    limits = Limits(hosts=frozenset({site.host}), private=HERE, plain=True)
    return UrlSource(url=f"http://{site.host}{path}", limits=limits, readers=readers, every=timedelta(hours=1))


async def read(db: Database, wanted: UrlSource) -> Tally:
    found = await sync(db, Fetcher(lookup=local, patience=5), wanted)
    assert found is not None
    return found


def counts(tally: Tally) -> dict[str, int]:
    return {
        name: value
        for name in ("added", "changed", "unchanged", "deleted", "failed")
        if (value := getattr(tally, name))
    }


async def test_a_page_is_kept_followed_and_taken_out(either: Database, site: Site) -> None:
    db = either
    wanted = source(site)
    assert counts(await read(db, wanted)) == {"added": 1}
    [found] = await kb.search(db, "年假几天")
    assert (found.passage.document, found.passage.url) == (f"{site.host}/handbook", wanted.url)
    assert [one.document.title for one in await kb.overview(db)] == ["员工手册"]
    assert counts(await read(db, wanted)) == {"unchanged": 1}
    assert site.asked[-1][1]["if-none-match"] == '"1"'
    site.page("/handbook", "<h1>年假</h1><p>年假十六天。</p>".encode(), etag='"2"')
    assert counts(await read(db, wanted)) == {"changed": 1}
    site.page("/handbook", "<h1>年假</h1><p>年假十六天。</p>".encode(), etag='"3"')  # the same under another name
    assert counts(await read(db, wanted)) == {"unchanged": 1}
    site.page("/handbook", b"", 404)
    tally = await read(db, wanted)
    assert (counts(tally), "404" in tally.why[0][1]) == ({"deleted": 1}, True)
    assert await kb.search(db, "年假几天") == []
    assert await kb.overview(db) == []


@pytest.mark.parametrize("trouble", ["500", "type", "gone elsewhere", "damaged", "away"])
async def test_trouble_takes_nothing_out(db: Database, site: Site, trouble: str) -> None:
    wanted = source(site)
    await read(db, wanted)
    match trouble:
        case "500":
            site.page("/handbook", b"", 500)
        case "type":
            site.pages["/handbook"] = (200, {"content-type": "image/png"}, b"")
        case "gone elsewhere":
            site.page("/handbook", b"", 302, location="https://login.example/?to=handbook")
        case "damaged":
            site.pages["/handbook"] = (200, {"content-type": "application/pdf"}, b"%PDF-1.7 nothing more")
        case _:
            wanted = replace(wanted, limits=replace(wanted.limits, private=()))
    tally = await read(db, wanted)
    assert counts(tally) == {"failed": 1}
    assert tally.problem
    assert len(await kb.search(db, "年假几天")) == 1


async def test_readers_hold_before_the_page_answers(either: Database, site: Site) -> None:
    db = either
    await read(db, source(site))
    site.page("/handbook", b"", 500)
    await read(db, source(site, readers=HR))
    assert await kb.search(db, "年假几天") == []
    assert len(await kb.search(db, "年假几天", principals=HR)) == 1
    ruled = Access(rules=((f"{site.host}/", frozenset({"role:admin"})),))
    await confine(db, {source(site).name: HR}, ruled)
    assert {one.principals for one in await kb.overview(db)} == {frozenset({"role:admin"})}
    await confine(db, {}, Access())
    assert await kb.overview(db) == []
    assert await db.read(syncs.all_syncs) == []


async def test_a_page_of_another_recipe_is_asked_for_as_a_whole(db: Database, site: Site) -> None:
    await read(db, source(site))
    await db.run(lambda conn: conn.execute(update(table).values(recipe="older")))
    assert counts(await read(db, source(site))) == {"changed": 1}
    assert "if-none-match" not in site.asked[-1][1]


async def test_two_pages_of_one_name_are_both_there_and_a_key_is_not_shown(db: Database, site: Site) -> None:
    for number in (1, 2):
        site.page(f"/doc?key=secret{number}", f"第{number}份文件。".encode())
        assert counts(await read(db, source(site, f"/doc?key=secret{number}"))) == {"added": 1}
    held = await kb.overview(db)
    assert len({one.document.name for one in held}) == 2
    assert all("secret" not in f"{one.document.name} {one.source}" for one in held)
    assert all("secret" not in one.source for one in await db.read(syncs.all_syncs))


async def test_one_process_reads_a_page_at_a_time(db: Database, site: Site) -> None:
    wanted = source(site)
    await db.run(syncs.claim, wanted.name, "elsewhere:1:x", utcnow(), utcnow() + timedelta(minutes=1))
    assert await sync(db, Fetcher(lookup=local), wanted) is None
    await db.run(syncs.release, wanted.name, "elsewhere:1:x")
    await read(db, wanted)
    assert await sync(db, Fetcher(lookup=local), wanted, unless_since=utcnow() - timedelta(minutes=1)) is None
    assert len(site.asked) == 1


async def test_pages_are_read_again_and_again(db: Database, site: Site) -> None:
    site.page("/other", "别的内容。".encode())
    quick = [replace(source(site, path), every=timedelta(milliseconds=20)) for path in ("/handbook", "/other")]
    following = asyncio.create_task(kb_urls.follow(db, Fetcher(lookup=local), quick))
    try:
        await _until(db, 2)
        site.page("/other", b"", 410)
        await _until(db, 1)
        site.page("/other", "又有内容。".encode())
        await _until(db, 2)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert {one.owner for one in await db.read(syncs.all_syncs)} == {""}


async def _until(db: Database, count: int) -> None:
    async with asyncio.timeout(20):
        while (await db.read(documents.stats)).documents != count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://docs.acme.cn/", "docs.acme.cn"),
        ("https://docs.acme.cn/%E6%89%8B%E5%86%8C/", "docs.acme.cn/手册"),
        ("https://docs.acme.cn/a?key=1", "docs.acme.cn/a"),
        ("https://docs.acme.cn/a%0Ab%E2%80%AEc", "docs.acme.cn/a bc"),
        ("https://docs.acme.cn/" + "a" * 300, "docs.acme.cn/" + "a" * 107),
    ],
)
def test_what_a_page_is_called(url: str, name: str) -> None:
    limits = Limits(hosts=frozenset())
    assert UrlSource(url=url, limits=limits, readers=PUBLIC, every=timedelta(hours=1)).document == name


def test_the_settings_name_pages(tmp_path: Path) -> None:
    (tmp_path / "knowledge.yaml").write_text(
        """
sources:
  - url: https://docs.acme.cn/handbook
  - url: [https://intra.acme.cn:8443/a.pdf, http://intra.acme.cn/b]
    hosts: [INTRA.acme.cn, intra.acme.cn:8443, files.acme.cn]
    private: [10.0.0.0/8]
    http: true
    readers: [dept:人事部]
    every: 1d
access:
  default: admins
  rules:
    "薪酬*": [role:admin, dept:人事部]
""",
        encoding="utf-8",
    )
    settings = load(tmp_path, {})
    first, *others = sources.urls(settings)
    assert (first.limits, first.readers, first.every) == (
        Limits(hosts=frozenset({"docs.acme.cn"})),
        frozenset(),
        timedelta(hours=1),
    )
    assert first.access.readers("a", first.readers) == {"role:admin"}
    assert first.access.readers("x/薪酬.md", first.readers) == {"role:admin", "dept:人事部"}
    hosts = frozenset({"intra.acme.cn", "intra.acme.cn:8443", "files.acme.cn"})
    assert {one.limits.hosts for one in others} == {hosts}
    assert [str(one) for one in others[0].limits.private] == ["10.0.0.0/8"]
    assert (others[1].limits.plain, others[1].readers, others[1].every) == (True, HR, timedelta(days=1))


def test_the_doctor_tries_each_page(site: Site, tmp_path: Path) -> None:
    site.page("/shut", b"", 403)
    addresses = ", ".join(f"http://{site.host}/{path}" for path in ("handbook", "shut"))
    written = f"sources:\n  - {{url: [{addresses}], http: true, private: [127.0.0.0/8]}}"
    (tmp_path / "knowledge.yaml").write_text(written, encoding="utf-8")
    good, bad = url_doctor.pages(load(tmp_path, {}), Fetcher(lookup=local))
    assert (good.ok, good.detail.endswith("bytes"), bad.ok) == (True, True, False)
    assert "403" in bad.problem
