"""The web chat as one router: the page, its own files, and the API behind it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader

from bot.console import words
from bot.console.chat import add_chat
from bot.console.console import Console
from bot.console.documents import add_documents
from bot.console.errors import ConsoleError, guarded
from bot.console.gallery import add_gallery
from bot.console.knowledge import add_knowledge
from bot.console.library import add_library
from bot.console.logins import add_logins
from bot.console.pictures import add_pictures
from bot.console.questions import add_questions
from bot.console.sessions import add_sessions

_HERE = Path(__file__).parent
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


def build_router(console: Console) -> APIRouter:
    """Every route of the web chat. Add `SecurityHeaders` to the application that includes it."""
    router = APIRouter(route_class=guarded(console.words), tags=["console"])
    pages = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)
    add_sessions(router, console)
    add_logins(router, console)
    add_chat(router, console)
    add_library(router, console, pages)
    add_gallery(router, console, pages)
    add_pictures(router, console)
    add_knowledge(router, console, pages)
    add_documents(router, console)
    add_questions(router, console)
    _add_page(router, console, pages)
    _add_api_page(router, console, pages)
    _add_static(router)
    return router


def _add_page(router: APIRouter, console: Console, pages: Environment) -> None:
    doors = [(f"/login/{platform}/start", _door(console, platform)) for platform in console.logins]
    hint = console.words["login_hint"].format(platform=words.called(console.words, console.logins))

    def page(practice: bool) -> str:
        said = {**console.words, **words.of(console.look.language, practice=True)} if practice else console.words
        boot = {"words": dict(said), "title": console.look.title, "names": console.names}
        return pages.get_template("chat.html").render(
            look=console.look, words=said, boot=boot, doors=doors, hint=hint, names=console.names
        )

    shown = {practice: page(practice) for practice in (False, True)}

    @router.get("/", include_in_schema=False)
    async def chat() -> Response:
        return Response(shown[console.practises()], media_type="text/html", headers={"Cache-Control": "no-cache"})


def _door(console: Console, platform: str) -> str:
    """What stands on the button; several apps of one platform are told apart by their names: feishu, feishu-design."""
    label = console.words["login_with"].format(platform=words.called(console.words, [platform]))
    app = platform.partition("-")[2]
    return f"{label} · {app}" if app else label


def _add_api_page(router: APIRouter, console: Console, pages: Environment) -> None:
    """The endpoints on one page of our own: the usual viewers load themselves from elsewhere."""

    @router.get("/api/docs", include_in_schema=False)
    async def api(request: Request) -> Response:
        paths = request.app.openapi()["paths"]
        page = pages.get_template("api.html").render(paths=paths, look=console.look, words=console.words)
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})


def _add_static(router: APIRouter) -> None:
    """The page's own files, read once: there are a dozen, and a name outside the dictionary is simply unknown."""
    known = {path.name: path.read_bytes() for path in (_HERE / "static").iterdir() if path.suffix in _MEDIA}
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in known.items()}

    @router.get("/static/{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        if name not in known:
            raise ConsoleError(404, "not_found")
        headers = {"Cache-Control": "no-cache", "ETag": tags[name]}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(known[name], media_type=_MEDIA[Path(name).suffix], headers=headers)
