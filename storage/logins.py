"""Logins that people have begun at a platform: each comes back once, in time, to the browser that began it."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from storage.tables import logins

LASTS = timedelta(minutes=10)
#: Logins that may be under way at once; more are a flood, and every one is a row.
MOST = 10_000


class TooMany(Exception):
    """So many logins are under way that nobody means them; some are over in ten minutes."""


def begin(conn: Connection, platform: str, redirect_uri: str, now: datetime) -> tuple[str, str]:
    """Begin a login: (state for the platform, secret for the browser). Only hashes are kept. Raises `TooMany`."""
    conn.execute(delete(logins).where(logins.c.expires_at <= now))
    if conn.execute(select(func.count()).select_from(logins)).scalar_one() >= MOST:
        raise TooMany
    # The state has letters and digits only, and not many: not every platform brings back more.
    state, browser = secrets.token_hex(32), secrets.token_urlsafe(48)
    values = {"platform": platform, "redirect_uri": redirect_uri, "expires_at": now + LASTS}
    conn.execute(logins.insert().values(state=_hash(state), browser=_hash(browser), **values))
    return state, browser


def finish(conn: Connection, platform: str, state: str, browser: str, now: datetime) -> str | None:
    """The address that the platform was told to come back to; None when this login is not, or not any more, begun.

    Whatever comes of it, the state is used up.
    """
    used = delete(logins).where(logins.c.state == _hash(state)).returning(logins)
    row = conn.execute(used).one_or_none()
    if row is None or row.platform != platform or row.expires_at <= now:
        return None
    return str(row.redirect_uri) if secrets.compare_digest(row.browser, _hash(browser)) else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
