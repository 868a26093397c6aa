"""What admins do with documents on the page: see them and their sources, upload, take out, say who may read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from bot import kb
from bot.console.console import Console
from bot.console.errors import DOCUMENTS, ConsoleError
from bot.console.sessions import privileged
from bot.kb_access import Access
from bot.kb_plan import COUNTED, Tally
from bot.settings.knowledge import Readers
from storage import audit, documents, holdings, principals, syncs
from storage.documents import Holding
from storage.holdings import Wanted
from storage.records import Role, User, utcnow
from storage.syncs import Sync

PAGE = 50  # documents that come at once
AT_ONCE = 2  # documents that are read at the same time, whoever sends them
MOST_READERS = 50

ROLES = tuple({"value": f"role:{role}", "label": ""} for role in (Role.ADMIN, Role.REVIEWER))
WRITTEN = r"\A[^\x00-\x1f]*\z"  # PostgreSQL takes no NUL

_READERS: TypeAdapter[tuple[str, ...]] = TypeAdapter(Readers)

Id = Annotated[int, Path(ge=1, lt=2**31)]
Name = Annotated[str, Query(min_length=1, max_length=500)]
Named = Annotated[list[Annotated[str, Field(max_length=300, pattern=WRITTEN)]] | None, Query(max_length=MOST_READERS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which part of the list."""

    q: Annotated[str, Query(max_length=200, pattern=WRITTEN)] = ""
    source: Annotated[str | None, Query(max_length=500, pattern=WRITTEN)] = None
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0


class Granted(BaseModel):
    """Who may read a document from now on."""

    model_config = ConfigDict(extra="forbid")

    readers: list[Annotated[str, Field(max_length=300, pattern=WRITTEN)]] = Field(min_length=1, max_length=MOST_READERS)


