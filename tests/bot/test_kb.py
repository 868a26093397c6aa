"""The knowledge base as a service: adding, measuring, documents that somebody sent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from bot import kb, kb_folders
from bot.kb_access import Access
from bot.kb_folders import Wanted
from inference.grounding import parse
from inference.grounding.chunk import Cutting
from storage.database import Database
from tests.blank import blank
from tests.inference.grounding.made import drawn, pdf, picture

ROOT = Path(__file__).parents[2]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    (made / "hr").mkdir(parents=True)
    (made / "hr" / "年假.md").write_text("# 年假\n\n工龄满十年的，年假十五天。\n", encoding="utf-8")
    (made / "报销.txt").write_text("发票抬头须写公司全称。", encoding="gb18030")
    (made / ".hidden.md").write_text("不收。", encoding="utf-8")
    (made / "photo.jpg").write_bytes(b"\xff\xd8")
    return made


async def names(db: Database) -> list[str]:
    return [holding.document.name for holding in await kb.overview(db)]


def statuses(outcomes: list[kb.Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.status for outcome in outcomes}


async def test_documents_are_named_by_their_path_in_what_was_given(db: Database, folder: Path) -> None:
    heard: list[kb.Outcome] = []
    outcomes = await kb.add(db, [folder, folder / "hr" / "年假.md"], report=heard.append)
    assert [(one.name, one.status) for one in outcomes] == [
        ("hr/年假.md", "added"),
        ("报销.txt", "added"),
        ("年假.md", "added"),
    ]
    assert heard == outcomes
    assert await names(db) == ["hr/年假.md", "年假.md", "报销.txt"]
    first, *_ = await kb.search(db, "发票抬头", k=3)
    assert kb.to_json([first])[0] == {
        "document": "报销.txt",
        "passage": first.passage.id,
        "score": round(first.score, 4),
        "text": "发票抬头须写公司全称。",
    }


async def test_headings_and_titles_are_searched_too(db: Database, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# 会议室守则\n\n## 预订\n\n提前十四天。", encoding="utf-8")
    await kb.add(db, [tmp_path / "a.md"])
    assert [one.passage.text for one in await kb.search(db, "会议室")] == ["提前十四天。"]


async def test_only_what_changed_is_indexed_again(db: Database, folder: Path) -> None:
    await kb.add(db, [folder])
    (folder / "报销.txt").write_text("发票须盖章。", encoding="utf-8")
    assert statuses(await kb.add(db, [folder])) == {"hr/年假.md": "unchanged", "报销.txt": "updated"}
    (folder / "报销.txt").write_text("发票须盖章。" * 100, encoding="utf-8")
    finer = Cutting(size=200, overlap=20)
    outcomes = await kb.add(db, [folder], cutting=finer)
    assert {one.name: (one.status, one.passages) for one in outcomes} == {
        "hr/年假.md": ("updated", 1),
        "报销.txt": ("updated", 6),  # two when cut as by default
    }
    assert set(statuses(await kb.add(db, [folder], cutting=finer)).values()) == {"unchanged"}
    wanted = Wanted(folders={folder: frozenset()}, cutting=finer)
    for status in ("updated", "unchanged"):  # the folder's from now on
        assert {one.status for one in (await kb_folders.sync(db, wanted)).outcomes} == {status}
    assert {holding.recipe for holding in await kb.overview(db)} == {kb.recipe(finer)}


async def test_adding_again_for_other_readers_changes_the_readers(db: Database, folder: Path) -> None:
    file = folder / "报销.txt"
    await kb.add(db, [file])
    await kb.add(db, [file], principals=frozenset({"user:3"}))
    assert await kb.search(db, "发票") == []
    assert len(await kb.search(db, "发票", principals=frozenset({"user:3"}))) == 1


async def test_one_bad_file_does_not_stop_the_others(db: Database, folder: Path) -> None:
    (folder / "bad.docx").write_bytes(b"nothing of the kind")
    outcomes = await kb.add(db, [folder, folder / "missing.md"])
    assert statuses(outcomes) == {
        "bad.docx": "failed",
        "hr/年假.md": "added",
        "报销.txt": "added",
        "missing.md": "failed",
    }
    assert ["damaged" in one.problem for one in outcomes if one.name == "bad.docx"] == [True]


async def test_remove(db: Database, folder: Path) -> None:
    await kb.add(db, [folder])
    assert await kb.remove(db, "报销.txt")
    assert not await kb.remove(db, "报销.txt")
    assert await kb.search(db, "发票") == []


# --- documents that somebody sent -------------------------------------------------------------------------------


async def sent(db: Database, name: str, data: bytes) -> kb.Outcome:
    return await db.run(kb.keep_given, kb.read_given(name, data))


async def test_a_document_that_was_sent_is_what_its_bytes_say(db: Database) -> None:
    outcome = await sent(db, "手册.pdf", "# 手册\n\n周五下午可以远程办公。".encode())
    assert (outcome.name, outcome.status, outcome.passages) == ("手册.pdf", "added", 1)
    assert len(await kb.search(db, "远程办公")) == 1
    assert (await sent(db, "手册.pdf", "# 手册\n\n周五下午可以远程办公。".encode())).status == "unchanged"
    assert (await sent(db, "手册.pdf", "# 手册\n\n周四可以远程办公。".encode())).status == "updated"


async def test_a_document_that_is_sent_again_keeps_its_readers(db: Database) -> None:
    """Else whoever brings a new version of a confidential document would publish it."""
    hr, data = frozenset({"dept:人事部"}), "# 薪酬\n\n年底双薪。".encode()
    await db.run(kb.keep_given, kb.read_given("薪酬.md", data), hr)
    for text in (data, data + "另有补贴。".encode()):
        await sent(db, "薪酬.md", text)
        assert await kb.search(db, "年底双薪") == []
    ruled = Access(rules=(("薪酬*", frozenset({"role:admin"})),))
    await db.run(kb.keep_given, kb.read_given("薪酬.md", data), access=ruled)
    assert {one.principals for one in await kb.overview(db)} == {frozenset({"role:admin"})}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"%PDF-1.7 nothing more", "unreadable"),
        (b"PK\x03\x04 nothing more", "unreadable"),
        (pdf(picture()), "no_text"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "locked"),
        (b"\x89PNG\r\n\x1a\n", "unsupported"),
        (b"\xd0\xcf\x11\xe0 an old document", "unsupported"),
        (b"MZ" + bytes(200), "unsupported"),
        (b"", "no_text"),
        (b"  \n", "no_text"),
        (b"\xff\xfe\x00", "unreadable"),
    ],
)
async def test_what_cannot_be_read_is_told_whatever_it_is_called(db: Database, data: bytes, code: str) -> None:
    outcome = await sent(db, "手册.md", data)
    assert (outcome.status, outcome.code) == ("failed", code)
    assert await names(db) == []


async def test_pages_without_text_are_told_and_the_others_kept(db: Database) -> None:
    data = pdf(drawn(["每位员工每年可享受十天带薪年休假，当年有效。"] * 3), picture(), picture())
    outcome = await sent(db, "手册.pdf", data)
    assert (outcome.status, outcome.unread) == ("added", "2–3")
    assert outcome.problem == "No text on p. 2–3, left out. Run text recognition (OCR) on the file."
    (found,) = await kb.search(db, "年休假")
    assert found.passage.heading == "p. 1"


async def test_a_file_of_200_mb_is_refused_unread(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", None)
    with (tmp_path / "大.pdf").open("wb") as file:
        file.truncate(200 * 1024**2)
    (outcome,) = await kb.add(db, [tmp_path / "大.pdf"])
    assert (outcome.status, outcome.passages) == ("failed", 0)
    assert "200 MB, the limit is 50 MB" in outcome.problem


async def test_what_a_folder_keeps_is_not_replaced_by_what_is_sent(db: Database, folder: Path) -> None:
    await kb_folders.sync(db, Wanted(folders={folder: frozenset()}))
    outcome = await sent(db, "报销.txt", "别的内容。".encode())
    assert (outcome.status, outcome.code) == ("failed", "synced")
    assert await kb.search(db, "别的内容") == []


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("手册.md", "手册.md"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\li\\手册.docx", "手册.docx"),
        (".env", "env"),
        ("a\nb\u202e.md", "a b.md"),
        ("", "document"),
        ("..", "document"),
        ("长" * 300 + ".md", "长" * 120 + ".md"),
        ("x" * 300, "x" * 120),
    ],
)
def test_how_a_document_that_was_sent_is_called(sent: str, name: str) -> None:
    assert kb.given_name(sent) == name


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"text", "a.md", ".md"),
        (b"<html></html>", "a.HTML", ".html"),
        (b"a,b", "a.csv", ".csv"),
        (b"text", "a.pdf", ".txt"),
        (b"\n%PDF-1.4", "a.txt", ".pdf"),
        ("文".encode("utf-16"), "a.txt", ".txt"),
    ],
)
def test_what_a_file_is(data: bytes, name: str, kind: str) -> None:
    assert parse.kind_of(data, name) == kind


@pytest.mark.parametrize(("folder", "kind"), [("word", ".docx"), ("xl", ".xlsx"), ("ppt", ".pptx"), ("photos", "")])
def test_which_office_format_an_archive_is(folder: str, kind: str) -> None:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(f"{folder}/document.xml", "x")
    if kind:
        assert parse.kind_of(buffer.getvalue(), "a.md") == kind
        return
    with pytest.raises(parse.Unsupported):
        parse.kind_of(buffer.getvalue(), "a.docx")
