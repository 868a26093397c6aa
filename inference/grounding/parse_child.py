"""The reader of documents: a process of its own that lives for many, and may have so many bytes of address space.

`python -m inference.grounding.parse_child BYTES`

A request is a line of JSON ({"name", "kind", "title", "size", "overlap", "seconds", "bytes"}) and so many bytes; it may
take so many seconds of processor time. Its answer is {"error", "problem", "next_step"}, or {"title", "unread",
"passages"} and then lists of passages, a line each, until all are there. See inference/grounding/reader.py.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from inference.grounding import document
from inference.grounding.chunk import Cutting
from inference.grounding.parse import ParseError
from storage.records import NewPassage

#: It ends by itself after so many seconds without work, so many documents, or bytes that one of them left behind.
IDLE = 30.0
DOCUMENTS = 2000
LEFT_BEHIND = 600 * 1024**2

OUT_OF_MEMORY = 3  # exit status, as in reader.py
BATCH = 64  # passages in a line: the other side reads a line at a time while it does other things


def main() -> int:
    """Answer requests until there are none."""
    limit(int(sys.argv[1]))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for _ in range(DOCUMENTS):
        waiting, _, _ = select.select([sys.stdin.buffer], [], [], IDLE)
        line = sys.stdin.buffer.readline() if waiting else b""
        if not line:
            break
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        if len(data) < request["bytes"]:  # the other side is gone
            break
        _allow(request["seconds"])
        try:
            _write(out, _answer(request, data))
        except MemoryError:
            return OUT_OF_MEMORY
        if _memory() > LEFT_BEHIND:
            break
    return 0


def limit(memory: int) -> None:
    """Bound this process for good: so many bytes of memory, no file written, no core file of somebody's document."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other side, whose end ends this one
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # macOS does not know a limit of the address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _allow(seconds: int) -> None:
    """So much processor time from now on; then the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))


def _memory() -> int:
    """The most memory it ever had, in bytes. Linux's getrusage would count what the program had that started it."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _write(out: BinaryIO, lines: Iterator[Any]) -> None:
    out.writelines(json.dumps(line).encode() + b"\n" for line in lines)
    out.flush()


def _answer(request: Mapping[str, Any], data: bytes) -> Iterator[Any]:
    cutting = Cutting(size=request["size"], overlap=request["overlap"])
    name = request["name"]
    try:
        text = document.read(data, name, kind=request["kind"], title=request["title"], cutting=cutting)
        pieces = document.cut(text, cutting)
    except MemoryError:
        raise
    except ParseError as error:
        yield {"error": type(error).__name__, "problem": error.problem, "next_step": error.next_step}
        return
    except RecursionError:
        yield _unreadable(f"{name} is nested too deep.")
        return
    except Exception:  # noqa: BLE001 (the readers of foreign formats raise anything at all for a damaged file)
        yield _unreadable(f"{name} is damaged.")
        return
    yield {"title": text.title, "unread": text.unread, "passages": len(pieces)}
    found = document.passages(text, pieces)
    while batch := [_plain(one) for one in islice(found, BATCH)]:
        yield batch


def _plain(one: NewPassage) -> list[Any]:
    """A passage as a list, its terms (which hold no blanks) as two texts: a third of the time of lists of them."""
    return [one.heading, one.start, one.end, one.text, " ".join(one.terms.words), " ".join(one.terms.bigrams)]


def _unreadable(problem: str) -> dict[str, str]:
    return {"error": "Unreadable", "problem": problem, "next_step": "Open it, save it anew, and try again."}


if __name__ == "__main__":
    sys.exit(main())
