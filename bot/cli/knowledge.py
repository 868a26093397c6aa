"""`moqi kb …`: the documents that answers are made from."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common, work
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from bot.kb import Outcome

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The documents that answers are made from.", no_args_is_help=True, rich_markup_mode=None)
    group.command("add")(put_in)
    group.command("list")(list_documents)
    group.command("remove")(remove)
    group.command("sync")(sync)
    group.command("search")(search)
    group.command("ask")(work.ask)
    group.command("eval")(evaluate)
    app.add_typer(group, name="kb")


def put_in(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH…")],
    as_json: AsJson = False,
) -> None:
    """Add documents, or update those that changed; one is named by its path relative to what was given."""
    from bot import kb

    for path in paths:
        _readable(path)
    with common.database() as db, common.progress("reading", _count(paths), quiet=as_json) as done:
        outcomes = asyncio.run(kb.add(db, paths, report=lambda one: done(_line(one))))
    _finish(outcomes, as_json)


def sync(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to follow; without one, the sources in knowledge.yaml.", metavar="[FOLDER]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the knowledge base equal to a folder: new files in, gone ones out.

    What was added by hand stays. A server follows the sources in knowledge.yaml when it starts: name a folder there
    too if it is to stay.
    """
    from bot import kb

    folders = [folder] if folder else _sources()
    with common.database() as db, common.progress("reading", _count(folders), quiet=as_json) as done:
        try:
            outcomes = asyncio.run(kb.sync(db, *folders, report=lambda one: done(_line(one))))
        except kb.NoFolder as error:
            raise Failed(str(error), Exit.USAGE) from error
    _finish(outcomes, as_json)


def list_documents(as_json: AsJson = False) -> None:
    """List the documents with their passages and readers."""
    from bot import kb

    with common.database() as db:
        held = asyncio.run(kb.overview(db))
    if as_json:
        common.show_json(
            [
                {
                    "document": one.document.name,
                    "title": one.document.title,
                    "passages": one.passages,
                    "readers": sorted(one.principals),
                    "synced": bool(one.source),
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
    """Find the passages that fit a question, best first."""
    from bot import kb

    with common.database() as db:
        found = asyncio.run(kb.search(db, question, k=k))
    if as_json:
        common.show_json(kb.to_json(found))
        return
    for one in found:
        heading = f" › {one.passage.heading}" if one.passage.heading else ""
        print(f"{one.score:7.3f}  {one.passage.document}{heading}")
        print(f"         {_excerpt(one.passage.text)}")
    if not found:
        print("Nothing fits. `moqi kb list` shows what is there.")


def evaluate(
    file: Annotated[
        Path, typer.Argument(help='Lines {"question": "…", "documents": ["name"]}; [] = to be refused.', metavar="FILE")
    ],
    as_json: AsJson = False,
) -> None:
    """Measure how often the search finds the right document, and how fast."""
    from bot import kb

    try:
        questions = kb.read_questions(_lines(file))
    except kb.BadQuestions as error:
        raise Failed(f"{file}: {error}", Exit.USAGE) from error
    if not questions:
        raise Failed(f'{file} has no questions. Write lines {{"question": "…", "documents": ["name"]}}.', Exit.USAGE)
    with common.database() as db:
        metrics = asyncio.run(kb.evaluate(db, questions))
    if as_json:
        common.show_json(metrics)
    else:
        common.show_table(("measure", "value"), list(metrics.items()), "")


def _sources() -> list[Path]:
    settings = common.settings()
    if not settings.knowledge.sources:
        raise Failed("knowledge.yaml names no sources. Name a folder: moqi kb sync FOLDER", Exit.USAGE)
    return [settings.path(source.path) for source in settings.knowledge.sources]


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


def _finish(outcomes: Sequence[Outcome], as_json: bool) -> None:
    """Say what became of the documents; exit 1 when one could not be read."""
    failed = [one for one in outcomes if one.problem]
    if as_json:
        listed = [
            {"document": one.name, "status": one.status, "passages": one.passages, "problem": one.problem}
            for one in outcomes
        ]
        common.show_json(listed)
    else:
        counts = Counter(one.status for one in outcomes)
        print(", ".join(f"{count} {status}" for status, count in counts.items()) or "no documents found")
        for one in failed:
            print(f"  {one.name}: {one.problem}")
    if failed:
        raise typer.Exit(Exit.BROKEN)


def _line(outcome: Outcome) -> str:
    return f"{outcome.status:9} {outcome.name} ({outcome.passages} passages)"


def _kept(source: str) -> str:
    return "with its folder" if source else "by hand"


def _excerpt(text: str, limit: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}. Correct the path.", Exit.USAGE) from error
    except UnicodeDecodeError as error:
        raise Failed(f"{file} is not UTF-8 text. Save it as UTF-8.", Exit.USAGE) from error
