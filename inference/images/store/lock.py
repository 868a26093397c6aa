"""moqi.lock.json: where a model came from, and the size and SHA-256 of each of its files.

Sizes are compared whenever a model is loaded, contents by `moqi models verify`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from inference.images.checkpoint_files import BrokenFileError, Problem, read_json

LOCK = "moqi.lock.json"
FORMAT = 1
BLOCK = 4 * 2**20  # bytes read at once

AGAIN = "Remove this model's folder and bring it in again with `moqi models pull`."
EXTRA = "Delete it, or bring the model in again with `moqi models pull`."

#: Called with a file's path in the model and how many of its bytes were just done.
Advance = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedFile:
    """What a file was when the model came in."""

    size: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """What a model was when it came in."""

    source: str  # a folder, an archive, or an id at a hub
    revision: str  # of that source; empty where it has none
    made_at: datetime
    verified_at: datetime  # when every file was last known to have its SHA-256
    files: Mapping[str, LockedFile]  # by path in the model, with slashes
    converted: tuple[str, ...] = ()  # components whose numbers were stored in half the size: see resave.py

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def read(folder: Path) -> Lock | None:
    """The lock file of a model; None when it has none. Raises BrokenFileError."""
    file = folder / LOCK
    if not file.is_file():
        return None
    found = read_json(file)
    try:
        return Lock(
            source=str(found["source"]),
            revision=str(found["revision"]),
            made_at=datetime.fromisoformat(found["made_at"]),
            verified_at=datetime.fromisoformat(found["verified_at"]),
            files={
                str(name): LockedFile(size=int(one["size"]), sha256=str(one["sha256"]))
                for name, one in found["files"].items()
            },
            converted=tuple(map(str, found.get("converted", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenFileError(f"{file} is no lock file of this version ({error!r}).", AGAIN) from error


def write(folder: Path, lock: Lock) -> None:
    """Write the lock file whole, or leave the old one. Raises OSError."""
    content = {
        "format": FORMAT,
        "source": lock.source,
        "revision": lock.revision,
        "made_at": lock.made_at.isoformat(),
        "verified_at": lock.verified_at.isoformat(),
        "converted": list(lock.converted),
        "files": {name: {"size": one.size, "sha256": one.sha256} for name, one in sorted(lock.files.items())},
    }
    draft = folder / f".{LOCK}.new"
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(folder / LOCK)


def resized(folder: Path, name: str, locked: LockedFile) -> Problem | None:
    """What is wrong with a file that is gone or has another size. Quick: no content is read."""
    file = folder / name
    if not file.is_file():
        return Problem(problem=f"{file} is missing; {LOCK} names it.", next_step=AGAIN)
    size = file.stat().st_size
    if size != locked.size:
        return Problem(problem=f"{file} has {size:,} bytes, {LOCK} says {locked.size:,}.", next_step=AGAIN)
    return None


def check_sizes(folder: Path) -> None:
    """Raise BrokenFileError for the first file that is not as large as its lock file says; fine without one."""
    lock = read(folder)
    for name, locked in {} if lock is None else lock.files.items():
        wrong = resized(folder, name, locked)
        if wrong is not None:
            raise BrokenFileError(wrong.problem, wrong.next_step)


def verify(folder: Path, lock: Lock, advance: Advance = lambda name, count: None) -> Iterator[Problem]:
    """Every file that is missing, changed or extra. Reads all of them: minutes for 20 GB."""
    for name, locked in lock.files.items():
        wrong = resized(folder, name, locked) or _changed(folder / name, locked, partial(advance, name))
        if wrong is not None:
            yield wrong
    for name in sorted(present(folder) - lock.files.keys() - {LOCK}):
        problem = f"{folder / name} does not belong to this model: {LOCK} does not name it."
        yield Problem(problem=problem, next_step=EXTRA)


def _changed(file: Path, locked: LockedFile, advance: Callable[[int], None]) -> Problem | None:
    try:
        found = sha256(file, advance)
    except BrokenFileError as error:
        return error.found
    if found == locked.sha256:
        return None
    return Problem(problem=f"{file} was changed: its SHA-256 is not the one in {LOCK}.", next_step=AGAIN)


def verified(folder: Path, lock: Lock, now: datetime) -> bool:
    """Note that every file was as it should be; False where the folder cannot be written."""
    try:
        write(folder, replace(lock, verified_at=now))
    except OSError:
        return False  # a read-only share is no fault of the model
    return True


def present(folder: Path) -> set[str]:
    """The files of a folder, by their paths in it with slashes."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def sha256(file: Path, advance: Callable[[int], None] = lambda count: None) -> str:
    """The SHA-256 of a file. Raises BrokenFileError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
                advance(len(block))
    except OSError as error:
        step = "Look at the disk; give the user that runs the service the right to read it."
        raise BrokenFileError(f"{file} cannot be read ({error.strerror}).", step) from error
    return digest.hexdigest()
