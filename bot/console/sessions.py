"""Who is at the browser: choose a name, come back with a login code, leave."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import JSONResponse

from bot.console import words
from bot.console.console import Console
from bot.console.errors import ConsoleError
from bot.console.security import COOKIE, drop_session, set_session
from bot.platforms.web import wire
from storage import tokens, users
from storage.dialect import serialise
from storage.records import Identity, Role, User, utcnow


class SignIn(BaseModel):
    """A name to take, or a login code to come back with."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=200)
    login: str | None = Field(default=None, max_length=200)


async def visitor(console: Console, request: Request) -> User | None:
    """Whose session this is, None without one; 403 for a banned person."""
    secret = request.cookies.get(COOKIE, "")
    user = await console.db.read(tokens.lookup, secret, utcnow(), "session") if secret else None
    if user is not None and user.banned:
        raise ConsoleError(403, "banned")
    return user


async def person(console: Console, request: Request) -> User:
    """Whose session this is; 401 without one."""
    user = await visitor(console, request)
    if user is None:
        raise ConsoleError(401, "signed_out")
    return user


async def privileged(console: Console, request: Request, needed: Role) -> User:
    """Whose session this is, if they are a reviewer or an admin; else 403."""
    user = await person(console, request)
    if user.role not in (needed, Role.ADMIN):
        raise ConsoleError(403, "not_admin" if needed is Role.ADMIN else "not_reviewer")
    return user


def add_sessions(router: APIRouter, console: Console) -> None:
    @router.post("/api/session")
    async def sign_in(body: SignIn, request: Request) -> Response:
        now = utcnow()
        expires = now + timedelta(days=console.web.session_days)
        if body.login is not None:
            user, secret = await console.db.run(_come_back, body.login.strip(), now, expires)
        elif not console.names:
            raise ConsoleError(403, "no_names", platform=words.called(console.words, console.logins))
        else:
            user, secret = await console.db.run(
                _take_name, body.name or "", now, expires, first_is_admin=console.web.first_is_admin
            )
        response = JSONResponse(_session_json(user), status_code=201)
        set_session(response, request, secret, console.web.session_days)
        return response

    @router.get("/api/session")
    async def session(request: Request) -> Response:
        """Null rather than 401 for somebody new: an ordinary first visit is no error in the browser's console."""
        user = await visitor(console, request)
        return JSONResponse(None if user is None else _session_json(user))

    @router.delete("/api/session")
    async def sign_out(request: Request) -> Response:
        user = await visitor(console, request)
        if user is not None:
            await console.db.run(tokens.revoke_secret, request.cookies[COOKIE], utcnow())
            console.feed.end(user.id)
        response = Response(status_code=204)
        drop_session(response)
        return response


def _take_name(
    conn: Connection, text: str, now: datetime, expires: datetime, *, first_is_admin: bool
) -> tuple[User, str]:
    """A new person under a free name. A name once taken stays its person's: a login code brings them back."""
    name = wire.chosen_name(text)
    if name is None:
        raise ConsoleError(422, "bad_name")
    identity = Identity(platform=wire.PLATFORM, external_id=name)
    serialise(conn, "moqi-web-name")  # of two who choose the same name at once, one must hear that it is taken
    if users.of_identity(conn, identity) is not None:
        raise ConsoleError(409, "name_taken", name=name)
    user = users.resolve(conn, identity, name, now, first_is_admin=first_is_admin)
    return user, tokens.create(conn, user.id, "session", "web chat", now, expires)[0]


def _come_back(conn: Connection, code: str, now: datetime, expires: datetime) -> tuple[User, str]:
    """The person a login code was made for. The code works once."""
    user = tokens.lookup(conn, code, now, "login")
    if user is None or not tokens.revoke_secret(conn, code, now):
        raise ConsoleError(401, "bad_code")
    if user.banned:
        raise ConsoleError(403, "banned")
    return user, tokens.create(conn, user.id, "session", "web chat", now, expires)[0]


def _session_json(user: User) -> dict[str, object]:
    return {"id": user.id, "name": user.name, "role": user.role.value}
