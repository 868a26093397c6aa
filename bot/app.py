"""The HTTP server: every route, and the program's start and stop around it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from sqlalchemy import Connection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot import kb, naming
from bot.commands.rules import shape
from bot.console.console import CommandHint, Console, Look, SizeHint, StyleHint
from bot.console.routes import build_router
from bot.console.security import SecurityHeaders
from bot.console.words import of as page_words
from bot.current import Current
from bot.enclosures import keep_picture
from bot.health import degraded, metrics, readiness
from bot.opening import open_database
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.inbound import Door
from bot.platforms.wecom import proof
from bot.replies import manual
from bot.services import Services, serving
from bot.settings import Environment
from bot.templates import Prompts
from inference.images import pricing
from scheduler.runners.ask import readers
from storage.errors import StorageError
from storage.records import ChatType, Origin, ScoredPassage, User

log = logging.getLogger("moqi")

MAX_BODY = 1_000_000  # bytes of a webhook


def build(current: Current, environment: Environment) -> FastAPI:
    """The application. Nothing is opened before the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_database(environment) as db:
            services = Services(current, environment, db)
            app.state.services = services
            _add_routes(app, services)
            _reload_on_sighup(current)
            async with serving(services, listen=True):
                yield

    app = FastAPI(title="Moqi", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", lifespan=lifespan)
    app.add_middleware(SecurityHeaders)
    app.add_exception_handler(StorageError, _storage_failed)
    return app


def _add_routes(app: FastAPI, services: Services) -> None:
    _add_health(app, services)
    for platform in services.platforms.values():
        # Over a long connection nothing is posted to us: an open door would only be one for strangers.
        if isinstance(platform, FeishuPlatform) and not platform.dials:
            _add_feishu(app, services, platform)
    for door in services.doors:
        _add_door(app, door)
    if services.current.settings.platforms.wecom.app.enabled:
        add_proof(app, services.environment.config)
    if "web" in services.platforms:
        app.include_router(build_router(_console(services)))


def _add_health(app: FastAPI, services: Services) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        reasons = await readiness(services)
        content = {"ready": not reasons, "reasons": reasons, "degraded": degraded(services)}
        return JSONResponse(content, status_code=503 if reasons else 200)

    @app.get("/metrics", include_in_schema=False)
    async def scrape() -> Response:
        body, media_type = await metrics(services)
        return Response(body, media_type=media_type)


def _add_feishu(app: FastAPI, services: Services, feishu: FeishuPlatform) -> None:
    async def events(request: Request) -> Response:
        body = await _limited(request)
        if body is None:
            return JSONResponse({"code": 413, "msg": "too large"}, status_code=413)
        status, answer = await feishu.handle(request.headers, body, services.keep, services.act)
        return JSONResponse(answer, status_code=status)

    # A plain route: it takes nothing that FastAPI would read for it, and a flood of events comes this way.
    app.router.add_route(feishu.path, events, methods=["POST"], include_in_schema=False)


def _add_door(app: FastAPI, door: Door) -> None:
    async def answer(request: Request) -> Response:
        body = await _limited(request)
        if body is None:
            return PlainTextResponse("too large", status_code=413)
        status, media_type, text = await door.answer(request.method, request.scope["query_string"], body)
        return Response(text, status_code=status, media_type=media_type)

    app.router.add_route(door.path, answer, methods=["GET", "POST"], include_in_schema=False)


def add_proof(app: FastAPI, folder: Path) -> None:
    """WeCom fetches the file that proves a trusted domain at the root; it is read anew, so it may come at any time."""

    @app.get("/WW_verify_{mark}.txt", include_in_schema=False)
    async def verify(mark: str) -> Response:
        found = await asyncio.to_thread(proof.read, folder, f"WW_verify_{mark}.txt")
        return PlainTextResponse("not found\n", status_code=404) if found is None else PlainTextResponse(found)


async def _limited(request: Request) -> bytes | None:
    """The body, or None once it is larger than any event: nobody may fill the memory."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _console(services: Services) -> Console:
    settings = services.current.settings
    words = services.house().words
    return Console(
        db=services.db,
        files=services.files,
        showing=services.showing,
        feed=services.web,
        look=Look(title=settings.interface.title, language=settings.interface.language, theme=settings.interface.theme),
        web=settings.platforms.web,
        words=page_words(settings.interface.language),
        practises=lambda: services.device.card.builtin,
        commands=tuple(CommandHint(name=f"/{name}", zh=f"/{zh}", help=line) for name, zh, line in words.hints()),
        accept=services.keep,
        act=services.act,
        principals=_principals,
        name=lambda asset, job, ending: naming.name(services.current.settings.policy.names(), asset, job, ending),
        keep_picture=partial(keep_picture, services.db, services.files),
        templates=lambda conn, user: Prompts(
            conn, user, _web(user), services.current.settings.policy.templates
        ).suggestions(),
        thumbnail=_thumbnail,
        search=partial(_search, services),
        read=lambda name, data: kb.read_given(name, data, services.current.settings.knowledge.chunking.cutting),
        access=lambda: services.house().access,
        told=lambda outcome: services.house().words.document(outcome).text,
        zone=settings.policy.queue().timezone,
        sizes=partial(_sizes, services),
        styles=partial(_styles, services),
        style_preview=services.styles.preview,
        names=settings.platforms.takes_names,
        logins={name: one for name, one in services.logins.items() if name in settings.platforms.account_platforms},
        greet=services.greet,
    )


async def _search(
    services: Services, question: str, principals: Callable[[Connection], frozenset[str]], k: int
) -> list[ScoredPassage]:
    """What an answer to this question would be made from, by the rights of this moment."""
    by = services.search.retrieval
    query = await by.prepare(question)
    found = await services.db.read(lambda conn: by.find(conn, query, principals(conn), k))
    return await by.ranked(query, found, k)


def _sizes(services: Services) -> tuple[SizeHint, ...]:
    """What can be drawn now, with its price; nothing while no model can be used."""
    house = services.house()
    if house.card is None:
        return ()
    steps = int(house.rules.steps.default)
    return tuple(
        SizeHint(
            name=f"{width}x{height}",
            shape=shape(width, height),
            help=house.words.say("size.price", n=pricing.price(width, height, steps, 1, house.card)),
        )
        for width, height in house.rules.size.offered()
    )


async def _styles(services: Services) -> tuple[StyleHint, ...]:
    words = services.house().words
    return tuple(
        StyleHint(
            name=one.adapter.name,
            weight=one.adapter.weight,
            about=manual.style(words, one.adapter),
            preview=one.preview,
        )
        for one in await services.styles.shown()
    )


def _principals(conn: Connection, user: User) -> frozenset[str]:
    """Whose documents somebody may open on the web: the same as in their direct chat."""
    return readers(conn, user.id, _web(user))


def _web(user: User) -> Origin:
    """Where somebody writes on the web."""
    return Origin(platform="web", chat_id=str(user.id), chat_type=ChatType.DIRECT, message_id="", sender=user.name)


def _thumbnail(data: bytes) -> tuple[bytes, str]:
    from inference.images.finish import thumbnail

    return thumbnail(data)


async def _storage_failed(request: Request, error: Exception) -> Response:
    """Nothing was kept: say so, so that the sender comes again. 503 is what every platform repeats."""
    log.error("%s %s: %s", request.method, request.url.path, error, extra={"action": "storage-failed"})
    body: dict[str, Any] = {"error": {"code": "storage", "text": "暂时无法保存，请稍后再试。 Not saved, try again."}}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "5"})


def _reload_on_sighup(current: Current) -> None:
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[list[str]]] = set()

    def reload() -> None:
        task = loop.create_task(current.reload())
        pending.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(pending.discard)

    with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread: tests
        loop.add_signal_handler(signal.SIGHUP, reload)
