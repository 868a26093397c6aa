"""Migrations: the tables they make are those of tables.py, and a failing step leaves nothing behind."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from storage import fulltext, migrations, users
from storage.database import Database
from storage.errors import NewerSchema, StorageError
from storage.migrations import current, migrate, revisions
from storage.records import Identity, utcnow
from storage.tables import metadata

HERE = Path(migrations.__file__).parent


def tables(conn: Connection) -> set[str]:
    return {name for name in inspect(conn).get_table_names() if not name.startswith(fulltext.PREFIXES)}


def test_a_fresh_database_gets_the_tables_of_this_version(database_url: str) -> None:
    assert current(database_url) is None
    migrate(database_url)
    assert current(database_url) == revisions()[0]
    with Database.open(database_url) as db:
        assert db.read_sync(tables) == {*metadata.tables, "alembic_version"}


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    with Database.open(database_url) as db:
        made = db.run_sync(users.resolve, Identity(platform="web", external_id="ada"), "Ada", utcnow())
    migrate(database_url)
    with Database.open(database_url) as db:
        assert db.read_sync(users.get, made.id) == made


def test_stairway_up_down_up_over_every_revision(database_url: str) -> None:
    steps = list(reversed(revisions()))
    for below, step in zip(["base", *steps], steps, strict=False):
        migrate(database_url, step)
        migrate(database_url, below)
        assert current(database_url) == (None if below == "base" else below)
        migrate(database_url, step)
        assert current(database_url) == step
    migrate(database_url, "base")
    with Database.open(database_url) as db:
        assert db.read_sync(lambda conn: set(inspect(conn).get_table_names())) == {"alembic_version"}


def test_the_migrated_schema_is_the_one_of_tables_py(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    def differences(conn: Connection) -> list[object]:
        options = {"include_name": lambda name, kind, _: kind != "table" or not name.startswith(fulltext.PREFIXES)}
        return list(compare_metadata(MigrationContext.configure(conn, opts=options), metadata))

    migrate(database_url)
    with Database.open(database_url) as db:
        assert db.read_sync(differences) == []


def test_checks_and_names_are_those_of_tables_py(database_url: str, tmp_path: Path) -> None:
    """What alembic's comparison leaves out: check constraints, and the names of all constraints."""

    def constraints(conn: Connection) -> dict[str, set[str | None]]:
        found = inspect(conn)
        return {
            table: {
                *(check["name"] for check in found.get_check_constraints(table)),
                *(key["name"] for key in found.get_foreign_keys(table)),
                *(key["name"] for key in found.get_unique_constraints(table)),
                found.get_pk_constraint(table)["name"],
            }
            for table in metadata.tables
        }

    migrate(database_url)
    with Database.open(database_url) as db:
        migrated = db.read_sync(constraints)
        db.run_sync(lambda conn: fulltext.drop(conn))
        db.run_sync(metadata.drop_all)
        db.run_sync(metadata.create_all)
        assert migrated == db.read_sync(constraints)
    if database_url.startswith("sqlite"):
        for table in ("passages", "encoders"):
            migrated[table].discard(None)  # SQLite takes AUTOINCREMENT only in the column, where a key has no name
    assert all(name for names in migrated.values() for name in names)


def with_one_more(folder: Path, statements: str) -> Path:
    """Our migrations and one more step, which executes `statements`."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    step = f"""
from alembic import op
revision, down_revision = "9999", {revisions()[0]!r}
def upgrade():
    for statement in {statements.split("; ")!r}:
        op.execute(statement)
"""
    (folder / "versions" / "9999_one_more.py").write_text(step, encoding="utf-8")
    return folder


FAILING = "alter table users add column half text; insert into nowhere values (1)"


def test_a_failing_step_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    migrate(database_url)
    with pytest.raises(DBAPIError, match="nowhere"):
        migrate(database_url, scripts=with_one_more(tmp_path / "scripts", FAILING))
    assert current(database_url) == revisions()[0]
    with Database.open(database_url) as db:
        assert "half" not in db.read_sync(
            lambda conn: [column["name"] for column in inspect(conn).get_columns("users")]
        )


def test_a_failing_first_migration_leaves_an_empty_database(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(DBAPIError, match="nowhere"):
        migrate(database_url, scripts=with_one_more(tmp_path / "scripts", FAILING))
    with Database.open(database_url) as db:
        assert db.read_sync(lambda conn: inspect(conn).get_table_names()) == []


def test_a_revision_of_a_newer_version_is_refused(database_url: str) -> None:
    migrate(database_url)
    with Database.open(database_url) as db:
        db.run_sync(lambda conn: conn.execute(text("update alembic_version set version_num = '2199'")))
    with pytest.raises(NewerSchema, match="'2199'") as refused:
        migrate(database_url)
    assert refused.value.revision == "2199"
    assert current(database_url) == "2199"


def test_a_step_that_would_orphan_rows_is_refused_on_sqlite(tmp_path: Path) -> None:
    """Foreign keys are off while SQLite migrates, so what they would have refused is looked for afterwards."""
    url = f"sqlite:///{tmp_path}/moqi.db"
    migrate(url)
    with Database.open(url) as db:
        db.run_sync(users.resolve, Identity(platform="web", external_id="ada"), "Ada", utcnow())
    with pytest.raises(StorageError, match="1 rows"):
        migrate(url, scripts=with_one_more(tmp_path / "scripts", "delete from users"))
    with Database.open(url) as db:
        assert db.read_sync(lambda conn: conn.execute(text("select count(*) from users")).scalar()) == 1


def test_two_processes_that_migrate_at_once_do_it_once(database_url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(migrate, database_url) for _ in range(3)]:
            done.result()
    assert current(database_url) == revisions()[0]
