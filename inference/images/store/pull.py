"""Brings a model in: looked at first, copied beside the others, shown under its name only when it is whole.

    plan = prepare(store, found, name, keep_dtype=False)    nothing is written yet
    lock = execute(plan, advance)                           copied, converted, checked, locked, renamed

A copy that ends early leaves a folder whose name begins with a dot; the next one of that name begins anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from inference.errors import PullError
from inference.images.checkpoint_files import BrokenFileError, Header, read_header, refuse_pointer
from inference.images.preflight import COMPONENTS, WEIGHTS, preflight
from inference.images.store import resave
from inference.images.store.lock import BLOCK, Advance, Lock, LockedFile, sha256, write
from inference.images.store.parts import INDEX, Found, Part

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = frozenset({"builtin", "default"})  # these mean something else wherever a model is named
MARGIN = 200_000_000  # bytes that stay free on the disk
SUFFIX = ".safetensors"
HEAD = 1024  # bytes of a small file that are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One file to be written."""

    part: Part
    size: int  # bytes as written
    header: Header | None = None  # set for one that is stored smaller
    text: bytes | None = None  # what is written instead of its content


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What will be written, and where."""

    store: Path
    name: str
    found: Found
    steps: tuple[Step, ...]

    @property
    def target(self) -> Path:
        return self.store / self.name

    @property
    def size(self) -> int:
        """Bytes that will be written."""
        return sum(step.size for step in self.steps)

    @property
    def converted(self) -> tuple[str, ...]:
        """Components that are stored smaller."""
        return tuple(sorted({step.part.path.partition("/")[0] for step in self.steps if step.header}))


def prepare(store: Path, found: Found, name: str = "", *, keep_dtype: bool = False) -> Plan:
    """What bringing this model in takes. Raises PullError for whatever can be seen before it begins."""
    name = _fitting(store, name or found.name)
    _require_parts(found)
    if found.folder is not None:
        _require_whole(found.folder)
    try:
        steps = tuple(_steps(found.parts, keep_dtype=keep_dtype))
    except BrokenFileError as error:
        raise PullError(error.found.problem, error.found.next_step) from error
    plan = Plan(store=store, name=name, found=found, steps=steps)
    _require_space(plan)
    return plan


def execute(plan: Plan, now: datetime, advance: Advance = lambda path, count: None) -> Lock:
    """Do it. Raises PullError; then nothing of this name is there."""
    with _alone(plan.store):
        draft = plan.store / f".{plan.name}.part"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            lock = _written(plan, draft, now, advance)
            _require_whole(draft)
            write(draft, lock)
            _sync(draft)
            _fitting(plan.store, plan.name)
            draft.rename(plan.target)
            _sync(plan.store)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            step = "Free some, or look at the disk; then pull again."
            raise PullError(f"{plan.target} cannot be written: {error.strerror or error}.", step) from error
        except PullError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return lock


def _fitting(store: Path, name: str) -> str:
    if not NAME.fullmatch(name) or name.lower() in RESERVED:
        step = "Give it another one with --name: letters, digits, dots, dashes, at most 64."
        raise PullError(f"A model cannot be called {name!r}.", step)
    taken = next((one for one in store.iterdir() if one.name.lower() == name.lower()), None) if store.is_dir() else None
    if taken is not None:
        raise PullError(
            f"There is a model called {taken.name} already: {taken}.",
            "Give this one another name with --name, or remove that folder first.",
        )
    return name


def _require_parts(found: Found) -> None:
    """Everything a pipeline needs is there; what each holds is looked at later."""
    have = {part.path for part in found.parts}
    missing = [] if INDEX in have else [INDEX]
    for component in COMPONENTS:
        inside = [path for path in have if path.startswith(f"{component}/")]
        if not inside:
            missing.append(f"{component}/")
        elif component in WEIGHTS and not any(path.endswith(SUFFIX) for path in inside):
            missing.append(f"{component}/*{SUFFIX}")
    if missing:
        step = "Name the whole folder of a Z-Image-Turbo pipeline with its weights as safetensors."
        raise PullError(f"{found.source} lacks {', '.join(missing)}.", step)


def _require_whole(folder: Path) -> None:
    found = preflight(folder)
    if not found.ok:
        raise PullError(" ".join(one.problem for one in found.problems), found.problems[0].next_step)


def _require_space(plan: Plan) -> None:
    place = next(one for one in (plan.store, *plan.store.parents) if one.exists())
    free = shutil.disk_usage(place).free
    if plan.size + MARGIN > free:
        raise PullError(
            f"{plan.name} takes {plan.size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free on the disk of {place}.",
            "Free some space, or move the data folder to a larger disk (MOQI_DATA).",
        )


# --- what is written --------------------------------------------------------------------------------------------


def _steps(parts: tuple[Part, ...], *, keep_dtype: bool) -> Iterator[Step]:
    sizes: dict[str, int] = {}  # bytes of a converted component's tensors
    for part in parts:
        if not part.path.endswith(SUFFIX):
            _refuse_pointers(part)
            continue
        with part.open() as stream:
            header = read_header(stream, part.size, part.path)
        component = part.path.partition("/")[0]
        smaller = not keep_dtype and component in resave.COMPONENTS and resave.wanted(header)
        new = resave.planned(header) if smaller else header
        sizes[component] = sizes.get(component, 0) + (new.tensors[-1].end if new.tensors else 0)
        size = resave.size_of(header) if smaller else part.size
        yield Step(part=part, size=size, header=header if smaller else None)
    for part in parts:
        if not part.path.endswith(SUFFIX):
            yield _small(part, None if keep_dtype else sizes.get(part.path.partition("/")[0]))


def _small(part: Part, size: int | None) -> Step:
    """A file without weights. An index of shards says how large they are."""
    if part.path.endswith(f"{SUFFIX}.index.json") and size is not None:
        with part.open() as stream:
            try:
                text = resave.reindexed(stream.read(), size)
            except (ValueError, TypeError, AttributeError) as error:
                raise BrokenFileError(f"{part.path} does not name any shards ({error}).") from error
        return Step(part=part, size=len(text), text=text)
    return Step(part=part, size=part.size)


def _refuse_pointers(part: Part) -> None:
    with part.open() as stream:
        refuse_pointer(part.path, stream.read(HEAD))


def _written(plan: Plan, draft: Path, now: datetime, advance: Advance) -> Lock:
    files = {}
    for step in plan.steps:
        target = draft / step.part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        files[step.part.path] = LockedFile(size=step.size, sha256=_write(step, target, advance))
        if target.stat().st_size != step.size:
            raise PullError(f"{step.part.path} changed while it was copied.", "Pull again.")
        _sync(target.parent)
    return Lock(
        source=plan.found.source,
        revision=plan.found.revision,
        made_at=now,
        verified_at=now,
        files=files,
        converted=plan.converted,
    )


def _write(step: Step, target: Path, advance: Advance) -> str:
    """Write one file for good; returns the SHA-256 of what was written. Raises PullError, OSError."""
    if step.part.file is not None and step.header is None and step.text is None:
        return _link(step.part, step.part.file, target, advance)
    written = hashlib.sha256()
    with step.part.open() as source, target.open("wb") as out:
        read = _Counted(source, step.part.sha256)
        for piece in _pieces(step, read):
            out.write(piece)
            written.update(piece)
            advance(step.part.path, len(piece))
        read.require(step.part.path)
        out.flush()
        os.fsync(out.fileno())
    return written.hexdigest()


def _link(part: Part, file: Path, target: Path, advance: Advance) -> str:
    """Take a file that was downloaded for this: no second copy of it is made."""
    found = sha256(file, lambda count: advance(part.path, count))
    if part.sha256 and found != part.sha256:
        file.unlink()  # or the next download would take it for whole
        raise PullError(f"{part.path} is not what its source says: another SHA-256.", "Pull again.")
    target.hardlink_to(file)
    return found


def _pieces(step: Step, source: _Counted) -> Iterator[bytes]:
    if step.text is not None:
        source.drain()
        yield step.text
    elif step.header is not None:
        source.read(step.header.begins)
        try:
            yield from resave.converted(source, step.header)
        except EOFError as error:
            raise PullError(f"{step.part.path}: {error}.", "Pull again.") from error
    else:
        while block := source.read(BLOCK):
            yield block


class _Counted:
    """A stream that is read from its beginning to its end, and whose SHA-256 is what its source said."""

    def __init__(self, stream: BinaryIO, sha256: str) -> None:
        self._stream = stream
        self._expected = sha256
        self._digest = hashlib.sha256() if sha256 else None

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def drain(self) -> None:
        while self.read(BLOCK):
            pass

    def require(self, name: str) -> None:
        """Raise PullError unless it was what its source promised."""
        if self._digest is not None and self._digest.hexdigest() != self._expected:
            raise PullError(f"{name} is not what its source says: another SHA-256.", "Pull again.")


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """One at a time brings models into this store; the kernel lets go when the process ends."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (store / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PullError("Another `moqi models pull` is at work in this store.", "Wait for its end.") from error
        yield


def _sync(folder: Path) -> None:
    """Make what was renamed or made in a folder stay after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
