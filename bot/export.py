"""Many pictures as one ZIP: written as it is read, so that memory holds one picture at a time; its manifest comes last.

The files are the copies that are shown (each with its one AIGC field); the manifest says how each was made, so that it
can be made again. A picture that is private carries no recipe there either.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import PurePath
from typing import Any

from bot.version import version
from storage.errors import Missing
from storage.gallery import Found
from storage.records import Asset, Job

MANIFEST = "manifest.json"
FORMAT = 1
#: What one download from the page may be.
MOST, LARGEST = 500, 2_000_000_000  # pictures, bytes of their files

#: What it takes to draw the same again.
RECIPE = ("prompt", "negative", "width", "height", "steps", "cfg", "strength", "source", "adapters", "template")


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """How pictures are written."""

    read: Callable[[Asset], bytes]  # the copy that is shown; raises Missing
    name: Callable[[Asset, Job, str], str]  # its file name with this ending
    zone: tzinfo  # of the times in the archive


class TooMuch(ValueError):
    """More than one download may be."""


def size(found: Sequence[Found]) -> int:
    """About how many bytes it will be. Raises `TooMuch`."""
    total = sum(one.asset.size for one in found)
    if len(found) > MOST or total > LARGEST:
        raise TooMuch(f"{len(found)} pictures, {total} bytes")
    return total


def written(found: Iterable[Found], export: Export, done: Callable[[str], None] = lambda name: None) -> Iterator[bytes]:
    """The archive, piece by piece. `done` hears of each file. What is gone meanwhile is listed in the manifest."""
    pipe, held, missing, taken = _Pipe(), [], [], set[str]()
    with zipfile.ZipFile(pipe, "w") as archive:
        for one in found:
            try:
                data = export.read(one.asset)
            except Missing:
                missing.append(one.asset.id)
                continue
            file = _free(export.name(one.asset, one.job, _ending(one.asset)), taken)
            archive.writestr(_entry(file, one, export.zone), data)
            held.append(_stated(file, one, data))
            done(file)
            yield from pipe.taken()
        archive.writestr(MANIFEST, _manifest(held, missing), zipfile.ZIP_DEFLATED)
    yield from pipe.taken()


def _ending(asset: Asset) -> str:
    return asset.media_type.rpartition("/")[2].replace("jpeg", "jpg")


def _free(name: str, taken: set[str]) -> str:
    """The name, unless a picture before it has it, in whatever case: then with a number."""
    path, number, free = PurePath(name), 1, name
    while free.lower() in taken or free == MANIFEST:
        number += 1
        free = f"{path.stem}-{number}{path.suffix}"
    taken.add(free.lower())
    return free


def _entry(file: str, one: Found, zone: tzinfo) -> zipfile.ZipInfo:
    """A picture is compressed already."""
    info = zipfile.ZipInfo(file, one.asset.created_at.astimezone(zone).timetuple()[:6])
    info.external_attr = 0o600 << 16
    return info


def _stated(file: str, one: Found, data: bytes) -> dict[str, Any]:
    asset, job = one.asset, one.job
    return {
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "job": job.id,
        "picture": asset.index + 1,
        "by": one.owner,
        "created": asset.created_at.isoformat(),
        "model": str((job.result or {}).get("model", "")),
        "width": asset.width,
        "height": asset.height,
        "recipe": None if job.params.get("private") else recipe(one),
    }


def recipe(one: Found) -> dict[str, Any]:
    """How a picture was made."""
    seeds = (one.job.result or {}).get("seeds") or [one.job.params.get("seed")]
    kept = {name: one.job.params[name] for name in RECIPE if one.job.params.get(name) not in (None, "")}
    return {**kept, "seed": seeds[min(one.asset.index, len(seeds) - 1)]}


def _manifest(held: list[dict[str, Any]], missing: list[int]) -> bytes:
    stated = {"format": FORMAT, "moqi": version(), "pictures": held, "missing": missing}
    return json.dumps(stated, ensure_ascii=False, indent=1).encode()


class _Pipe:
    """A file that can only be written on, and whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is kept open."""

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces
