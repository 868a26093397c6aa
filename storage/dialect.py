"""The two things SQLite and PostgreSQL spell differently in otherwise equal statements."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql, sqlite


def insert(conn: Connection, table: Table) -> Any:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update` on this database."""
    return insert_on(conn.dialect.name, table)


def insert_on(dialect: str, table: Table) -> Any:
    """The same for a dialect by its name, for a statement that is built once and kept."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def serialise(conn: Connection, name: str) -> None:
    """Let one transaction at a time pass for `name`. SQLite's single writer does that already.

    Without it, PostgreSQL's READ COMMITTED lets two claimers count the same running jobs and both go ahead.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
