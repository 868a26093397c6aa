"""`moqi kb vectors`: the models that the search has beside words, and how each did on these documents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from bot.vectors import Search
    from storage.encoders import Encoder

_STATES = {
    "preparing": "its vectors are being made, then it is examined; words alone until then",
    "live": "takes part in the search",
    "refused": "takes no part",
    "retired": "another one took its place",
}
_NONE = "Passages are found by words alone: model.yaml names no model under `embedding`."


def show(
    build: Annotated[
        bool, typer.Option("--build", help="Make the vectors that are missing and examine the models again, now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Show the models that search by meaning or rank, and whether they are good enough for these documents."""
    from bot.vectors import open_search

    settings = common.settings()
    with common.database() as db:
        search = open_search(settings, db)
        if build:
            asyncio.run(_built(search, quiet=as_json))
        rows = db.read_sync(_known)
    if as_json:
        common.show_json([_plain(one, made, of) for one, made, of in rows])
        return
    for one, made, of in rows:
        for line in _lines(one, made, of):
            print(line)
    if not search.models:
        print(_NONE)
    elif not rows:
        print("Nothing was examined yet: the server does it after its start, or: moqi kb vectors --build")


async def _built(search: Search, *, quiet: bool) -> None:
    from inference.errors import InferenceError
    from scheduler.examination import size
    from scheduler.vector_index import BATCH
    from storage.errors import StorageError

    if not search.models:
        raise Failed(_NONE, Exit.USAGE)
    try:
        batches = -(-await search.db.read(size) // BATCH)
        for index in search.indexes:
            with common.progress("vectors", batches, quiet=quiet) as done:
                await index.turn(done, again=True)
        if search.ranks is not None:
            await search.ranks.turn(again=True)
    except (InferenceError, StorageError) as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error
    finally:
        await search.close()


def _known(conn: Any) -> list[tuple[Encoder, int, int]]:
    """Each model with how many passages have its vectors, of how many."""
    from scheduler.examination import size
    from storage import encoders, vectors
    from storage.encoders import EncoderKind

    of = size(conn)
    return [
        (one, vectors.count(conn, one.id) if one.kind is EncoderKind.EMBEDDER else 0, of)
        for one in encoders.known(conn)
    ]


def _lines(one: Encoder, made: int, of: int) -> list[str]:
    told = [f"{one.kind} {one.model}: {_STATES[one.state]}"]
    if one.dimension:
        told.append(f"  {made} of {of} passages have its vectors, {one.dimension} numbers each")
    if one.reason:
        told.append(f"  {one.reason}")
    if one.figures:
        told.append(f"  examined {common.moment(one.changed_at)}: " + _said(one.figures))
    return told


def _said(figures: dict[str, Any]) -> str:
    """The figures of an examination in a line."""
    return ", ".join(
        f"{_NAMES[name].format(**figures)} {_shown(value)}" for name, value in figures.items() if name in _NAMES
    )


_NAMES = {
    "passages": "passages",
    "questions": "questions",
    "words": "found among {places} by words",
    "meaning": "by its vectors",
    "words_near": "among {near_places} by words",
    "both_near": "by both",
    "question_p95_ms": "milliseconds for a question's vector (p95)",
    "first": "right one first",
    "first_ranked": "ranked by it",
    "p95_ms": "milliseconds (p95)",
}


def _shown(value: float) -> str:
    return f"{value * 100:.1f} %" if isinstance(value, float) and value <= 1 else f"{value:g}"


def _plain(one: Encoder, made: int, of: int) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "model": one.model,
        "state": one.state.value,
        "reason": one.reason,
        "dimension": one.dimension,
        "vectors": made,
        "passages": of,
        "figures": one.figures,
        "changed_at": common.iso(one.changed_at),
    }
