"""Secrets that stand for a person: shown once, kept as a hash, ended by time or by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from storage import tokens, users
from storage.database import Database
from storage.records import Identity, User
from storage.tables import tokens as tokens_table

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture
def ada(db: Database) -> User:
    return db.run_sync(users.resolve, Identity(platform="web", external_id="ada"), "Ada", NOW)


def test_a_secret_stands_for_its_person_and_is_kept_as_a_hash_only(db: Database, ada: User) -> None:
    secret, token = db.run_sync(tokens.create, ada.id, "api", "for the press", NOW)
    assert secret.startswith("moqi_")
    assert len(secret) == len("moqi_") + 43  # 256 bits
    assert secret != db.run_sync(tokens.create, ada.id, "api", "another", NOW)[0]
    assert db.read_sync(tokens.lookup, secret, NOW) == ada
    kept = db.read_sync(lambda conn: conn.execute(select(tokens_table)).all())
    assert secret.removeprefix("moqi_") not in str(kept) + repr(token)
    for wrong in ("", "moqi_", secret[:-1], secret + "x", "\ud800", "密"):
        assert db.read_sync(tokens.lookup, wrong, NOW) is None


def test_a_secret_ends_at_its_time(db: Database, ada: User) -> None:
    secret, _ = db.run_sync(tokens.create, ada.id, "session", "", NOW, NOW + HOUR)
    assert db.read_sync(tokens.lookup, secret, NOW + HOUR - timedelta(microseconds=1)) == ada
    assert db.read_sync(tokens.lookup, secret, NOW + HOUR) is None


def test_a_secret_serves_its_purpose_only(db: Database, ada: User) -> None:
    secret, _ = db.run_sync(tokens.create, ada.id, "login", "", NOW)
    assert db.read_sync(tokens.lookup, secret, NOW, "login") == ada
    assert db.read_sync(tokens.lookup, secret, NOW, "session") is None


def test_a_secret_is_ended_once(db: Database, ada: User) -> None:
    first, token = db.run_sync(tokens.create, ada.id, "api", "", NOW)
    second, _ = db.run_sync(tokens.create, ada.id, "login", "", NOW)
    assert [db.run_sync(tokens.revoke, token.id, NOW) for _ in range(2)] == [True, False]
    assert [db.run_sync(tokens.revoke_secret, second, NOW) for _ in range(2)] == [True, False]
    assert db.run_sync(tokens.revoke, 99, NOW) is False
    for secret in (first, second):
        assert db.read_sync(tokens.lookup, secret, NOW) is None


def test_the_list_is_newest_first_of_a_person_or_a_purpose(db: Database, ada: User) -> None:
    other = db.run_sync(users.resolve, Identity(platform="web", external_id="bob"), "Bob", NOW)
    for user, purpose in ((ada, "api"), (other, "api"), (ada, "session")):
        db.run_sync(tokens.create, user.id, purpose, "note", NOW, NOW + HOUR)

    def listed(**wanted: int | str) -> list[tuple[int, str]]:
        found = db.read_sync(lambda conn: tokens.list_tokens(conn, **wanted))  # type: ignore[arg-type]
        return [(token.user_id, token.purpose) for token in found]

    assert listed() == [(ada.id, "session"), (other.id, "api"), (ada.id, "api")]
    assert listed(user_id=ada.id) == [(ada.id, "session"), (ada.id, "api")]
    assert listed(purpose="api") == [(other.id, "api"), (ada.id, "api")]
    [newest] = db.read_sync(tokens.list_tokens, ada.id, "session")
    assert (newest.note, newest.created_at, newest.expires_at, newest.revoked_at) == ("note", NOW, NOW + HOUR, None)
