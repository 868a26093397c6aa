"""The questions that got no good answer, for who keeps the documents: reviewers and admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from bot import unanswered
from bot.console.console import Console
from bot.console.sessions import privileged
from bot.unanswered import Viewer
from storage import audit, questions
from storage.records import Role, User, utcnow

Job = Annotated[int, Field(ge=1, lt=2**31, strict=True)]


class Settled(BaseModel):
    """Questions that somebody has seen to, or not after all."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[Job] = Field(min_length=1, max_length=unanswered.MOST)
    done: bool = True


def add_questions(router: APIRouter, console: Console) -> None:
    @router.get("/api/knowledge/unanswered")
    async def listing(request: Request) -> Response:
        user = await privileged(console, request, Role.REVIEWER)
        body = {"questions": await console.db.read(_listed, console, user)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @router.post("/api/knowledge/unanswered")
    async def settle(body: Settled, request: Request) -> Response:
        user = await privileged(console, request, Role.REVIEWER)
        return JSONResponse({"changed": await console.db.run(_settle, body, user)})


def _listed(conn: Connection, console: Console, user: User) -> list[dict[str, Any]]:
    viewer = Viewer.of(user, console.principals(conn, user))
    return [unanswered.to_json(one) for one in unanswered.listed(conn, viewer, utcnow())]


def _settle(conn: Connection, body: Settled, user: User) -> int:
    now = utcnow()
    changed = questions.settle(conn, body.jobs, user.id, now) if body.done else questions.reopen(conn, body.jobs)
    if changed:
        action = "kb.settle" if body.done else "kb.reopen"
        audit.append(conn, f"user:{user.id}", action, f"job:{body.jobs[0]}", {"jobs": body.jobs}, now)
    return changed
