"""What the answers point to: pictures by asset id, passages in their document. Each only for who may see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from jinja2 import Environment
from sqlalchemy import Connection

from bot import access
from bot.console.console import Console
from bot.console.errors import ConsoleError
from bot.console.sessions import person
from bot.platforms.web.wire import PLATFORM
from storage import assets, documents, jobs
from storage.records import Asset, Job, Passage, User

Id = Annotated[int, Path(ge=1, lt=2**31)]

# The picture behind an asset id never changes, its visible mark may; `private` because it is one person's.
KEPT = "private, max-age=3600"


def add_library(router: APIRouter, console: Console, pages: Environment) -> None:
    @router.get("/api/assets/{asset_id}")
    async def picture(asset_id: Id, request: Request) -> Response:
        found = await _allowed(console, request, asset_id)
        if _unchanged(request, found):
            return Response(status_code=304)
        content = await asyncio.to_thread(console.showing.picture, found.asset, found.space)
        return _picture(content, found.asset.media_type, found)

    @router.get("/api/assets/{asset_id}/thumbnail")
    async def thumbnail(asset_id: Id, request: Request) -> Response:
        found = await _allowed(console, request, asset_id)
        if _unchanged(request, found):
            return Response(status_code=304)
        small, media_type = await asyncio.to_thread(console.showing.small, found.asset, found.space)
        return _picture(small, media_type, found)

    @router.get("/passages/{passage_id}")
    async def passage(passage_id: Id, request: Request) -> Response:
        user = await person(console, request)
        found = await console.db.read(_excerpt, passage_id, console.principals, user)
        if found is None:
            raise ConsoleError(404, "not_found")
        page = pages.get_template("passage.html").render(excerpt=found, words=console.words, look=console.look)
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-store"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """A passage with what stands around it in its document."""

    passage: Passage
    before: str
    after: str


def excerpt(cited: Passage, neighbours: Iterable[Passage]) -> Excerpt:
    """The passage between its neighbours. Passages overlap, so each gives only what the next does not say again."""
    near = {one.ordinal: one for one in neighbours if one.document_id == cited.document_id}
    before, after = "", ""
    below = above = cited
    while (previous := near.get(below.ordinal - 1)) is not None:
        before = _joined(previous.text[: max(0, below.start - previous.start)], before, below.start > previous.end)
        below = previous
    while (following := near.get(above.ordinal + 1)) is not None:
        after = _joined(after, following.text[max(0, above.end - following.start) :], following.start > above.end)
        above = following
    return Excerpt(passage=cited, before=before.strip("\n"), after=after.strip("\n"))


def _joined(first: str, second: str, gap: bool) -> str:
    return f"{first}\n\n{second}" if gap and first and second else first + second


def _excerpt(
    conn: Connection, passage_id: int, allowed: Callable[[Connection, User], frozenset[str]], user: User
) -> Excerpt | None:
    """A document's passages are kept in one go, so its neighbours have the ids around it."""
    principals = allowed(conn, user)
    cited = documents.get_passage(conn, passage_id, principals)
    if cited is None:
        return None
    around = (documents.get_passage(conn, passage_id + step, principals) for step in (-2, -1, 1, 2))
    return excerpt(cited, (one for one in around if one is not None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Visible:
    """A picture that somebody may see."""

    asset: Asset
    name: str  # what it is called, without its ending
    space: str  # where it is shown, as the policy of labels calls it
    etag: str  # of the copy that is shown there


async def _allowed(console: Console, request: Request, asset_id: int) -> Visible:
    user = await person(console, request)
    found = await console.db.read(_visible, asset_id, user)
    if found is None:
        raise ConsoleError(404, "not_found")
    asset, job = found
    ending = _ending(asset.media_type)
    name, space = console.name(asset, job, ending).removesuffix(f".{ending}"), f"{PLATFORM}:{user.id}"
    return Visible(asset=asset, name=name, space=space, etag=console.showing.etag(asset, space))


def _visible(conn: Connection, asset_id: int, user: User) -> tuple[Asset, Job] | None:
    """The asset if its job is this person's own, or for an admin; somebody else's looks as if it were not there.

    What is not done is for those who decide about it: not even its owner sees a picture that is held, or was rejected.
    """
    asset = assets.get(conn, asset_id)
    job = jobs.get(conn, asset.job_id) if asset is not None else None
    if asset is None or job is None:
        return None
    return (asset, job) if access.asset(user, job) else None


def _unchanged(request: Request, found: Visible) -> bool:
    return request.headers.get("if-none-match") == found.etag


def _picture(content: bytes, media_type: str, found: Visible) -> Response:
    asset = found.asset
    file = quote(f"{found.name}.{_ending(media_type)}", safe="")
    plain = f"moqi-{asset.job_id}-{asset.index + 1}.{_ending(media_type)}"  # for what knows ASCII only
    headers = {
        "Cache-Control": KEPT,
        "ETag": found.etag,
        "Content-Disposition": f"inline; filename=\"{plain}\"; filename*=UTF-8''{file}",
    }
    return Response(content, media_type=media_type, headers=headers)


def _ending(media_type: str) -> str:
    return media_type.rpartition("/")[2].replace("jpeg", "jpg")
