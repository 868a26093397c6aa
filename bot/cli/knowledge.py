"""`moqi kb …`: the documents that answers are made from."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bot.cli import common, evaluation, questions, vectors, work
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from bot.kb import Outcome
    from bot.kb_folders import Wanted
    from bot.kb_plan import Tally, WikiSource
    from bot.kb_urls import UrlSource
    from bot.platforms.feishu.settings import FeishuSettings
    from bot.settings import Settings
    from storage.database import Database

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The documents that answers are made from.", no_args_is_help=True, rich_markup_mode=None)
    group.command("add")(put_in)
    group.command("list")(list_documents)
    group.command("remove")(remove)
    group.command("sync")(sync)
    group.command("sources")(list_sources)
    group.command("search")(search)
    group.command("ask")(work.ask)
    group.command("eval")(evaluation.evaluate)
    group.command("vectors")(vectors.show)
    group.command("unanswered")(questions.unanswered)
    group.command("feedback")(questions.feedback)
    app.add_typer(group, name="kb")


def put_in(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH…")],
    as_json: AsJson = False,
) -> None:
    """Add documents, or update those that changed; one is named by its path relative to what was given."""
    from bot import kb, sources

    for path in paths:
        _readable(path)
    settings = common.settings()
    access, cutting = sources.access(settings), settings.knowledge.chunking.cutting
    with common.database() as db, common.progress("reading", _count(paths), quiet=as_json) as done:
        adding = kb.add(db, paths, access=access, report=lambda one: done(_line(one)), cutting=cutting)
        outcomes = asyncio.run(adding)
    _finish(outcomes, as_json)


def sync(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to follow; without one, the sources in knowledge.yaml.", metavar="[FOLDER]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the knowledge base equal to a folder, or to all the sources: new documents in, gone ones out.

    What was added by hand stays. A server follows the sources in knowledge.yaml by itself: name a folder there too if
    it is to stay.
    """
    from bot import sources
    from bot.kb_folders import Wanted

    settings = common.settings()
    if folder is not None:
        named = {folder.resolve(): frozenset[str]()}
        cutting = settings.knowledge.chunking.cutting
        wanted = Wanted(folders=named, access=sources.access(settings), cutting=cutting)
        with common.database() as db:
            outcomes, tallies = _sync_folders(db, wanted, as_json)
        _finish(outcomes, as_json, tallies)
        return
    if not settings.knowledge.sources:
        raise Failed("knowledge.yaml names no sources. Name a folder: moqi kb sync FOLDER", Exit.USAGE)
    with common.database() as db:
        asyncio.run(_confine(db, settings))
        outcomes, tallies = [], []
        for read in (_sync_named_folders, _sync_urls, _sync_wikis):
            found, told = read(db, settings, as_json)
            outcomes += found
            tallies += told
    _finish(outcomes, as_json, tallies)


def list_documents(as_json: AsJson = False) -> None:
    """List the documents with their passages, sources and readers, and how each source was read last."""
    from bot import kb, kb_wiki

    with common.database() as db:
        held, tallies = asyncio.run(kb.overview(db)), asyncio.run(kb_wiki.reports(db))
    if as_json:
        common.show_json(
            [
                {
                    "document": one.document.name,
                    "title": one.document.title,
                    "passages": one.passages,
                    "readers": sorted(one.principals),
                    "synced": bool(one.source),
                    "source": one.source,
                    "url": one.document.url,
                    "updated_at": common.iso(one.document.updated_at),
                }
                for one in held
            ]
        )
        return
    rows = [
        (one.document.name, one.document.title, one.passages, ", ".join(sorted(one.principals)), _kept(one.source))
        for one in held
    ]
    empty = "The knowledge base is empty. `moqi kb add PATH` adds documents."
    common.show_table(("document", "title", "passages", "readers", "kept"), rows, empty)
    for tally in tallies:
        print(f"{tally.source}, {common.moment(tally.at)}: {tally}", file=sys.stderr)


