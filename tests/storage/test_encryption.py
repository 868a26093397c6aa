"""At rest: what a key locks, what each wrong key is told, and that neither a file nor a message gives anything away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from inference.grounding.search import index_terms, terms
from storage import audit, documents, lexical
from storage.database import Database, damage, located, snapshot
from storage.encryption import Key, key_of, without_key
from storage.errors import BadKey, Corrupt, Encrypted, NotEncrypted, Sealed, WrongKey
from storage.migrations import current, migrate, revisions
from storage.records import NewPassage, utcnow
from tests.blank import blank

ROOT = Path(__file__).parents[2]
CANARY = "金丝雀口令canaryword"
TRACES = (CANARY.encode(), "金丝".encode(), b"canaryword", b"CREATE TABLE", b"SQLite format")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encrypted database of this version and its key, for copies."""
    folder = tmp_path_factory.mktemp("sealed")
    Key.make(folder / "moqi.key")
    migrate(located("", folder, folder / "moqi.key"))
    return folder


@pytest.fixture
def key(sealed: Path, tmp_path: Path) -> Path:
    """A key file."""
    return Path(shutil.copy(sealed / "moqi.key", tmp_path))


@pytest.fixture
def url(sealed: Path, tmp_path: Path, key: Path) -> URL:
    """An encrypted database with the tables of this version in it."""
    (tmp_path / "data").mkdir()
    shutil.copy(sealed / "moqi.db", tmp_path / "data")
    return located("", tmp_path / "data", key)


def put(conn: Connection, name: str, written: str) -> None:
    piece = NewPassage(heading="", start=0, end=len(written), text=written, terms=index_terms(written))
    documents.put_document(
        conn, name=name, title="", sha256="", recipe="", pieces=[piece], principals=[documents.EVERYONE]
    )


def found(conn: Connection, question: str) -> list[str]:
    return [one.passage.text for one in lexical.search(conn, terms(question), frozenset({documents.EVERYONE}), 5)]


def readable(folder: Path) -> dict[str, list[bytes]]:
    """What of the canary can be read in which file."""
    return {
        path.name: hits
        for path in folder.rglob("*")
        if path.is_file() and (hits := [trace for trace in TRACES if trace in path.read_bytes()])
    }


# --- what lies on the disk ----------------------------------------------------------------------------------------


