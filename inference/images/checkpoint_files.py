"""Reads the files of a checkpoint without trusting them: JSON, safetensors headers, git-lfs pointers left behind."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

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
    refuse_pointer(file, text)
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
        raise _unreadable(file, error) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of a safetensors file. `start` and `end` count bytes from the end of the header."""

    name: str
    dtype: str  # as the format writes it: BF16, F32, …
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a safetensors file says of itself."""

    tensors: tuple[Tensor, ...]  # in the order of their bytes
    metadata: dict[str, str]
    begins: int  # the first byte behind the header


def tensor_names(file: Path) -> set[str]:
    """The tensors of a safetensors file, if it is as long as its header says. Raises BrokenFileError."""
    return {tensor.name for tensor in tensors_of(file).tensors}


def tensors_of(file: Path) -> Header:
    """The header of a safetensors file, if it is as long as that says. Raises BrokenFileError."""
    try:
        with file.open("rb") as stream:
            return read_header(stream, file.stat().st_size, file)
    except OSError as error:
        raise _unreadable(file, error) from error


def read_header(stream: BinaryIO, size: int, name: object) -> Header:
    """The same of an open file of `size` bytes, which is called `name`. Raises BrokenFileError, OSError."""
    if size == 0:
        raise BrokenFileError(f"{name} is empty.")
    start = stream.read(len(LFS_POINTER))
    refuse_pointer(name, start)
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else HEADER_LIMIT + 1
    if length > min(HEADER_LIMIT, size - 8):
        raise BrokenFileError(f"{name} is not a safetensors file, or is cut off within its header.")
    text = start[8 : 8 + length]
    header = _parsed(name, text + stream.read(length - len(text)), 8 + length)
    expected = header.begins + max((tensor.end for tensor in header.tensors), default=0)
    if size != expected:
        raise BrokenFileError(f"{name} has {size:,} bytes, its header promises {expected:,}.")
    return header


def _parsed(name: object, text: bytes, begins: int) -> Header:
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", None) or {}
        tensors = [
            Tensor(
                name=key,
                dtype=str(entry["dtype"]),
                shape=tuple(entry["shape"]),
                start=int(entry["data_offsets"][0]),
                end=int(entry["data_offsets"][1]),
            )
            for key, entry in entries.items()
        ]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BrokenFileError(f"{name} has an unreadable safetensors header ({error}).") from error
    return Header(tensors=tuple(sorted(tensors, key=lambda one: one.start)), metadata=metadata, begins=begins)


def refuse_pointer(name: object, content: bytes) -> None:
    """Raise BrokenFileError when this is what git-lfs leaves in the place of a file."""
    if content.startswith(LFS_POINTER):
        raise BrokenFileError(
            f"{name} is a git-lfs pointer, not the file itself.", "Run `git lfs pull` in the checkpoint folder."
        )


def _unreadable(file: Path, error: OSError) -> BrokenFileError:
    step = "Give the user that runs the service the right to read it."
    return BrokenFileError(f"{file} cannot be read ({error.strerror}).", step)
