"""What a model can be brought in from: a folder, or an archive of one. Nothing in it is trusted.

A snapshot of the Hugging Face cache is a folder of links into `blobs/`: the links are followed, the files are taken.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from inference.errors import PullError
from inference.images.preflight import CODE_SUFFIXES, COMPONENTS

INDEX = "model_index.json"
TAKEN = frozenset({".json", ".txt", ".jinja", ".model", ".safetensors"})  # of a component's files
BESIDE = re.compile(r"(LICENSE|NOTICE|README)[\w.-]*", re.IGNORECASE)  # what is taken beside the components
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One file of a model that is to be brought in."""

    path: str  # in the model, with slashes
    size: int  # bytes
    open: Callable[[], BinaryIO]
    sha256: str = ""  # what its source says it is; empty = it does not
    file: Path | None = None  # where it lies, if it is ours to link to


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A model that could be brought in."""

    source: str
    revision: str
    name: str  # what it is called unless somebody says otherwise
    parts: tuple[Part, ...]
    folder: Path | None = None  # where it lies as a folder: it can be looked at before anything is copied


@contextmanager
def local(path: Path) -> Iterator[Found]:
    """A folder or an archive, open for the time of the block. Raises PullError."""
    if path.is_dir():
        yield in_folder(path)
    elif not path.is_file():
        raise PullError(f"There is no {path}.", "Name a checkpoint folder, a .tar of one, or an id like owner/name.")
    else:
        try:
            with tarfile.open(path, "r:*") as archive:
                yield in_archive(archive, path)
        except tarfile.TarError as error:
            step = "Name a checkpoint folder, or a .tar of one; a single weight file is not a model."
            raise PullError(f"{path} is not a readable archive ({error}).", step) from error


def in_folder(path: Path) -> Found:
    """The model of a folder: a pipeline folder, or a model's folder of the Hugging Face cache. Raises PullError."""
    root = _snapshot(path)
    known = root.parent.name == "snapshots"
    repository = root.parent.parent.name if known else ""
    name = repository.removeprefix("models--").replace("--", "/") if repository.startswith("models--") else ""
    return Found(
        source=name or str(path.absolute()),
        revision=root.name if known and _COMMIT.fullmatch(root.name) else "",
        name=(name or path.resolve().name).rpartition("/")[2],
        parts=tuple(_taken((_relative(file, root), file) for file in sorted(root.rglob("*")))),
        folder=root,
    )


def _snapshot(path: Path) -> Path:
    """The folder itself, or the one snapshot that a folder of the cache means."""
    snapshots = path / "snapshots"
    if (path / INDEX).is_file() or not snapshots.is_dir():
        return path
    main = path / "refs" / "main"
    meant = snapshots / main.read_text(encoding="utf-8").strip() if main.is_file() else None
    there = [one for one in sorted(snapshots.iterdir()) if one.is_dir()]
    if meant is not None and meant in there:
        return meant
    if len(there) != 1:
        names = ", ".join(one.name for one in there) or "none"
        raise PullError(f"{path} holds several snapshots or none: {names}.", "Name the folder of one of them.")
    return there[0]


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _taken(files: Iterable[tuple[str, Path]]) -> Iterator[Part]:
    for path, file in files:
        if file.is_dir() or not belongs(path):
            continue
        if not file.is_file():
            step = "Copy the model's whole folder of the cache, blobs/ included, or make the copy with cp -rL."
            raise PullError(f"{file} is a link to {_target(file)}, which is not there.", step)
        yield Part(path=path, size=file.stat().st_size, open=partial(_read, file))


def _read(file: Path) -> BinaryIO:
    return file.open("rb")


def _target(file: Path) -> str:
    return str(file.readlink()) if file.is_symlink() else "nothing"


def in_archive(archive: tarfile.TarFile, path: Path) -> Found:
    """The model in an open archive. Raises PullError."""
    members = {_plain(member.name): member for member in archive.getmembers() if not member.isdir()}
    indexes = sorted((name for name in members if name.rpartition("/")[2] == INDEX), key=lambda name: name.count("/"))
    if not indexes:
        raise PullError(f"{path} holds no {INDEX}.", "Make the archive of a whole pipeline folder.")
    root = indexes[0].removesuffix(INDEX)
    parts = []
    for name, member in sorted(members.items()):
        inner = name.removeprefix(root)
        if not name.startswith(root) or not belongs(inner):
            continue
        end = _followed(archive, member, path)
        parts.append(Part(path=inner, size=end.size, open=partial(_opened, archive, end, path)))
    stem = path.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    snapshot = PurePosixPath(root).name
    revision = snapshot if _COMMIT.fullmatch(snapshot) else ""
    return Found(source=str(path.absolute()), revision=revision, name=stem, parts=tuple(parts))


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _followed(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> tarfile.TarInfo:
    """The file that a member is or leads to, within the archive."""
    seen = set()
    while not member.isfile():
        if not (member.issym() or member.islnk()) or member.name in seen:
            raise PullError(f"{member.name} in {path} is no file.", "Make the archive with tar --dereference.")
        seen.add(member.name)
        target = member.linkname
        if member.issym():
            target = _joined(PurePosixPath(member.name).parent, target)
        try:
            member = archive.getmember(target)
        except KeyError as error:
            step = "Make the archive with tar --dereference, or of the whole folder, blobs/ included."
            raise PullError(f"{member.name} in {path} leads to {target}, which is not in it.", step) from error
    return member


def _joined(folder: PurePosixPath, target: str) -> str:
    """A link's target as a member's name; what leads out of the archive stays a name that is not in it."""
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> BinaryIO:
    stream = archive.extractfile(member)
    if stream is None:
        raise PullError(f"{member.name} in {path} is no file.", "Make the archive with tar --dereference.")
    return cast(BinaryIO, stream)


def belongs(path: str) -> bool:
    """Whether a file of a source is taken. Raises PullError for one that could run code when opened."""
    pure = PurePosixPath(path)
    hidden = any(part.startswith(".") for part in pure.parts)
    if pure.suffix.lower() in CODE_SUFFIXES and not hidden:
        raise PullError(
            f"{path} can run code when opened; only safetensors and JSON belong into a checkpoint.",
            "Delete such files from the source, or take its safetensors version.",
        )
    if len(pure.parts) == 1:
        return path == INDEX or bool(BESIDE.fullmatch(path))
    inside = len(pure.parts) == 2 and pure.parts[0] in COMPONENTS
    return inside and not hidden and pure.suffix.lower() in TAKEN
