"""The gallery: its page, search, what can be chosen from, and what is found as one ZIP. All by one rule of sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from jinja2 import Environment
from sqlalchemy import Connection
from starlette.responses import JSONResponse, StreamingResponse

from bot import access, export
from bot.console.console import Console
from bot.console.errors import ConsoleError
from bot.console.sessions import person
from bot.finding import terms
from bot.platforms.web.wire import PLATFORM
from bot.replies.gallery import named
from storage import attendance, gallery
from storage.gallery import Choices, Found, Wanted
from storage.records import Role, User

PAGE = 60  # pictures that come at once

Id = Annotated[int, Query(ge=1, lt=2**31)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What stands in the address: see the page's form."""

    q: Annotated[str, Query(max_length=200)] = ""
    by: Annotated[int | None, Query(ge=1, lt=2**31)] = None
    model: Annotated[str, Query(max_length=200)] = ""
    size: Annotated[str, Query(pattern=r"\A(|[0-9]{1,5}x[0-9]{1,5})\z")] = ""
    first: date | None = None
    last: date | None = None
    ids: Annotated[str, Query(pattern=r"\A(|[0-9]{1,9}(,[0-9]{1,9}){0,499})\z")] = ""

    def wanted(self) -> Wanted:
        """The same as a search."""
        width, _, height = self.size.partition("x")
        return Wanted(
            terms=terms(self.q),
            owners=None if self.by is None else (self.by,),
            model=self.model,
            first_day=self.first.isoformat() if self.first else "",
            last_day=self.last.isoformat() if self.last else "",
            size=(int(width), int(height)) if self.size else None,
            ids=tuple(map(int, self.ids.split(","))) if self.ids else None,
        )


Search = Annotated[Asked, Depends()]


def add_gallery(router: APIRouter, console: Console, pages: Environment) -> None:
    boot = {"words": dict(console.words), "title": console.look.title, "names": console.names}
    page = pages.get_template("gallery.html").render(look=console.look, words=console.words, boot=boot)

    @router.get("/gallery", include_in_schema=False)
    async def show() -> Response:
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})

    @router.get("/api/gallery")
    async def search(request: Request, asked: Search, before: Id | None = None) -> Response:
        user = await person(console, request)
        found = await console.db.read(_found, user, asked.wanted(), before, PAGE + 1)
        listed = [_picture(one, user) for one in found[:PAGE]]
        return JSONResponse({"pictures": listed, "more": len(found) > PAGE}, headers={"Cache-Control": "no-store"})

    @router.get("/api/gallery/choices")
    async def choices(request: Request) -> Response:
        found = await console.db.read(_choices, await person(console, request))
        people = [{"id": number, "name": name} for number, name in found.people]
        return JSONResponse({"people": people, "models": found.models, "sizes": found.sizes})

    @router.get("/api/gallery/export")
    async def exportable(request: Request, asked: Search) -> Response:
        found = await _taken(console, await person(console, request), asked)
        return JSONResponse({"pictures": len(found), "bytes": export.size(found)})

    @router.get("/api/gallery/pictures.zip")
    async def take(request: Request, asked: Search) -> Response:
        user = await person(console, request)
        found = await _taken(console, user, asked)
        read = partial(console.showing.picture, space=f"{PLATFORM}:{user.id}")
        made = export.Export(read=read, name=console.name, zone=console.zone)
        day = max(one.asset.day for one in found).replace("-", "")
        headers = {"Content-Disposition": f'attachment; filename="moqi-{day}.zip"', "Cache-Control": "no-store"}
        return StreamingResponse(export.written(found, made), media_type="application/zip", headers=headers)


async def _taken(console: Console, user: User, asked: Asked) -> list[Found]:
    """What one download would hold. Raises ConsoleError when that is nothing, or too much."""
    found = await console.db.read(_found, user, asked.wanted(), None, export.MOST + 1)
    if not found:
        raise ConsoleError(404, "nothing_to_take")
    try:
        export.size(found)
    except export.TooMuch as error:
        raise ConsoleError(413, "too_many", pictures=export.MOST, megabytes=export.LARGEST // 1_000_000) from error
    return found


def _found(conn: Connection, user: User, wanted: Wanted, before: int | None, limit: int) -> list[Found]:
    seer = access.sight(user, attendance.of(conn, user.id))
    return gallery.page(conn, seer, wanted, before=before, limit=limit)


def _choices(conn: Connection, user: User) -> Choices:
    return gallery.choices(conn, access.sight(user, attendance.of(conn, user.id)))


def _picture(one: Found, user: User) -> dict[str, Any]:
    """A picture with its recipe, and what this person may do with it."""
    asset, job, recipe = one.asset, one.job, export.recipe(one)
    source = recipe.get("source") or {}
    began = f"#{source['job']}.{source['picture']}" if "job" in source else ""
    return {
        "asset": asset.id,
        "job": job.id,
        "index": asset.index + 1,
        "named": named(one),
        "width": asset.width,
        "height": asset.height,
        "prompt": str(recipe.get("prompt", "")),
        "negative": str(recipe.get("negative", "")),
        "seed": recipe["seed"],
        "steps": recipe.get("steps"),
        "model": str((job.result or {}).get("model", "")),
        "source": began,
        "who": one.owner,
        "at": asset.created_at.isoformat(),
        "private": bool(job.params.get("private")),
        "redo": job.user_id == user.id or user.role is Role.ADMIN,
    }
