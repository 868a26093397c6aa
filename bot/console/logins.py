"""Signing in with an account of a platform: off to its page, and back as the person the chat knows."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.responses import RedirectResponse

from bot.console import words
from bot.console.console import Console
from bot.console.security import set_session
from bot.platforms.login import Login, LoginFailed, Visitor
from storage import logins, profiles, tokens, users
from storage.errors import StorageError
from storage.logins import LASTS, TooMany
from storage.records import User, utcnow

log = logging.getLogger("moqi.console")

COOKIE = "moqi_login"  # of the browser that began a login; it is also the PKCE verifier
_LONGEST = 512  # characters of what comes back


def add_logins(router: APIRouter, console: Console) -> None:
    """`/login/<platform>/start` leaves, `/login/<platform>` is where the platform sends the browser back to."""
    for login in console.logins.values():
        _add_login(router, console, login)


def _add_login(router: APIRouter, console: Console, login: Login) -> None:
    path = f"/login/{login.platform}"

    @router.get(f"{path}/start", include_in_schema=False)
    async def start(request: Request) -> Response:
        redirect_uri = f"{console.web.public_url or _origin(request)}{path}"
        try:
            state, browser = await console.db.run(logins.begin, login.platform, redirect_uri, utcnow())
        except (TooMany, StorageError):
            log.exception("a login could not begin", extra={"action": "login-failed"})
            return _back("login_unavailable", login.platform)
        agent = request.headers.get("user-agent", "")
        response = RedirectResponse(login.address(redirect_uri, state, browser, agent), status_code=303)
        response.set_cookie(
            COOKIE,
            browser,
            max_age=int(LASTS.total_seconds()),
            path=path,
            httponly=True,
            samesite="lax",  # sent when the platform sends the browser back, and not by other sites' forms
            secure=_secure(redirect_uri),
        )
        return response

    @router.get(path, include_in_schema=False)
    async def finish(request: Request) -> Response:
        now = utcnow()
        try:
            visitor = await _visitor(console, login, request, now)
            expires = now + timedelta(days=console.web.session_days)
            user, secret = await console.db.run(_sign_in, visitor, now, expires)
            if user.banned:
                raise LoginFailed("banned", f"user {user.id} is banned")
        except LoginFailed as failure:
            log.warning("nobody was signed in: %s", failure, extra={"action": "login-failed"})
            response = _back(failure.code, login.platform)
        except StorageError:
            log.exception("nobody was signed in", extra={"action": "login-failed"})
            response = _back("login_unavailable", login.platform)
        else:
            console.greet(visitor.identity)
            response = _back()
            set_session(response, request, secret, console.web.session_days)
        response.delete_cookie(COOKIE, path=path, httponly=True, samesite="lax")
        return response


async def _visitor(console: Console, login: Login, request: Request, now: datetime) -> Visitor:
    """Who came back, if it is a login that this browser began. Raises LoginFailed."""
    state, code, error = (request.query_params.get(name, "")[:_LONGEST] for name in ("state", "code", "error"))
    browser = request.cookies.get(COOKIE, "")[:_LONGEST]
    redirect_uri = await console.db.run(logins.finish, login.platform, state, browser, now)
    if redirect_uri is None:
        raise LoginFailed("login_replayed", "the state is unknown, used, over, or of another browser")
    if error or not code:
        cancelled = error in ("access_denied", "")
        raise LoginFailed("login_cancelled" if cancelled else "login_misconfigured", f"came back with {error!r}")
    return await login.visitor(code, redirect_uri, browser)


def _sign_in(conn: Connection, visitor: Visitor, now: datetime, expires: datetime) -> tuple[User, str]:
    """The person that the chat knows under this identity, or a new one; never linked by a name or an address."""
    user = users.resolve(conn, visitor.identity, visitor.name, now)
    if user.banned:
        return user, ""
    profiles.greet(conn, visitor.identity, visitor.name, visitor.union_id, visitor.tenant_key)
    return user, tokens.create(conn, user.id, "session", f"{visitor.identity.platform} login", now, expires)[0]


def _back(error: str = "", platform: str = "") -> Response:
    """Back to the page, which says what was wrong, and where."""
    address = f"/?{urlencode({'login': error, 'at': words.kind(platform)})}" if error else "/"
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _secure(redirect_uri: str) -> bool:
    return redirect_uri.startswith("https:")