def add_documents(router: APIRouter, console: Console) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    @router.get(DOCUMENTS)
    async def listing(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
        await privileged(console, request, Role.ADMIN)
        return _json(await console.db.read(_page, Wanted(words=asked.q, source=asked.source), asked.offset))

    @router.post(DOCUMENTS)
    async def upload(request: Request, name: Name, readers: Named = None) -> Response:
        user = await privileged(console, request, Role.ADMIN)  # before a byte is read
        chosen = _checked(readers) if readers else frozenset()
        async with turns:
            given = await asyncio.to_thread(console.read, name, await request.body())
            outcome = await console.db.run(_keep, given, chosen, console.access(), user, utcnow())
        said = {"name": outcome.name, "status": outcome.status, "passages": outcome.passages}
        if outcome.status == "failed":
            error = {"code": f"document_{outcome.code}", "text": console.told(outcome)}
            return JSONResponse({"error": error}, status_code=422)
        return JSONResponse({**said, "text": console.told(outcome)}, status_code=201)

    @router.put(DOCUMENTS + "/{document_id}/readers")
    async def grant(document_id: Id, body: Granted, request: Request) -> Response:
        user = await privileged(console, request, Role.ADMIN)
        chosen = _checked(body.readers)
        return _json(await console.db.run(_grant, document_id, chosen, console.access(), user, utcnow()))

    @router.delete(DOCUMENTS + "/{document_id}")
    async def remove(document_id: Id, request: Request) -> Response:
        user = await privileged(console, request, Role.ADMIN)
        await console.db.run(_remove, document_id, user, utcnow())
        return Response(status_code=204)

    @router.get("/api/knowledge/sources")
    async def sources(request: Request) -> Response:
        await privileged(console, request, Role.ADMIN)
        return _json(await console.db.read(_sources))

    @router.get("/api/knowledge/readers")
    async def known(request: Request) -> Response:
        await privileged(console, request, Role.ADMIN)
        found = await console.db.read(principals.known)
        listed = [{"value": one, "label": name} for one, name in found if _fits(one)]
        return _json({"readers": [*ROLES, *listed], "default": sorted(console.access().default)})


def _json(body: Mapping[str, Any]) -> Response:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _checked(readers: Sequence[str]) -> frozenset[str]:
    """Readers as they are kept. Raises ConsoleError."""
    try:
        return frozenset(_READERS.validate_python(tuple(readers)))
    except ValidationError as error:
        raise ConsoleError(422, "readers") from error


def _fits(principal: str) -> bool:
    try:
        return bool(_READERS.validate_python((principal,)))
    except ValidationError:
        return False


def _page(conn: Connection, wanted: Wanted, offset: int) -> dict[str, Any]:
    found = holdings.page(conn, wanted, offset=offset, limit=PAGE)
    names = principals.names(conn, {one for each in found for one in each.principals})
    listed = [_document(each, names) for each in found]
    return {"documents": listed, "count": holdings.count(conn, wanted)}


def _document(held: Holding, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": held.document.id,
        "name": held.document.name,
        "title": held.document.title,
        "url": held.document.url,
        "source": held.source,
        "passages": held.passages,
        "readers": [{"value": one, "label": names.get(one, "")} for one in sorted(held.principals)],
        "at": held.document.updated_at.isoformat(),
    }


def _keep(
    conn: Connection, given: kb.Given, chosen: frozenset[str], access: Access, user: User, now: datetime
) -> kb.Outcome:
    """What nobody was chosen for keeps its readers, and where it is new gets those of the settings."""
    outcome = kb.keep_given(conn, given, chosen, access)
    held = documents.holding(conn, outcome.name)
    if outcome.status != "failed" and held is not None:
        detail = {"status": outcome.status, "passages": outcome.passages, "readers": sorted(held.principals)}
        _note(conn, user, "kb.add", outcome.name, detail, now)
    return outcome


def _grant(
    conn: Connection, document_id: int, readers: frozenset[str], access: Access, user: User, now: datetime
) -> dict[str, Any]:
    held = _own(conn, document_id)
    if access.by_hand(held.document.name, readers) != readers:  # what the settings say would come back
        raise ConsoleError(409, "ruled_document")
    documents.grant(conn, {document_id: readers})
    if readers != held.principals:
        detail = {"before": sorted(held.principals), "readers": sorted(readers)}
        _note(conn, user, "kb.readers", held.document.name, detail, now)
    names = principals.names(conn, readers)
    return {"readers": [{"value": one, "label": names.get(one, "")} for one in sorted(readers)]}


def _remove(conn: Connection, document_id: int, user: User, now: datetime) -> None:
    held = _own(conn, document_id)
    documents.delete_document(conn, held.document.name)
    _note(conn, user, "kb.remove", held.document.name, {}, now)


def _own(conn: Connection, document_id: int) -> Holding:
    """A document that no source keeps: what is changed here would else last until that is read again."""
    held = next(iter(documents.held(conn, [document_id])), None)
    if held is None:
        raise ConsoleError(404, "no_document")
    if held.source:
        raise ConsoleError(409, "synced_document")
    return held


def _note(conn: Connection, user: User, action: str, name: str, detail: dict[str, Any], now: datetime) -> None:
    audit.append(conn, f"user:{user.id}", action, f"document:{name}", detail, now)


def _sources(conn: Connection) -> dict[str, Any]:
    """What documents come from, how many each holds, and how it was read last."""
    held = {name: total.documents for name, total in documents.totals(conn).items()}
    stats = documents.stats(conn)
    read = {one.source: one for one in syncs.all_syncs(conn)}
    names = sorted({*held, *read} - {""})
    listed = [_source(name, held.get(name, 0), read.get(name)) for name in names]
    return {"documents": stats.documents, "passages": stats.passages, "given": held.get("", 0), "sources": listed}


def _source(name: str, held: int, sync: Sync | None) -> dict[str, Any]:
    tally = Tally.from_json(sync.report) if sync is not None and sync.report is not None else None
    claimed = sync.claimed_until if sync is not None else None
    return {
        "source": name,
        "documents": held,
        "reading": claimed is not None and claimed > utcnow(),
        "at": tally.at.isoformat() if tally else None,
        "counts": {each: getattr(tally, each) for each in COUNTED} if tally else {},
        "why": [list(each) for each in tally.why] if tally else [],
        "problem": tally.problem or tally.note if tally else "",
    }
