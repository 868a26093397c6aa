"""The names of sources, by which a question is asked of them alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot import kb_folders, sources
from bot.context import Handled
from bot.kb_folders import Wanted
from bot.settings import load
from bot.settings.knowledge import Knowledge
from scheduler.runners.ask import KB, SOURCES
from storage import documents, jobs
from storage.database import Database
from tests.blank import blank
from tests.bot.test_reserve import Chat, house

NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    found = tmp_path / "a", tmp_path / "b"
    for number, folder in enumerate(found):
        folder.mkdir()
        (folder / f"doc{number}.md").write_text(f"# 规定{number}\n\n年假十天。", encoding="utf-8")
    return found


async def held(db: Database, folders: tuple[Path, Path], names: Mapping[Path, str]) -> dict[str, str]:
    """What the documents' sources are called once the folders were read with these names."""
    await kb_folders.sync(db, Wanted(folders=dict.fromkeys(folders, NOBODY), names=names), attended=False)
    return await db.read(documents.collected, "folder")


async def test_documents_are_called_as_their_folder_is(db: Database, folders: tuple[Path, Path]) -> None:
    """Also where nothing but the name has changed, and where a document goes to the other folder."""
    one, other = folders
    assert await held(db, folders, {one: "人事"}) == {"doc0.md": "人事", "doc1.md": ""}
    assert await held(db, folders, {one: "人事", other: "IT"}) == {"doc0.md": "人事", "doc1.md": "IT"}
    (one / "doc0.md").rename(other / "doc0.md")
    assert await held(db, folders, {one: "人事", other: "IT"}) == {"doc0.md": "IT", "doc1.md": "IT"}
    assert await held(db, folders, {}) == {"doc0.md": "", "doc1.md": ""}


def test_settings_name_sources_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "knowledge.yaml").write_text(
        """sources:
  - {path: a, name: " 人事  制度 "}
  - path: b
  - {url: "https://docs.acme.cn/x", name: 网站}
  - {feishu_wiki: {spaces: ["7034502641455497244"], readers: [everyone]}, name: 人事 制度}
""",
        encoding="utf-8",
    )
    settings = load(tmp_path, {})
    assert settings.knowledge.collections == ("人事 制度", "网站")
    assert sources.folders(settings).names == {(tmp_path / "a").resolve(): "人事 制度"}
    assert [one.called for one in sources.urls(settings)] == ["网站"]
    assert [one.called for one in sources.wikis(settings)] == ["人事 制度"]


@pytest.mark.parametrize("name", ['"人事"', "“人事”", "长" * 41])
def test_a_name_that_could_not_be_written_after_the_flag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at most 40 characters without quotation marks"):
        Knowledge.model_validate({"sources": [{"path": "a", "name": name}]})


async def test_kb_asks_the_named_source_and_tells_nobody_of_others(db: Database, folders: tuple[Path, Path]) -> None:
    one, other = folders
    secret = Wanted(folders={one: NOBODY, other: frozenset({"user:99"})}, names={one: "人事 制度", other: "Secret"})
    await kb_folders.sync(db, secret, attended=False)
    chat = Chat(db, replace(house(), collections=("人事 制度", "Secret", "Empty")))

    async def ask(name: str) -> Handled:
        return await asyncio.to_thread(chat.say, f"/ask 年假几天 --kb {name}")

    job = await db.read(jobs.get, int((await ask('"人事 制度"')).outcome.removeprefix("job:")))
    assert job is not None
    assert job.params == {"question": "年假几天", KB: "人事 制度", SOURCES: ["人事 制度"]}
    said = set()
    for name in ("Secret", "Empty", "Nothing"):  # one that may not be read here is like one that is not there
        handled = await ask(name)
        assert handled.outcome == "refused:unknown_kb"
        assert handled.reply is not None
        said.add(handled.reply.text.replace(name, "…"))
    assert len(said) == 1
    assert "可用：人事 制度" in said.pop()
