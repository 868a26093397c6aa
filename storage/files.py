"""Files by content: a file's name is the SHA-256 of its bytes, so equal files are one and a changed file shows.

A file appears whole and on disk or not at all: temporary name in the same file system, fsync, rename, fsync of the
folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkstemp

from storage.errors import Missing
from storage.writer import raise_translated

_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Files:
    """A folder of files by content. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / "tmp"

    def put(self, data: bytes) -> str:
        """Keep the bytes; returns their SHA-256 once they are on disk. Raises `DiskFull`."""
        sha = hashlib.sha256(data).hexdigest()
        path = self.path(sha)
        try:
            if not self._renewed(path, len(data)):
                self._write(path, data)
            _sync_folder(path.parent)
        except OSError as error:
            raise_translated(error)
        return sha

    def open(self, sha: str) -> io.BufferedReader:
        """The file, to be read and closed by the caller. Raises `Missing`."""
        try:
            return self.path(sha).open("rb")
        except FileNotFoundError as error:
            raise Missing(f"There is no file {sha}.") from error

    def read(self, sha: str) -> bytes:
        """The whole file. Raises `Missing`."""
        with self.open(sha) as file:
            return file.read()

    def path(self, sha: str) -> Path:
        """Where a file of this content lies, or would lie. Raises `ValueError` for what is no SHA-256."""
        if not _NAME.fullmatch(sha):
            raise ValueError(f"not the SHA-256 of a file: {sha!r}")
        return self.root / sha[:2] / sha

    def exists(self, sha: str) -> bool:
        """Whether it is kept."""
        return self.path(sha).is_file()

    def check(self, sha: str) -> str:
        """What is wrong with a file, after reading all of it; empty = nothing."""
        try:
            with self.open(sha) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except Missing:
            return "its file is missing"
        return "" if found == sha else f"its file was changed: its SHA-256 is now {found}"

    def delete(self, sha: str) -> bool:
        """Remove a file; False when there was none."""
        try:
            self.path(sha).unlink()
        except FileNotFoundError:
            return False
        return True

    def retire(self, sha: str, untouched: timedelta) -> bool:
        """Remove a file that nobody has put for so long; False when somebody has, who is about to say why.

        It is looked at where nobody can put it any more: what was put before comes back, what is put later is new.
        """
        path, aside = self.path(sha), self._temporary / f"retired-{sha}"
        self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if _young(path, untouched):
                return False
            path.replace(aside)
        except FileNotFoundError:
            return True
        if _young(aside, untouched):
            aside.replace(path)
            return False
        aside.unlink()
        return True

    def iterate(self) -> Iterator[tuple[str, datetime]]:
        """Every kept file and when it was last put, in the order of the names."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(filter(lambda path: _NAME.fullmatch(path.name), folder.iterdir())):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def sweep(self, older_than: timedelta = timedelta(hours=1)) -> int:
        """Remove what a killed process left half written; returns how many. Younger ones may still be at work."""
        removed = 0
        for path in self._temporary.glob("*"):
            with suppress(FileNotFoundError):  # renamed or swept by another process meanwhile
                if time.time() - path.stat().st_mtime >= older_than.total_seconds():
                    path.unlink()
                    removed += 1
        return removed

    @staticmethod
    def _renewed(path: Path, size: int) -> bool:
        """Whether it is kept: wanted again, it is as young as a new one to whoever tidies up."""
        if _size(path) != size:
            return False
        try:
            os.utime(path)
        except FileNotFoundError:  # tidied up this very moment
            return False
        return True

    def _write(self, path: Path, data: bytes) -> None:
        self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self.root)
        handle, temporary = mkstemp(dir=self._temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _young(path: Path, age: timedelta) -> bool:
    return time.time() - path.stat().st_mtime < age.total_seconds()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