def test_nothing_can_be_read_while_it_is_used_or_afterwards_or_in_a_copy(url: URL, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Database.open(url) as db:
        db.run_sync(put, "a.md", CANARY)
        db.run_sync(put, "b.md", f"别的 {CANARY}")
        db.run_sync(documents.delete_document, "b.md")
        assert db.read_sync(found, "canaryword") == [CANARY]
        snapshot(url, data / "copy.db")
        assert {"moqi.db", "moqi.db-wal", "moqi.db-shm", "copy.db"} <= {path.name for path in data.iterdir()}
        assert readable(data) == {}
    assert readable(data) == {}
    with Database.open(url.set(database=str(data / "copy.db"))) as copy:
        assert copy.read_sync(found, "canaryword") == [CANARY]
        assert copy.read_sync(damage) == []


def test_the_canary_sings_without_a_key(tmp_path: Path) -> None:
    """The other tests show something only because this is found."""
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as db:
        db.run_sync(put, "a.md", CANARY)
        assert set(readable(tmp_path)["moqi.db-wal"]) >= {CANARY.encode(), "金丝".encode(), b"canaryword"}


def test_what_sqlite_sorts_is_kept_in_memory(url: URL) -> None:
    with Database.open(url) as db:
        assert db.read_sync(lambda conn: conn.execute(text("pragma temp_store")).scalar_one()) == 2


TELLER = """
import os, sys
from sqlalchemy import text
from storage.database import Database
with Database.open(sys.argv[1]) as db:
    db.run_sync(lambda conn: conn.execute(text("create table kept (n)")))
    db.run_sync(lambda conn: conn.execute(text("insert into kept values (:n)"), {"n": sys.argv[2]}))
    print("kept", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_what_was_answered_before_a_kill_is_there_with_the_key(url: URL, tmp_path: Path) -> None:
    written = url.render_as_string(hide_password=False)
    ended = subprocess.run([sys.executable, "-c", TELLER, written, CANARY], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-9, b"kept\n")
    assert (tmp_path / "data" / "moqi.db-wal").stat().st_size > 0
    assert readable(tmp_path / "data") == {}
    with Database.open(url) as db:
        assert db.read_sync(lambda conn: conn.execute(text("select n from kept")).scalar_one()) == CANARY


def test_every_way_to_the_file_takes_the_key(url: URL) -> None:
    assert current(url) == revisions()[0]
    migrate(url)  # again: nothing to do, but it has to be read
    with Database.open(url) as db:
        db.run_sync(audit.append, "me", "did", "it", {}, utcnow())
        assert db.read_sync(audit.verify) == []


def test_damage_is_found_also_where_it_is_encrypted(url: URL, tmp_path: Path) -> None:
    file = tmp_path / "data" / "moqi.db"
    content = bytearray(file.read_bytes())
    content[4096 * 9 + 7] ^= 1  # one bit of one page
    file.write_bytes(content)
    with Database.open(url) as db:
        try:
            assert db.read_sync(damage)
        except Corrupt:
            pass  # so damaged that the check itself stopped


# --- which key ----------------------------------------------------------------------------------------------------


def other(url: URL, tmp_path: Path) -> URL:
    Key.make(tmp_path / "other.key")
    return located("", tmp_path / "data", tmp_path / "other.key")


@pytest.fixture(params=["database", "migrate", "current", "snapshot"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[URL], object]:
    """The doors that read the file."""
    doors: dict[str, Callable[[URL], object]] = {
        "database": Database.open,
        "migrate": migrate,
        "current": current,
        "snapshot": lambda url: snapshot(url, tmp_path / "copy.db"),
    }
    return doors[request.param]


def test_no_key_another_key_and_a_key_too_many_are_told_apart(
    url: URL, tmp_path: Path, way: Callable[[URL], object]
) -> None:
    before = (tmp_path / "data" / "moqi.db").read_bytes()
    with pytest.raises(Encrypted, match="MOQI_DATABASE_KEY_FILE"):
        way(without_key(url))
    with pytest.raises(WrongKey, match="after `moqi key rekey` that is the new one"):
        way(other(url, tmp_path))
    assert (tmp_path / "data" / "moqi.db").read_bytes() == before
    plain = url.set(database=str(tmp_path / "plain.db"))
    blank(tmp_path / "plain.db")
    with pytest.raises(NotEncrypted, match="moqi key encrypt"):
        way(plain)


def test_a_file_that_cannot_be_an_encrypted_one_is_damaged(url: URL, tmp_path: Path) -> None:
    with (tmp_path / "data" / "moqi.db").open("ab") as file:
        file.write(b"half a page")
    with pytest.raises(Corrupt, match="moqi restore"):
        Database.open(without_key(url))


GOOD = "".join(f"{n:02x}" for n in range(32))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "64 hexadecimal digits"),
        (b"changeme", "64 hexadecimal digits"),
        (GOOD[:-1].encode(), "64 hexadecimal digits"),
        (f"{GOOD}0".encode(), "64 hexadecimal digits"),
        (f"x'{GOOD}'".encode(), "64 hexadecimal digits"),
        (bytes(range(32)), "64 hexadecimal digits"),
        (f"{GOOD[:-1]}g".encode(), "64 hexadecimal digits"),
        ("０" .encode() * 64, "64 hexadecimal digits"),
        (b"0" * 64, "no random ones"),
        (b"0123456789abcdef" * 4, "no random ones"),
        (GOOD.encode() * 1000, "64 hexadecimal digits"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(BadKey, match=why) as told:
        Database.open(located("", tmp_path, tmp_path / "k"))
    assert not content or content[:8].decode("latin-1") not in str(told.value)
    assert not (tmp_path / "moqi.db").exists()


@pytest.mark.parametrize(("name", "why"), [("missing", "does not exist"), ("", "is no file"), ("/dev/null", "no file")])
def test_a_key_file_that_is_none_is_said(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(BadKey, match=why):
        Database.open(located("", tmp_path, tmp_path / name))


@pytest.mark.parametrize("content", [GOOD, GOOD.upper(), f"  {GOOD}\r\n"])
def test_a_key_is_taken_as_people_write_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "k").write_text(content, encoding="ascii")
    assert Key.read(tmp_path / "k") == Key(GOOD)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = Key.make(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert Key.read(tmp_path / "k") == made
    with pytest.raises(FileExistsError):
        Key.make(tmp_path / "k")
    assert Key.read(tmp_path / "k") == made
    assert Key.make(tmp_path / "l").id != made.id


def test_a_key_is_in_no_repr_url_or_error(url: URL, key: Path, tmp_path: Path) -> None:
    secret = key.read_text(encoding="ascii").strip()
    shown = [repr(key_of(url)), str(key_of(url)), repr(url), url.render_as_string(hide_password=False)]
    with pytest.raises(Sealed) as told:
        Database.open(url.set(database=blank(tmp_path / "plain.db").removeprefix("sqlite:///")))
    error: BaseException | None = told.value
    while error is not None:
        shown += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    with Database.open(url) as db, pytest.raises(DBAPIError) as wrong:
        db.run_sync(lambda conn: conn.execute(text("select * from nowhere")))
    shown += [repr(vars(db)), str(wrong.value)]
    assert [one for one in shown if secret[:12] in one.lower()] == []


def test_a_key_for_postgresql_is_refused(key: Path) -> None:
    with pytest.raises(BadKey, match="encrypt the server's disk"):
        located("postgresql://h/x", key_file=key)
