"""Stores float32 weights as bfloat16: half the bytes to keep and to read, and the very numbers that loading makes.

The transformer of Z-Image-Turbo comes as 24.6 GB of float32 and is computed in bfloat16. Tensor by tensor, in pieces of
a fixed size: memory stays bounded whatever the file's size, and no model is built.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from inference.images.checkpoint_files import Header, Tensor

#: What is computed in bfloat16. The decoder is not: it is small, and an engine may want it in full precision.
COMPONENTS = ("text_encoder", "transformer")
PIECE = 4 * 2**20  # numbers converted at once: 16 MB read, about 70 MB of memory
COPIED = 16 * 2**20  # bytes copied at once


class Readable(Protocol):
    """What is read from its beginning to its end."""

    def read(self, count: int, /) -> bytes: ...


def wanted(header: Header) -> bool:
    """Whether a file holds numbers that would be stored smaller."""
    return any(tensor.dtype == "F32" for tensor in header.tensors)


def planned(header: Header) -> Header:
    """The header of the file that is written for one with this header."""
    tensors: list[Tensor] = []
    end = 0
    for tensor in header.tensors:
        shrinks = tensor.dtype == "F32"
        size = (tensor.end - tensor.start) // (2 if shrinks else 1)
        dtype = "BF16" if shrinks else tensor.dtype
        tensors.append(replace(tensor, dtype=dtype, start=end, end=end + size))
        end += size
    return replace(header, tensors=tuple(tensors), begins=len(_written(tuple(tensors), header.metadata)))


def size_of(header: Header) -> int:
    """How many bytes the file written for one with this header has."""
    new = planned(header)
    return new.begins + (new.tensors[-1].end if new.tensors else 0)


def converted(stream: Readable, header: Header) -> Iterator[bytes]:
    """The new file, piece by piece, from the old one, which stands behind its header. Raises OSError, EOFError."""
    yield _written(planned(header).tensors, header.metadata)
    for tensor in header.tensors:
        left = tensor.end - tensor.start
        if tensor.dtype != "F32":
            yield from _copied(stream, left)
            continue
        while left:
            piece = _exactly(stream, min(left, 4 * PIECE))
            left -= len(piece)
            yield bfloat16(piece)


def bfloat16(numbers: bytes) -> bytes:
    """float32 numbers (little-endian) as bfloat16, rounded to the nearest and to even as torch does."""
    import numpy

    bits: Any = numpy.frombuffer(numbers, dtype="<u4")
    rounded = bits + (((bits >> 16) & 1) + 0x7FFF)
    upper = (rounded >> 16).astype("<u2")
    upper[(bits & 0x7FFFFFFF) > 0x7F800000] = 0x7FC0  # NaN: rounding could make it infinite
    return bytes(upper.tobytes())


def reindexed(text: bytes, size: int) -> bytes:
    """The index of a component's shards, with the bytes of all tensors as they are now."""
    index = json.loads(text)
    index["metadata"] = {**(index.get("metadata") or {}), "total_size": size}
    return json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"


def _written(tensors: tuple[Tensor, ...], metadata: dict[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    for one in tensors:
        entries[one.name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [one.start, one.end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _copied(stream: Readable, left: int) -> Iterator[bytes]:
    while left:
        piece = _exactly(stream, min(left, COPIED))
        left -= len(piece)
        yield piece


def _exactly(stream: Readable, count: int) -> bytes:
    """`count` bytes: an archive may give fewer at once."""
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            raise EOFError("the file ended early: it was changed while it was read")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
