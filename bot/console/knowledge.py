"""The knowledge page, and looking for passages: everybody finds what they may read, as answers are made from it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from bot.console.chat import readable
from bot.console.console import Console
from bot.console.sessions import person
from inference.grounding import parse
from inference.text.extractive import answerable
from storage.documents import EVERYONE
from storage.records import ScoredPassage, User

QUESTION = 500  # characters
AT_ONCE = 4  # questions that are looked up at the same time: answers in chats go on meanwhile


class Asked(BaseModel):
    """A question to be looked up. Not in the address, which is written into logs."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(max_length=QUESTION), AfterValidator(readable)]
    k: int = Field(default=10, ge=1, le=50)
    everyone: bool = False  # only in what everyone may read: what a group would be answered from


def add_knowledge(router: APIRouter, console: Console, pages: Environment) -> None:
    boot = {"words": dict(console.words), "title": console.look.title, "names": console.names}
    turns = asyncio.Semaphore(AT_ONCE)
    kinds = " ".join(sorted(ending.removeprefix(".") for ending in parse.supported()))
    page = pages.get_template("knowledge.html").render(
        look=console.look,
        words=console.words,
        boot=boot,
        kinds=kinds,
        accept=",".join(sorted(parse.supported())),
        largest=parse.MAX_BYTES // 1_048_576,
    )

    @router.get("/knowledge", include_in_schema=False)
    async def show() -> Response:
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})

    @router.post("/api/search")
    async def search(asked: Asked, request: Request) -> Response:
        """The passages that fit a question best, among the documents this person may read."""
        user = await person(console, request)
        whose = partial(_whose, console, user, asked.everyone)
        async with turns:
            found = await console.search(asked.question, whose, asked.k) if asked.question.strip() else []
        body = {"passages": [_passage(one) for one in found], "answerable": answerable(found)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _whose(console: Console, user: User, everyone: bool, conn: Connection) -> frozenset[str]:
    """Whose documents are looked through: never more than this person's own."""
    mine = console.principals(conn, user)
    return mine & {EVERYONE} if everyone else mine


def _passage(one: ScoredPassage) -> dict[str, Any]:
    return {
        "document": one.passage.document,
        "passage": one.passage.id,
        "heading": one.passage.heading,
        "text": one.passage.text,
        "url": one.passage.url,
        "score": round(one.score, 4),
        "coverage": round(one.coverage, 3),
    }
