"""What this machine has learned about a model, on disk: how it draws fastest, and how many pictures at once pay.

One JSON file in the data folder, an entry for each model on each device with each version of torch: what was measured
with another of them says nothing. A file that cannot be read or written costs a measurement, never a picture.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.images.batching import worthwhile

log = logging.getLogger(__name__)

VERSION = 1  # of the file's form: another one is not read
FILE = "engine.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notes:
    """What is known of one model on one device."""

    wanted: str = ""  # the settings for which `attention` and `compiled` were found best
    attention: str = ""
    compiled: bool = False
    trying: str = ""  # a way that was being tried when the process ended: it may have been the reason
    held: str = ""  # the way of holding it in memory for which `learned` holds
    learned: tuple[tuple[int, int], ...] = ()  # see BatchLimit; sizes in pixels
    seconds: tuple[tuple[int, int, float], ...] = ()  # (pixels, batch, seconds per picture) that `moqi bench` measured


class Notebook:
    """The file. `folder` None keeps nothing."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._file = None if folder is None else folder / FILE
        self._key = key
        self.notes = _parsed(self._entries().get(key))

    def write(self, notes: Notes) -> None:
        """Keep `notes`, for the next start too."""
        self.notes = notes
        if self._file is None:
            return
        entries = {**self._entries(), self._key: _plain(notes)}
        draft = self._file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"version": VERSION, "entries": entries}, indent=1), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error, extra={"action": "notes-failed"})

    def _entries(self) -> dict[str, Any]:
        if self._file is None:
            return {}
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            entries = found["entries"] if found["version"] == VERSION else {}
            return dict(entries)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s cannot be read: %r", self._file, error, extra={"action": "notes-failed"})
            return {}


def _plain(notes: Notes) -> dict[str, Any]:
    return {name: getattr(notes, name) for name in Notes.__slots__}


def _parsed(entry: Any) -> Notes:
    """The notes of an entry; of one that is damaged, none."""
    if entry is None:
        return Notes()
    try:
        return Notes(
            wanted=str(entry["wanted"]),
            attention=str(entry["attention"]),
            compiled=entry["compiled"] is True,
            trying=str(entry["trying"]),
            held=str(entry["held"]),
            learned=tuple((int(size), max(1, int(most))) for size, most in entry["learned"]),
            seconds=tuple((int(size), int(batch), float(each)) for size, batch, each in entry["seconds"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        log.warning("what was learned of a model cannot be read: %r", error, extra={"action": "notes-failed"})
        return Notes()


def worth_measured(seconds: tuple[tuple[int, int, float], ...]) -> tuple[tuple[int, int], ...]:
    """For each measured size the most pictures that are worth one pass: see BatchLimit.measured.

    A size of which only one picture at a time was measured (the time was over) says nothing.
    """
    sizes = sorted({size for size, batch, _ in seconds if batch > 1})
    return tuple((size, worthwhile({batch: each for of, batch, each in seconds if of == size})) for size in sizes)
