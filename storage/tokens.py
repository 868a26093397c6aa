"""Secrets that stand for a person: sessions of the web chat, API tokens, login codes. Only their SHA-256 is kept.

A plain hash is enough here: the secrets are 256 random bits, which nobody can try out.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from storage.records import User
from storage.tables import tokens
from storage.users import get

PREFIX = "moqi_"  # so that a leaked one can be recognised, by people and by scanners


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What is known of a secret that was given out."""

    id: int
    user_id: int
    purpose: str  # session | api | login
    note: str  # what for, in the words of who made it
    created_at: datetime
    expires_at: datetime | None  # None = never
    revoked_at: datetime | None


def create(
    conn: Connection, user_id: int, purpose: str, note: str, now: datetime, expires: datetime | None = None
) -> tuple[str, Token]:
    """Make a secret for a person. It is returned this once: show it, it cannot be read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    values = {
        "hash": _hash(secret),
        "user_id": user_id,
        "purpose": purpose,
        "note": note,
        "created_at": now,
        "expires_at": expires,
    }
    return secret, _token(conn.execute(tokens.insert().values(values).returning(tokens)).one())


def lookup(conn: Connection, secret: str, now: datetime, purpose: str | None = None) -> User | None:
    """Whom a secret stands for; None when it is unknown, expired, revoked or made for another purpose."""
    statement = select(tokens.c.user_id).where(tokens.c.hash == _hash(secret), *_valid(now))
    if purpose is not None:
        statement = statement.where(tokens.c.purpose == purpose)
    user_id = conn.execute(statement).scalar_one_or_none()
    return None if user_id is None else get(conn, user_id)


def revoke(conn: Connection, token_id: int, now: datetime) -> bool:
    """End a secret by its id; False when it had ended already."""
    return _revoke(conn, tokens.c.id == token_id, now)


def revoke_secret(conn: Connection, secret: str, now: datetime) -> bool:
    """End a secret; False when it had ended already: of two who use a login code at once, one gets True."""
    return _revoke(conn, tokens.c.hash == _hash(secret), now)


def list_tokens(conn: Connection, user_id: int | None = None, purpose: str | None = None) -> list[Token]:
    """Every secret given out, newest first, of one person or for one purpose where given."""
    statement = select(tokens).order_by(tokens.c.id.desc())
    if user_id is not None:
        statement = statement.where(tokens.c.user_id == user_id)
    if purpose is not None:
        statement = statement.where(tokens.c.purpose == purpose)
    return [_token(row) for row in conn.execute(statement)]


def _revoke(conn: Connection, which: ColumnElement[bool], now: datetime) -> bool:
    return conn.execute(update(tokens).where(which, *_valid(now)).values(revoked_at=now)).rowcount == 1


def _valid(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        user_id=row.user_id,
        purpose=row.purpose,
        note=row.note,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
