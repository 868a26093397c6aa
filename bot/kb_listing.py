"""What lies in the folders that documents come from: names, sizes and times, without opening a file. Blocks.

A folder that cannot be looked into is not an empty one: what was held from it is neither there nor gone.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.grounding import parse

Entry = os.DirEntry[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file that can be read as a document."""

    path: str  # a path made for each of thousands of files would take half the time of a look
    source: Path  # the folder or file that was named, which says who may read it
    size: int
    modified: int  # nanoseconds since 1970

    @property
    def mark(self) -> str:
        """Its version, as far as that shows without reading it."""
        return f"{self.size}:{self.modified}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Everything that all sources hold together. Two of them are equal when nothing has changed."""

    files: dict[str, Found]  # by document name
    refused: tuple[tuple[str, str], ...]  # name and reason
    unseen: tuple[str, ...]  # beginnings of names: folders that could not be looked into
    empty: tuple[Path, ...]  # named folders in which there is nothing whatsoever
    others: tuple[tuple[str, int], ...]  # endings that cannot be read, and how many such files there are

    @property
    def note(self) -> str:
        """What is left aside, for the report."""
        if not self.others:
            return ""
        kinds = ", ".join(f"{ending or 'without ending'} {count}" for ending, count in self.others[:KINDS])
        return f"{sum(count for _, count in self.others)} files of other kinds left aside: {kinds}"

    def hides(self, name: str) -> bool:
        """Whether a document that is not listed may be there all the same."""
        return any(name.startswith(prefix) for prefix in self.unseen)


KINDS = 6  # endings that a report names
DEEP = 64  # folders within folders


def look(sources: Iterable[Path]) -> Listing:
    """List all sources together. What cannot be looked into is said in the listing."""
    wanted = list(sources)
    walk = _Walk(wanted)
    for source in wanted:
        walk.run(source)
    return walk.listing()


class _Walk:
    """One look at everything."""

    def __init__(self, sources: Collection[Path]) -> None:
        self._inner = {one: [other for other in sources if one in other.parents] for one in sources}
        self._endings = parse.supported()
        self._files: dict[str, Found] = {}
        self._refused: list[tuple[str, str]] = []
        self._unseen: list[str] = []
        self._empty: list[Path] = []
        self._others: Counter[str] = Counter()

    def listing(self) -> Listing:
        return Listing(
            files=self._files,
            refused=tuple(self._refused),
            unseen=tuple(self._unseen),
            empty=tuple(self._empty),
            others=tuple(self._others.most_common()),
        )

    def run(self, source: Path) -> None:
        if not source.is_dir():
            self._take(source.name, str(source), source, source.stat)
            return
        try:
            with os.scandir(source) as entries:
                if next(entries, None) is None:
                    self._empty.append(source)
        except OSError:
            pass  # the walk says why
        for name, entry in self._within(str(source), "", os.path.realpath(source), 0):
            if (ending := _ending(name)) in self._endings:
                self._take(name, entry.path, source, entry.stat)
            else:
                self._others[ending[:12]] += 1

    def _within(self, folder: str, prefix: str, root: str, depth: int) -> Iterator[tuple[str, Entry]]:
        """Names and entries of what lies in a folder and below, in order, without what is hidden."""
        for entry in self._entries(folder, prefix):
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False) and depth == DEEP:
                self._unseen.append(f"{name}/")
                self._refused.append((f"{name}/", f"more than {DEEP} folders within each other: it is left aside"))
            elif entry.is_dir(follow_symlinks=False):
                yield from self._within(entry.path, f"{name}/", root, depth + 1)
            elif not entry.is_symlink() or self._stays(name, entry.path, root):
                yield name, entry

    def _entries(self, folder: str, prefix: str) -> list[Entry]:
        try:
            with os.scandir(folder) as found:
                return sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError as error:
            self._unseen.append(prefix)
            self._refused.append((prefix or folder, f"the folder cannot be looked into: {error.strerror}"))
            return []

    def _stays(self, name: str, path: str, root: str) -> bool:
        """Whether a link leads to a file of the same folder. One to elsewhere would publish what nobody put there."""
        target = os.path.realpath(path)
        if Path(target).is_dir():
            return False
        inside = os.path.commonpath((target, root)) == root
        if not inside and _ending(name) in self._endings:
            self._refused.append((name, "it is a link that leads out of the folder: name its target as a source"))
        return inside

    def _take(self, written: str, path: str, source: Path, look_at: Callable[[], os.stat_result]) -> None:
        name = _shown(written)
        if name is None:
            self._refused.append((os.fsencode(written).decode("utf-8", "replace"), "its name is not UTF-8: rename it"))
            return
        try:
            status = look_at()
        except OSError as error:
            if path == str(source):  # else it has gone since the folder was listed
                self._refused.append((name, f"it cannot be read: {error.strerror}"))
            return
        if not stat.S_ISREG(status.st_mode):
            return
        found = Found(path=path, source=self._owner(path, source), size=status.st_size, modified=status.st_mtime_ns)
        if (first := self._files.setdefault(name, found)).path != path:
            self._refused.append((name, f"{path} has the same name as {first.path}. Rename one of them."))

    def _owner(self, path: str, source: Path) -> Path:
        """The source a file belongs to: of a folder within a folder it is the inner one that says who may read it."""
        inner = (one for one in self._inner[source] if path == str(one) or path.startswith(f"{one}{os.sep}"))
        return max(inner, key=lambda one: len(one.parts), default=source)


def _ending(name: str) -> str:
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    return f".{ending}".lower() if stem else ""


def _shown(written: str) -> str | None:
    """The name of a document by that of its file, in one spelling on all systems; None where it is no text."""
    if written.isascii() and written.isprintable():
        return written
    try:
        name = unicodedata.normalize("NFC", written.encode().decode())
    except UnicodeEncodeError:
        return None
    return " ".join(parse.clean(name).split("\n"))
