"""Reads the files of a checkpoint without trusting them: JSON, safetensors headers, git-lfs pointers left behind."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LFS_POINTER = b"version https://git-lfs"
HEADER_LIMIT = 100_000_000  # bytes; the safetensors format allows no more
AGAIN = "Download this file again and compare its size with the source."


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, in a sentence that names the file, and what to do about it."""

    problem: str
    next_step: str


class BrokenFileError(Exception):
    """A file of the checkpoint is not what it should be; carries the Problem out of the check that noticed it."""

    def __init__(self, problem: str, next_step: str = AGAIN) -> None:
        super().__init__(problem)
        self.found = Problem(problem=problem, next_step=next_step)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises BrokenFileError."""
    if not file.is_file():
        raise BrokenFileError(f"{file} is missing.")
    text = read_bytes(file)
    _refuse_pointer(file, text)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BrokenFileError(f"{file} is not readable JSON ({error}).") from error
    if not isinstance(value, dict):
        raise BrokenFileError(f"{file} does not hold a JSON object.")
    return value


def read_bytes(file: Path, limit: int = -1, start: int = 0) -> bytes:
    """Up to `limit` bytes of a file from byte `start` (-1: all). Raises BrokenFileError when it cannot be read."""
    try:
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(limit)
    except OSError as error:
        step = "Give the user that runs the service the right to read it."
        raise BrokenFileError(f"{file} cannot be read ({error.strerror}).", step) from error


def tensor_names(file: Path) -> set[str]:
    """The tensors of a safetensors file, if it is as long as its header says. Raises BrokenFileError."""
    return set(tensor_shapes(file))


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The tensors of a safetensors file and their shapes, if it is as long as its header says.

    Raises BrokenFileError.
    """
    entries = _entries(file, header := _header(file))
    size, length = file.stat().st_size, len(header)
    expected = 8 + length + max((end for _, end in entries.values()), default=0)
    if size != expected:
        raise BrokenFileError(f"{file} has {size:,} bytes, its header promises {expected:,}.")
    return {name: shape for name, (shape, _) in entries.items()}


def header_note(file: Path) -> dict[str, str]:
    """What the maker of a safetensors file wrote about it into its header. Raises BrokenFileError."""
    try:
        note = json.loads(_header(file)).get("__metadata__")
    except (ValueError, AttributeError) as error:
        raise BrokenFileError(f"{file} has an unreadable safetensors header ({error}).") from error
    return {str(name): str(value) for name, value in note.items()} if isinstance(note, dict) else {}


def _header(file: Path) -> bytes:
    size = file.stat().st_size
    if size == 0:
        raise BrokenFileError(f"{file} is empty.")
    start = read_bytes(file, limit=len(LFS_POINTER))
    _refuse_pointer(file, start)
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else HEADER_LIMIT + 1
    if length > min(HEADER_LIMIT, size - 8):
        raise BrokenFileError(f"{file} is not a safetensors file, or is cut off within its header.")
    return read_bytes(file, limit=length, start=8)


def _entries(file: Path, header: bytes) -> dict[str, tuple[tuple[int, ...], int]]:
    """Name -> shape, and offset behind its last byte, for every tensor in a safetensors header."""
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        return {
            name: (tuple(map(int, entry["shape"])), int(entry["data_offsets"][1])) for name, entry in entries.items()
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BrokenFileError(f"{file} has an unreadable safetensors header ({error}).") from error


def _refuse_pointer(file: Path, content: bytes) -> None:
    if content.startswith(LFS_POINTER):
        raise BrokenFileError(
            f"{file} is a git-lfs pointer, not the file itself.", "Run `git lfs pull` in the checkpoint folder."
        )
