"""`moqi kb eval`: the team's own questions, asked of the search and, if wanted, of the engine that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from bot.kb_eval import Question
    from inference.text.model import TextModel
    from scheduler.retrieval import Retrieval
    from storage.database import Database

T = TypeVar("T")


def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            help='Lines {"question": "…", "documents": ["name"]}; [] = to be refused. "answer": what a right one says.',
            metavar="FILE",
        ),
    ],
    answers: Annotated[
        bool, typer.Option("--answers", help="Have every question answered too, by the engine in model.yaml.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Measure how often the search finds the right document, and how fast; with --answers what is answered too."""
    from bot import kb_eval

    try:
        questions = kb_eval.read_questions(_lines(file))
    except kb_eval.BadQuestions as error:
        raise Failed(f"{file}: {error}", Exit.USAGE) from error
    if not questions:
        raise Failed(f'{file} has no questions. Write lines {{"question": "…", "documents": ["name"]}}.', Exit.USAGE)
    with common.database() as db, common.progress("asking", len(questions), quiet=True) as done:
        metrics = asyncio.run(_measured(db, questions, answers, lambda: done("")))
    if as_json:
        common.show_json(metrics)
    else:
        common.show_table(("measure", "value"), list(metrics.items()), "")


async def _measured(
    db: Database, questions: Sequence[Question], answers: bool, report: Callable[[], None]
) -> dict[str, float]:
    from bot import kb_eval
    from bot.kb_access import OPERATOR

    passages = common.settings().knowledge.retrieval.passages

    async def look(by: Retrieval, model: TextModel | None = None) -> dict[str, float]:
        return await kb_eval.evaluate(
            db, questions, principals=OPERATOR, retrieval=by, model=model, passages=passages, report=report
        )

    if not answers:
        return await searching(db, look)
    async with _answering() as model:
        return await searching(db, lambda by: look(by, model))


@asynccontextmanager
async def _answering() -> AsyncIterator[TextModel]:
    """The engine that model.yaml names, of this process alone; one on a GPU needs the memory that a server has."""
    from bot.opening import text_options
    from inference.text.registry import open_chat_model, open_text_model
    from inference.text.supervised import SupervisedModel

    options = text_options(common.settings(), common.environment().data)
    chat = open_chat_model(options)
    model = open_text_model(options, chat)
    try:
        if isinstance(chat, SupervisedModel):
            await chat.start()
            if chat.problem is not None:
                raise Failed(
                    f"{chat.problem} A server on the same card has its memory: stop it for the measuring.",
                    Exit.UNAVAILABLE,
                )
        yield model
    finally:
        await model.close()


async def searching(db: Database, look: Callable[[Retrieval], Awaitable[T]]) -> T:
    """Look as the server does: with the models that were admitted."""
    from bot.vectors import open_search

    by = open_search(common.settings(), db)
    try:
        await by.join()
        return await look(by.retrieval)
    finally:
        await by.close()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}. Correct the path.", Exit.USAGE) from error
    except UnicodeDecodeError as error:
        raise Failed(f"{file} is not UTF-8 text. Save it as UTF-8.", Exit.USAGE) from error
