"""What was taken out of the knowledge base is gone from the disk too: from the file, its index and its log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from storage import documents, writer
from storage.database import Database
from tests.blank import blank
from tests.journeys.moqi import until
from tests.storage.test_encryption import CANARY, put

ROOT = Path(__file__).parents[2]
TRACES = (CANARY.encode(), "金丝".encode(), "雀口".encode(), b"canaryword")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A plain database that holds the canary twice: in its file for long, and in its log since a moment ago."""
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as before:
        for name, written in (("before.md", "骆驼"), ("gone.md", CANARY), ("after.md", "海豚")):
            before.run_sync(put, name, written)
    with Database.open(url) as opened:
        opened.run_sync(put, "late.md", f"别的 {CANARY}")
        assert traces(tmp_path) == {"moqi.db", "moqi.db-wal"}
        yield opened


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is emptied behind the call that makes it necessary, and before the next one."""
    monkeypatch.setattr(writer, "CLEAN_WITHIN", 0.0)


def nothing(conn: Connection) -> None:
    """A call that writes nothing."""


def traces(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("moqi.db*") if any(trace in path.read_bytes() for trace in TRACES)}


def remove(conn: Connection) -> None:
    assert documents.delete_document(conn, "gone.md")
    assert documents.delete_document(conn, "late.md")


def replace(conn: Connection) -> None:
    put(conn, "gone.md", "白鸽")
    put(conn, "late.md", "白鸽")


def remove_and_more(conn: Connection) -> None:
    remove(conn)
    put(conn, "new.md", "白鸽")


@pytest.mark.parametrize("change", [remove, replace, remove_and_more])
@pytest.mark.usefixtures("at_once")
def test_text_and_words_of_a_removed_document_are_in_no_file(
    db: Database, tmp_path: Path, change: Callable[[Connection], None]
) -> None:
    db.run_sync(change)
    db.run_sync(nothing)
    assert traces(tmp_path) == set()


def test_it_is_done_when_nothing_else_is_to_do(db: Database, tmp_path: Path) -> None:
    db.run_sync(remove)
    until(lambda: not traces(tmp_path), "the log to be emptied")
    assert (tmp_path / "moqi.db-wal").stat().st_size == 0


def test_it_is_done_on_closing_too(db: Database, tmp_path: Path) -> None:
    with Database.open(db.url) as other:  # SQLite itself tidies up only behind the last one
        other.run_sync(remove)
    assert traces(tmp_path) == set()


@pytest.mark.usefixtures("at_once")
def test_a_reader_delays_it_and_is_not_disturbed(db: Database, tmp_path: Path) -> None:
    with Database.open(db.url) as other:

        def meanwhile(conn: Connection) -> int:
            count = conn.execute(text("select count(*) from passages")).scalar_one()
            db.run_sync(remove)
            db.run_sync(nothing)
            assert traces(tmp_path)
            assert conn.execute(text("select count(*) from passages")).scalar_one() == count
            return int(count)

        assert other.read_sync(meanwhile) == 4
        db.run_sync(nothing)
        db.run_sync(nothing)
        assert traces(tmp_path) == set()


KILLED = """
import os, sys
from storage import documents
from storage.database import Database
db = Database.open(sys.argv[1])
for name in ("gone.md", "late.md"):
    db.run_sync(documents.delete_document, name)
os.kill(os.getpid(), 9)
"""


@pytest.mark.usefixtures("at_once")
def test_what_a_killed_process_left_in_the_log_the_next_one_takes_out(db: Database, tmp_path: Path) -> None:
    where = db.url.render_as_string()
    db.close()
    assert subprocess.run([sys.executable, "-c", KILLED, where], cwd=ROOT, check=False).returncode == -9
    assert traces(tmp_path)
    with Database.open(where) as again:
        again.run_sync(nothing)
        again.run_sync(nothing)
        assert traces(tmp_path) == set()