def list_sources(as_json: AsJson = False) -> None:
    """List the sources with who gets answers from each, and how each was read last."""
    from bot import kb_wiki

    settings = common.settings()
    with common.database() as db:
        tallies = {one.source: one for one in asyncio.run(kb_wiki.reports(db))}
    readers = _source_readers(settings)
    if as_json:
        listed = [
            {"source": name, "readers": sorted(who), "last": tallies[name].to_json() if name in tallies else None}
            for name, who in readers
        ]
        common.show_json(listed)
        return
    read = {name: common.moment(tally.at) for name, tally in tallies.items()}
    rows = [(name, ", ".join(sorted(who)), read.get(name, ""), tallies.get(name, "")) for name, who in readers]
    common.show_table(("source", "readers", "read", "result"), rows, "knowledge.yaml names no sources.")
    for name, _ in readers:
        for page, why in tallies[name].why if name in tallies else ():
            print(f"  {page}: {why}")


def remove(
    name: Annotated[str, typer.Argument(help="Name of the document, as `moqi kb list` shows it.", metavar="NAME")],
) -> None:
    """Take a document out."""
    from bot import kb

    with common.database() as db:
        if not asyncio.run(kb.remove(db, name)):
            raise Failed(f"There is no document {name!r}. `moqi kb list` shows those there are.", Exit.USAGE)
    print(f"removed {name}")


