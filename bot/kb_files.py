"""Reading a file of a folder, and telling which version of it that was. Blocks."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace

from bot.kb_listing import Found
from inference.grounding import parse
from storage.records import utcnow

FRESH = 2_000_000_000  # nanoseconds: within them a file may change again and keep its time
SKEW = 60_000_000_000  # nanoseconds that two machines' clocks may differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A file as it was read."""

    data: bytes
    sha256: str
    mark: str  # the version that was read; unlike any version when it may have changed meanwhile


def read(name: str, found: Found) -> Read:
    """The file as it is now. Raises `ParseError`, or OSError when it is not there or not to be read."""
    parse.check_size(found.size, name)
    handle = os.open(found.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe put in its place must not stop us
    with os.fdopen(handle, "rb") as file:
        before = os.fstat(handle)
        _check(name, found, before)
        data = file.read(parse.MAX_BYTES + 1)
        after = os.fstat(handle)
    parse.check_size(len(data), name)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns) and after.st_size == len(data)
    now = replace(found, size=after.st_size, modified=after.st_mtime_ns)
    return Read(data=data, sha256=hashlib.sha256(data).hexdigest(), mark=settled(now) if same else f"{len(data)}:?")


def _check(name: str, found: Found, opened: os.stat_result) -> None:
    """What was opened is a file that lies in its folder: since that was listed a link may have taken its place."""
    if not stat.S_ISREG(opened.st_mode):
        raise OSError(f"{name} is not a file any more.")
    root, real = os.path.realpath(found.source), os.path.realpath(found.path)
    inside = real == root or real.startswith(f"{root}{os.sep}")
    if not inside or not os.path.samestat(opened, os.lstat(real)):
        raise OSError(f"{name} is a link that leads out of its folder.")


def settled(found: Found) -> str:
    """The version to remember: of a file written just now another one may follow under the same time."""
    return f"{found.mark}?" if is_fresh(found) else found.mark


def is_fresh(found: Found) -> bool:
    """Whether a file was written so recently that its time does not yet tell its version."""
    return -SKEW < utcnow().timestamp() * 1e9 - found.modified < FRESH


def reason(error: Exception, name: str) -> str:
    """Why a file could not be read, for the report."""
    return f"{name} cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
