"""Files by content: whole or not there, named by what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import Missing
from storage.files import Files

ROOT = Path(__file__).parents[2]
DATA = "熊猫".encode() * 1000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


def test_what_was_put_is_read_by_its_sha256(files: Files) -> None:
    assert files.put(DATA) == SHA
    assert files.exists(SHA)
    assert files.read(SHA) == DATA
    with files.open(SHA) as file:
        assert file.read(6) == DATA[:6]
    assert files.path(SHA) == files.root / SHA[:2] / SHA


def test_the_empty_file_is_a_file(files: Files) -> None:
    assert files.read(files.put(b"")) == b""


def test_putting_twice_keeps_one_and_makes_it_young_again(files: Files) -> None:
    files.put(DATA)
    os.utime(files.path(SHA), (0, 0))
    before = files.path(SHA).stat().st_ino
    assert files.put(DATA) == SHA
    assert files.path(SHA).stat().st_ino == before
    [(name, put_at)] = files.iterate()
    assert (name, put_at > datetime(2026, 1, 1, tzinfo=UTC)) == (SHA, True)


def test_a_file_is_retired_when_nobody_has_put_it_for_long(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put(DATA)
    moved: list[Path] = []
    monkeypatch.setattr(Path, "replace", lambda path, target: moved.append(path))
    assert not files.retire(SHA, timedelta(minutes=10))
    assert moved == [], "killed now, it would still be there"
    monkeypatch.undo()
    os.utime(files.path(SHA), (0, 0))
    assert files.retire(SHA, timedelta(minutes=10))
    assert not files.exists(SHA)
    assert files.retire(SHA, timedelta(minutes=10)), "and again, by whoever takes it up after a stop"
    assert list((files.root / "tmp").iterdir()) == []


def test_a_file_that_is_put_the_moment_it_is_retired_comes_back(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put(DATA)
    looks = iter([False, True])
    monkeypatch.setattr("storage.files._young", lambda path, age: next(looks))
    assert not files.retire(SHA, timedelta(minutes=10))
    assert files.read(SHA) == DATA


def test_a_truncated_file_is_put_again(files: Files) -> None:
    files.put(DATA)
    files.path(SHA).write_bytes(DATA[:10])
    files.put(DATA)
    assert files.read(SHA) == DATA


def test_many_threads_may_put_the_same(files: Files) -> None:
    gate = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: (gate.wait(), files.put(DATA))[1], range(8))) == {SHA}
    assert files.read(SHA) == DATA
    assert list((files.root / "tmp").iterdir()) == []


def test_a_file_and_its_folders_are_flushed_in_the_right_order(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes before the rename, the folder after it: or a power cut leaves a name without its bytes."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noting_sync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/dev/fd/{handle}") else "file")  # noqa: PTH112
        sync(handle)

    def noting_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    files.put(DATA)
    assert done == ["folder", "file", "rename", "folder"]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", SHA.upper(), SHA[:-1], SHA + "\n", SHA + "0", "g" * 64])
def test_a_name_that_is_no_sha256_is_refused(files: Files, name: str) -> None:
    for use in (files.path, files.read, files.exists, files.delete, files.check):
        with pytest.raises(ValueError, match="not the SHA-256"):
            use(name)


def test_a_missing_file_is_said_to_be_missing(files: Files) -> None:
    assert not files.exists(SHA)
    assert not files.delete(SHA)
    for use in (files.read, files.open):
        with pytest.raises(Missing, match=SHA):
            use(SHA)


def test_deleting_removes_it(files: Files) -> None:
    files.put(DATA)
    assert files.delete(SHA)
    assert not files.exists(SHA)


def test_check_finds_a_changed_and_a_missing_file(files: Files) -> None:
    assert "missing" in files.check(SHA)
    files.put(DATA)
    assert files.check(SHA) == ""
    files.path(SHA).write_bytes(DATA[:-1] + b"x")
    assert "changed" in files.check(SHA)


def test_iterating_lists_kept_files_only(files: Files) -> None:
    assert list(files.iterate()) == []
    names = sorted(files.put(str(n).encode()) for n in range(20))
    (files.root / "tmp" / "half").write_bytes(b"half")
    (files.path(names[0]).parent / "notes.txt").write_bytes(b"somebody's own")
    assert [name for name, _ in files.iterate()] == names


def test_sweeping_removes_old_temporary_files_and_leaves_young_ones(files: Files) -> None:
    files.put(DATA)
    old, young = files.root / "tmp" / "old", files.root / "tmp" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert files.sweep() == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert files.sweep(timedelta(0)) == 1
    assert files.exists(SHA)


FULL = """
import json, resource, sys
from pathlib import Path
from storage.errors import DiskFull
from storage.files import Files

files = Files(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    files.put(b"x" * 5000)
except DiskFull as error:
    told = str(error)
left = [str(path) for path in files.root.rglob("*") if path.is_file()]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([told, left, files.check(files.put(b"x" * 5000))]))
"""


def test_a_full_disk_is_told_leaves_nothing_and_passes(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, check=True)
    told, left, problem = json.loads(done.stdout)
    assert "Free space" in told
    assert (left, problem) == ([], "")


STORM = """
import os, sys
from pathlib import Path
from storage.files import Files

files = Files(Path(sys.argv[1]))
for n in range(10**9):
    os.write(1, files.put(str(n).encode() * 20000).encode() + b"\\n")
"""


def test_kill_9_leaves_whole_files_only(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STORM, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as storm:
        assert storm.stdout is not None
        answered = [storm.stdout.readline().strip().decode() for _ in range(50)]
        storm.send_signal(signal.SIGKILL)
    files = Files(tmp_path)
    kept = {name for name, _ in files.iterate()}
    assert set(answered) <= kept
    assert [name for name in kept if files.check(name)] == []
