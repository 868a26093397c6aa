"""The conversation: history, what is written, buttons pressed, and the live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, StreamingResponse

from bot.console.console import Console, StyleHint
from bot.console.errors import ConsoleError
from bot.console.sessions import person
from bot.platforms.web import wire
from bot.platforms.web.feed import Feed
from storage import messages
from storage.messages import Message
from storage.records import User, utcnow

TEXT_LIMIT = 20_000  # characters of a message; what a prompt may be is the model's business
HEARTBEAT = 15.0  # seconds between two signs of life, below the usual 60 s of a proxy


def readable(text: str) -> str:
    """JSON can spell half a surrogate pair, which no database and no other platform could carry."""
    text.encode()  # UnicodeEncodeError is a ValueError: refused as malformed
    return text


Number = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
FormText = Annotated[str, Field(max_length=TEXT_LIMIT), AfterValidator(readable)]
PreviewKey = Annotated[str, Path(pattern=r"\A[0-9a-f]{32}\z")]
BrowserId = Annotated[str, Field(pattern=rf"\A{wire.ID_PATTERN.pattern}\z")]


class Written(BaseModel):
    """A message, under an id the browser made: sending it again changes nothing."""

    model_config = ConfigDict(extra="forbid")

    id: BrowserId
    text: Annotated[str, AfterValidator(readable)]
    picture: str | None = Field(default=None, pattern=r"\A[0-9a-f]{64}\z")  # attached: see bot/console/pictures.py


class Pressed(BaseModel):
    """A button press, under an id the browser made: on a job, or with the value its button carries.

    What sends a form brings what was filled in, by the names of the fields.
    """

    model_config = ConfigDict(extra="forbid")

    id: BrowserId
    job: int | None = Field(default=None, ge=1, lt=2**31)
    value: dict[Annotated[str, Field(pattern="^[a-z]{1,16}$")], Number] = Field(default_factory=dict, max_length=4)
    form: dict[Annotated[str, Field(pattern="^[a-z]{1,16}$")], FormText] = Field(default_factory=dict, max_length=12)
    action: str = Field(pattern="^[a-z_]{1,32}$")
    message: int | None = Field(default=None, ge=1, lt=2**31)  # the card it was pressed on; none in the gallery


def add_chat(router: APIRouter, console: Console) -> None:
    @router.get("/api/messages")
    async def history(
        request: Request,
        before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Response:
        user = await person(console, request)
        found = await console.db.read(messages.page, user.id, before=before, limit=limit + 1)
        page = found[-limit:]
        return JSONResponse({"messages": [wire.message_json(m) for m in page], "more": len(found) > limit})

    @router.post("/api/messages")
    async def write(body: Written, request: Request) -> Response:
        user = await person(console, request)
        _check_text(body.text)
        message = await _keep(console, user, body)
        return JSONResponse(wire.message_json(message), status_code=202)

    @router.post("/api/actions")
    async def press(body: Pressed, request: Request) -> Response:
        user = await person(console, request)
        event = wire.action_event(
            user_id=user.id,
            name=user.name,
            browser_id=body.id,
            action=body.action,
            value=body.value if body.job is None else {"job": body.job},
            form=body.form,
            message=body.message,
            at=utcnow(),
        )
        kind, text, shown = await console.act(event)  # a page opens and closes its forms by itself,
        form = shown.reply.form if shown is not None else None  # but one that asks about the press comes with it
        asks = {"form": asdict(form)} if form is not None and form.open else {}
        return JSONResponse({"toast": {"kind": kind, "text": text}, **asks})

    @router.get("/api/stream")
    async def stream(request: Request) -> Response:
        user = await person(console, request)
        return StreamingResponse(
            _news(console.feed, user.id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.get("/api/commands")
    async def commands() -> Response:
        return JSONResponse([{"name": c.name, "zh": c.zh, "help": c.help} for c in console.commands])

    @router.get("/api/templates")
    async def templates(request: Request) -> Response:
        user = await person(console, request)
        found = await console.db.read(console.templates, user)
        return JSONResponse([{"name": name, "help": slots} for name, slots in found])

    @router.get("/api/sizes")
    async def sizes(request: Request) -> Response:
        await person(console, request)
        return JSONResponse([{"name": one.name, "zh": one.shape, "help": one.help} for one in console.sizes()])

    @router.get("/api/styles")
    async def styles(request: Request) -> Response:
        await person(console, request)
        return JSONResponse([_style_json(one) for one in await console.styles()])

    @router.get("/api/styles/{key}")
    async def style_preview(key: PreviewKey, request: Request) -> Response:
        await person(console, request)
        data = await asyncio.to_thread(console.style_preview, key)
        if data is None:
            raise ConsoleError(404, "not_found")
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _style_json(one: StyleHint) -> dict[str, object]:
    preview = f"/api/styles/{one.preview}" if one.preview else None
    return {"name": one.name, "weight": one.weight, "about": one.about, "preview": preview}


def _check_text(text: str) -> None:
    if not text.strip():
        raise ConsoleError(422, "empty")
    if len(text) > TEXT_LIMIT:
        raise ConsoleError(422, "too_long", limit=TEXT_LIMIT)


async def _keep(console: Console, user: User, body: Written) -> Message:
    """The person's own bubble first, then the event: its answer must stand below it. Both are idempotent."""
    now = utcnow()
    message, new = await console.db.run(
        messages.add,
        key=wire.own_key(user.id, body.id),
        user_id=user.id,
        author="user",
        body={"text": body.text, **({"picture": body.picture} if body.picture else {})},
        now=now,
    )
    if new:
        console.feed.message(user.id, wire.message_json(message))
    event = wire.message_event(
        user_id=user.id,
        name=user.name,
        browser_id=body.id,
        text=message.body["text"],
        picture=message.body.get("picture", ""),
        at=message.created_at,
    )
    await console.accept(event)
    return message


async def _news(feed: Feed, user_id: int, heartbeat: float = HEARTBEAT) -> AsyncGenerator[str]:
    """The stream of one page. `ready` comes after subscribing: a history fetched then misses nothing."""
    with feed.subscribe(user_id) as page:
        yield "retry: 1000\nevent: ready\ndata: {}\n\n"
        while True:
            try:
                news = await asyncio.wait_for(page.get(), heartbeat)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if news is None:
                return
            yield wire.server_sent(news)
