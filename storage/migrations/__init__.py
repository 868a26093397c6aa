"""Brings a database to the tables of this version, or back; all steps in one transaction, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from storage.database import located, postgresql_engine, sqlite_engine
from storage.dialect import serialise
from storage.errors import NewerSchema, StorageError
from storage.writer import raise_translated

if TYPE_CHECKING:  # alembic takes a third of a second to import
    from alembic.config import Config

_HERE = Path(__file__).parent


def migrate(url: str | URL, target: str = "head", *, scripts: Path = _HERE) -> None:
    """Bring the database to revision `target` ("base" = no tables at all).

    A step that fails leaves the database as it was. Raises `NewerSchema` when a newer version of Moqi wrote it.
    """
    from alembic import command

    with _transaction(located(url)) as conn:
        serialise(conn, "moqi-migrate")
        config = _config(conn, scripts)
        here, known = _revision(conn), _known(config)
        if here is not None and here not in known:
            raise NewerSchema(here)
        if target == "head" and here == known[0]:
            return
        if target == "base" or (target in known and here in known[: known.index(target)]):
            command.downgrade(config, target)
        else:
            command.upgrade(config, target)
        _sound(conn)


def current(url: str | URL) -> str | None:
    """The revision the database is at; None = no tables yet."""
    with _transaction(located(url)) as conn:
        return _revision(conn)


def revisions(scripts: Path = _HERE) -> list[str]:
    """Every revision this version knows, newest first."""
    return _known(_config(None, scripts))


@contextmanager
def _transaction(url: URL) -> Iterator[Connection]:
    engine = _engine(url)
    try:
        with engine.begin() as conn:
            yield conn
    except (DBAPIError, OSError) as error:
        raise_translated(error)
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return postgresql_engine(url)
    # SQLite changes a table by building a new one and dropping the old, which with foreign keys on would delete
    # what refers to it; the setting cannot be changed inside the transaction. `_sound` looks afterwards instead.
    return sqlite_engine(url, "BEGIN IMMEDIATE", "foreign_keys = off")


def _config(conn: Connection | None, scripts: Path) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


def _known(config: Config) -> list[str]:
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def _revision(conn: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(conn).get_current_revision()


def _sound(conn: Connection) -> None:
    """Refuse a result in which a row refers to one that is gone."""
    if conn.dialect.name != "sqlite":
        return
    lost = conn.execute(text("PRAGMA foreign_key_check")).all()
    if lost:
        raise StorageError(f"The migration would leave {len(lost)} rows without what they refer to: {lost[:3]}.")
