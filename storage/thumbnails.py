"""Small copies of pictures, made once: named by the file they were made of, and gone with it.

A cache: what is lost is made again, so nothing is synced to disk, and no row knows of it. `look` names how pictures
are shown (marked as generated or not): another look is another copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from storage.errors import Missing

#: Raise it when thumbnails are made differently: the old ones are not shown again.
VERSION = "1"


class Thumbnails:
    """A folder of thumbnails. Safe to use from several threads and processes; every method may take milliseconds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def of(self, sha256: str, look: str, make: Callable[[], bytes], exists: Callable[[str], bool]) -> bytes:
        """The thumbnail of a file, made by `make` unless it is there; it is not kept for a file that no longer is.

        Raises what `make` raises.
        """
        path = self._path(sha256, look)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            made = make()
        with suppress(OSError):  # a full disk: it is shown all the same, and made again the next time
            self._write(path, made)
        if not exists(sha256):  # deleted while it was made: nobody would look for what is left of it
            self.forget(sha256)
            raise Missing(f"There is no file {sha256}.")
        return made

    def forget(self, sha256: str) -> None:
        """Remove what was made of a file."""
        shutil.rmtree(self._folder(sha256), ignore_errors=True)

    def sweep(self, exists: Callable[[str], bool]) -> int:
        """Remove what was made of files that are gone; returns of how many."""
        removed = 0
        for folder in self.root.glob("[0-9a-f][0-9a-f]/*"):
            if not exists(folder.name):
                self.forget(folder.name)
                removed += 1
        return removed

    def _folder(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def _path(self, sha256: str, look: str) -> Path:
        name = hashlib.sha256(f"{VERSION}\0{look}".encode()).hexdigest()[:16]
        return self._folder(sha256) / f"{name}.webp"

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
