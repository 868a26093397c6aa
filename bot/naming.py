"""What a downloaded picture is called: a template such as {project}_{date}_{seq}, filled in and made safe. Pure."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from datetime import UTC, tzinfo

from storage.records import Asset, Job

#: What a template may name.
FIELDS = ("project", "date", "seq", "time", "job", "n", "seed", "size", "prompt")

#: Names are at most this long in UTF-8: some file systems take 255 bytes, and an ending and a copy's mark follow.
LONGEST = 200
_TEXT = 40  # characters of a field that people wrote; fewer where the name would become too long
_LITERAL = 80

_UNSAFE = re.compile(r'[\s\\/:*?"<>|\x00-\x1f\x7f]+')
#: Names that Windows keeps for itself, whatever their ending.
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """How a team names its pictures."""

    template: str = "{project}_{date}_{seq}"
    project: str = "moqi"
    zone: tzinfo = UTC  # of {time}


def checked(template: str) -> str:
    """The template, if it can be used. Raises ValueError that says what is wrong with it."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise ValueError("has a brace without its other half: write fields as {date}") from None
    for _, field, spec, conversion in parts:
        if field is not None and (field not in FIELDS or spec or conversion):
            raise ValueError(f"knows no field {{{field}}}; allowed: {', '.join(FIELDS)}")
    named = {field for _, field, _, _ in parts}
    if not ({"date", "seq"} <= named or {"job", "n"} <= named):
        raise ValueError("would give two pictures one name: use {date} with {seq}, or {job} with {n}")
    literal = "".join(text for text, *_ in parts)
    if _UNSAFE.search(literal) or len(literal) > _LITERAL:
        raise ValueError(
            f"may have up to {_LITERAL} characters beside its fields, no spaces and none of \\ / : * ? < > |"
        )
    return template


def name(naming: Naming, asset: Asset, job: Job, ending: str) -> str:
    """The file name of a picture of `job`, safe on every system, at most LONGEST bytes with its ending."""
    fixed = {
        "date": asset.day.replace("-", ""),
        "seq": f"{asset.seq:04d}",
        "time": f"{asset.created_at.astimezone(naming.zone):%H%M%S}",
        "job": str(job.id),
        "n": str(asset.index + 1),
        "seed": str(_seed(job, asset)),
        "size": f"{asset.width}x{asset.height}",
    }
    for room in range(_TEXT, -1, -1):
        texts = {"project": _safe(naming.project, room), "prompt": _safe(str(job.params.get("prompt", "")), room)}
        made = naming.template.format(**fixed, **texts).strip("._- ")
        if len(f"{made}.{ending}".encode()) <= LONGEST:
            break
    return f"_{made}.{ending}" if _TAKEN.fullmatch(made) else f"{made}.{ending}"


def _seed(job: Job, asset: Asset) -> int:
    seeds = (job.result or {}).get("seeds") or [job.params.get("seed") or 0]
    return int(seeds[min(asset.index, len(seeds) - 1)])


def _safe(text: str, room: int) -> str:
    """The beginning of a text, without what a file name must not have."""
    kept = _UNSAFE.sub("-", unicodedata.normalize("NFC", text))
    kept = "".join(char for char in kept if unicodedata.category(char) not in ("Cc", "Cf", "Cs"))
    return kept.strip("._- ")[:room].rstrip("._- ")