def search(
    question: Annotated[str, typer.Argument(help="What to look for.", metavar="QUESTION")],
    k: Annotated[int, typer.Option("-k", help="How many passages.", min=1, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """Find the passages that fit a question, best first; among those of everyone and of admins."""
    from bot import kb
    from bot.kb_access import OPERATOR

    with common.database() as db:
        looking = evaluation.searching(db, lambda by: kb.search(db, question, k=k, principals=OPERATOR, retrieval=by))
        found = asyncio.run(looking)
    if as_json:
        common.show_json(kb.to_json(found))
        return
    for one in found:
        heading = f" › {one.passage.heading}" if one.passage.heading else ""
        print(f"{one.score:7.3f}  {one.passage.document}{heading}")
        print(f"         {_excerpt(one.passage.text)}")
    if not found:
        print("Nothing fits. `moqi kb list` shows what is there.")


def _source_readers(settings: Settings) -> list[tuple[str, frozenset[str]]]:
    """The sources by the name of their report; all folders together are one."""
    from bot import kb, sources

    access = sources.access(settings)
    folders = sources.folders(settings).folders
    shared = frozenset[str]().union(*(readers or access.default for readers in folders.values()))
    named = [(name, readers or access.default) for name, readers in sources.readers(settings).items()]
    return [(kb.SYNCED, shared), *named] if folders else named


def _sync_named_folders(db: Database, settings: Settings, quiet: bool) -> tuple[list[Outcome], list[Tally]]:
    from bot import sources

    return _sync_folders(db, sources.folders(settings), quiet)


def _sync_folders(db: Database, wanted: Wanted, quiet: bool) -> tuple[list[Outcome], list[Tally]]:
    from bot import kb, kb_folders

    with _Bar("reading", quiet) as bar:
        try:
            watching = kb_folders.Watching(report=bar.report, total=bar.total, waiting=bar.waiting)
            found = asyncio.run(kb_folders.sync(db, wanted, watching))
        except kb.NoFolder as error:
            raise Failed(str(error), Exit.USAGE) from error
    return list(found.outcomes), [found.tally]


def _sync_urls(db: Database, settings: Settings, quiet: bool) -> tuple[list[Outcome], list[Tally]]:
    from bot import sources

    wanted = sources.urls(settings)
    if not wanted:
        return [], []
    with _Bar("fetching", quiet) as bar:
        bar.total(len(wanted))
        return asyncio.run(_fetch_all(db, wanted, bar))


async def _fetch_all(db: Database, wanted: Sequence[UrlSource], bar: _Bar) -> tuple[list[Outcome], list[Tally]]:
    from bot import kb_urls
    from bot.kb_fetch import Fetcher

    fetcher = Fetcher()
    tallies = []
    for source in wanted:
        found = await kb_urls.sync(db, fetcher, source, report=bar.report)
        if found is None:
            print(f"{source.name}: {_ELSEWHERE}", file=sys.stderr)
        else:
            tallies.append(found)
    return bar.outcomes, tallies


_ELSEWHERE = "another process reads it now; `moqi kb sources` shows the result"


class _Bar:
    """A progress bar that is there once it is known how much there is to do, and what it was told."""

    def __init__(self, title: str, quiet: bool) -> None:
        self.outcomes: list[Outcome] = []
        self._title = title
        self._quiet = quiet
        self._waited = False
        self._stack = ExitStack()
        self._done: Callable[[str], None] = lambda line: None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *given: object) -> None:
        self._stack.close()

    def total(self, count: int) -> None:
        self._done = self._stack.enter_context(common.progress(self._title, count, quiet=self._quiet))

    def waiting(self) -> None:
        if not self._waited:
            print("another process reads the folders now; it is this one's turn when that has ended", file=sys.stderr)
        self._waited = True

    def report(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._done(_line(outcome))


async def _confine(db: Database, settings: Settings) -> None:
    from bot import sources
    from bot.kb_confine import confine

    await confine(db, sources.readers(settings), sources.access(settings))


def _sync_wikis(db: Database, settings: Settings, quiet: bool) -> tuple[list[Outcome], list[Tally]]:
    from bot import sources

    outcomes: list[Outcome] = []
    tallies = []
    for source in sources.wikis(settings):
        try:
            app = sources.app(settings, source.app)
        except sources.NoApp as error:
            raise Failed(str(error), Exit.USAGE) from error
        with _Bar(source.name, quiet) as bar:
            found = asyncio.run(_sync_wiki(db, app, source, bar))
        outcomes += bar.outcomes
        if found is None:
            print(f"{source.name}: {_ELSEWHERE}", file=sys.stderr)
        else:
            tallies.append(found)
    return outcomes, tallies


async def _sync_wiki(db: Database, app: FeishuSettings, source: WikiSource, bar: _Bar) -> Tally | None:
    from bot import kb_wiki
    from bot.platforms.feishu.wiki import Wiki

    wiki = Wiki(app)
    try:
        return await kb_wiki.sync(db, wiki, source, report=bar.report, total=bar.total)
    finally:
        await wiki.close()


def _readable(path: Path) -> None:
    """Refuse a path that would only fail later, after others were read."""
    if not path.exists():
        raise Failed(f"There is no file or folder {path}. Correct the path.", Exit.USAGE)
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise Failed(f"{path} cannot be read: permission denied. Check whose it is.", Exit.UNAVAILABLE)


def _count(paths: Sequence[Path]) -> int:
    """About how many documents there are, for the progress bar."""
    from inference.grounding.parse import supported

    endings = supported()
    inside = (found for path in paths if path.is_dir() for found in path.rglob("*"))
    return sum(found.suffix.lower() in endings for found in inside) + sum(path.is_file() for path in paths)


def _finish(outcomes: Sequence[Outcome], as_json: bool, tallies: Sequence[Tally] = ()) -> None:
    """Say what became of the documents; exit 1 when one could not be read, or a source not to its end."""
    said = [one for one in outcomes if one.problem]
    if as_json:
        listed = [
            {
                "document": one.name,
                "status": one.status,
                "before": one.before,
                "passages": one.passages,
                "problem": one.problem,
            }
            for one in outcomes
        ]
        common.show_json(listed)
    else:
        counts = Counter(one.status for one in outcomes)
        print(", ".join(f"{count} {status}" for status, count in counts.items()) or "no documents found")
        for one in said:
            print(f"  {one.name}: {one.problem}")
        for tally in tallies:
            print(f"{tally.source}: {tally}")
    if any(one.status == "failed" for one in outcomes) or any(tally.problem for tally in tallies):
        raise typer.Exit(Exit.BROKEN)


def _line(outcome: Outcome) -> str:
    before = f"{outcome.before} → " if outcome.before else ""
    return f"{outcome.status:9} {before}{outcome.name} ({outcome.passages} passages)"


def _kept(source: str) -> str:
    return "with its folder" if source == "folder" else source or "by hand"


def _excerpt(text: str, limit: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"
