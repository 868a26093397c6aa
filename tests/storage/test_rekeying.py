"""Another key, a first one, or none: wherever it stops, the file is whole and opens with the old key or the new."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from storage import documents, faults, rekeying
from storage.database import Database, damage, located
from storage.encryption import Key
from storage.errors import Busy, Corrupt, DiskFull, Sealed, WrongKey
from storage.rekeying import rekey, sweep
from tests.blank import blank
from tests.journeys.moqi import until
from tests.storage.test_encryption import CANARY, found, put, readable

ROOT = Path(__file__).parents[2]
CHANGES = {"encrypt": ("plain", "one"), "rekey": ("one", "two"), "decrypt": ("two", "plain")}


@pytest.fixture
def urls(tmp_path: Path) -> dict[str, URL]:
    """The same file without a key and with either of two."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("one", "two"):
        Key.make(tmp_path / name)
    return {"plain": located("", data)} | {name: located("", data, tmp_path / name) for name in ("one", "two")}


def at(urls: dict[str, URL], state: str) -> None:
    """A database with a document in it, as it is in `state`."""
    blank(Path(urls["plain"].database or ""))
    with Database.open(urls["plain"]) as db:
        db.run_sync(put, "a.md", CANARY)
    if state != "plain":
        rekey(urls["plain"], urls[state])


def opens(urls: dict[str, URL]) -> list[str]:
    """With which keys it opens; it is whole then."""
    fitting = []
    for name, url in urls.items():
        try:
            with Database.open(url) as db:
                assert (db.read_sync(found, "canaryword"), db.read_sync(damage)) == ([CANARY], [])
        except Sealed:
            continue
        fitting.append(name)
    return fitting


@pytest.mark.parametrize("change", CHANGES)
def test_the_file_opens_with_the_new_key_only_and_nothing_is_lost(
    urls: dict[str, URL], tmp_path: Path, change: str
) -> None:
    old, new = CHANGES[change]
    at(urls, old)
    file = tmp_path / "data" / "moqi.db"
    file.chmod(0o640)
    with file.open("rb") as former:
        rekey(urls[old], urls[new])
        assert not any(former.read())  # what the disk still holds of it is zeros
    assert opens(urls) == [new]
    assert bool(readable(tmp_path / "data")) == (new == "plain")
    assert [path.name for path in file.parent.iterdir()] == ["moqi.db"]
    assert file.stat().st_mode & 0o777 == 0o640
    with Database.open(urls[new]) as db:  # and it can be worked with: index and triggers came along
        db.run_sync(put, "b.md", "骆驼")
        assert db.run_sync(documents.delete_document, "a.md")
        assert (db.read_sync(found, "canaryword"), db.read_sync(found, "骆驼")) == ([], ["骆驼"])


KILLED = """
import sys
from sqlalchemy import make_url
from storage import faults
from storage.rekeying import rekey
faults.arm(sys.argv[1])
rekey(make_url(sys.argv[2]), make_url(sys.argv[3]))
"""
POINTS = ("key-alone", "key-copied", "key-replaced")


@pytest.mark.parametrize(
    ("change", "point"), [("rekey", "key-alone"), ("decrypt", "key-copied"), ("encrypt", "key-replaced")]
)
def test_kill_9_leaves_the_old_file_or_the_new_one(
    urls: dict[str, URL], tmp_path: Path, change: str, point: str
) -> None:
    old, new = CHANGES[change]
    at(urls, old)
    words = [urls[name].render_as_string(hide_password=False) for name in (old, new)]
    ended = subprocess.run([sys.executable, "-c", KILLED, point, *words], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    done = point == "key-replaced"
    assert opens(urls) == [new if done else old]
    if done:
        sweep(tmp_path / "data" / "moqi.db")
    else:
        rekey(urls[old], urls[new])  # said again, it is done
    assert opens(urls) == [new]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["moqi.db"]
    assert bool(readable(tmp_path / "data")) == (new == "plain")


def test_every_point_is_one_of_these() -> None:
    assert set(POINTS) == {name for name in faults.RARE if name.startswith("key-")}


def test_a_database_that_somebody_has_open_is_left_alone(
    urls: dict[str, URL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(urls, "plain")
    monkeypatch.setattr(rekeying, "PATIENCE", 0)
    with Database.open(urls["plain"]) as db:
        with pytest.raises(Busy, match="Stop `moqi serve`"):
            rekey(urls["plain"], urls["one"])
        db.run_sync(put, "b.md", "骆驼")
    assert opens(urls) == ["plain"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["moqi.db"]


WAITS = """
import sys
from sqlalchemy import text
from storage.database import Database
from storage.errors import Sealed
try:
    with Database.open(sys.argv[1]) as db:
        db.run_sync(lambda conn: conn.execute(text("create table lost (n)")))
        print("written")
except Sealed as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which files a process has open")
def test_whoever_waits_for_the_old_file_does_not_write_into_it(
    urls: dict[str, URL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be answered, and be gone with the file that no folder names any more."""
    at(urls, "one")
    file = str(tmp_path / "data" / "moqi.db")
    started: list[subprocess.Popen[bytes]] = []

    def begin(point: str) -> None:
        if point == "key-copied":
            words = [sys.executable, "-c", WAITS, urls["one"].render_as_string(hide_password=False)]
            started.append(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE))
            until(lambda: file in files_of(started[0].pid), "somebody to wait for the old file")

    monkeypatch.setattr(faults, "point", begin)
    rekey(urls["one"], urls["two"])
    said, _ = started[0].communicate(timeout=60)
    assert said == b"WrongKey\n"
    assert opens(urls) == ["two"]


def files_of(pid: int) -> set[str]:
    """What a process has open; it may open and close others meanwhile."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    return found


def test_a_full_disk_is_said_before_anything_is_written(
    urls: dict[str, URL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(urls, "plain")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull, match="needs 1 MB"):
        rekey(urls["plain"], urls["one"])
    assert opens(urls) == ["plain"]


def test_a_copy_that_lacks_something_never_takes_the_place(
    urls: dict[str, URL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(urls, "plain")
    check = rekeying._check

    def after_loss(connection: object, fresh: Path, key: Key | None) -> None:
        with Database.open(located(f"sqlite:///{fresh}", key_file=tmp_path / "one")) as copy:
            copy.run_sync(lambda conn: conn.execute(text("delete from document_access")))
        check(connection, fresh, key)

    monkeypatch.setattr(rekeying, "_check", after_loss)
    with pytest.raises(Corrupt, match="nothing was changed"):
        rekey(urls["plain"], urls["one"])
    assert opens(urls) == ["plain"]


def test_a_wrong_old_key_changes_nothing(urls: dict[str, URL]) -> None:
    at(urls, "one")
    with pytest.raises(WrongKey):
        rekey(urls["two"], urls["plain"])
    assert opens(urls) == ["one"]
