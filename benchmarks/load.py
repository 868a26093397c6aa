"""The load generator: a process of its own that posts prepared bytes and reads every status.

Plain sockets, no HTTP library: on the cores it shares with the server it must be the cheapest thing there.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LOST = 0  # the status of a request whose connection ended before an answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to post, and how: as fast as `connections` allow, or at `rate` per second."""

    port: int
    requests: Sequence[bytes]
    connections: int = 16
    rate: float = 0.0  # 0: each connection posts again as soon as it was answered
    seconds: float = 0.0  # stop posting after this; 0: when all requests were posted


@dataclass(slots=True)
class Answers:
    """What came back, in the order of posting."""

    statuses: list[int] = field(default_factory=list)  # by index of the request; LOST where no answer came
    seconds: list[float] = field(default_factory=list)  # of the answered ones; paced: since their planned instant
    wall: float = 0.0  # from the first post to the last answer

    @property
    def acknowledged(self) -> list[int]:
        """Indices of the requests answered with 200."""
        return [index for index, status in enumerate(self.statuses) if status == 200]


def http_request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Running:
    """A load on its way, in its own process."""

    def __init__(self, load: Load) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, load), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()  # it has read all its requests and stands ready

    def go(self) -> None:
        """Start posting."""
        self._pipe.send("go")

    def result(self) -> Answers:
        """Wait until it is done."""
        answers: Answers = self._pipe.recv()
        self._process.join()
        return answers


def post_all(load: Load) -> Answers:
    """Run a load to its end."""
    running = Running(load)
    running.go()
    return running.result()


def _child(pipe: Any, load: Load) -> None:
    import uvloop

    pipe.send("ready")
    pipe.recv()
    pipe.send(uvloop.run(_post(load)))


async def _post(load: Load) -> Answers:
    answers = Answers(statuses=[])
    statuses: dict[int, int] = {}
    began = time.perf_counter()
    line = _Line(load, began)
    await asyncio.gather(*(_connection(load, line, statuses, answers.seconds) for _ in range(load.connections)))
    answers.wall = time.perf_counter() - began
    answers.statuses = [statuses.get(index, LOST) for index in range(max(statuses, default=-1) + 1)]
    return answers


class _Line:
    """Hands out the requests: the next index, and the instant it is due."""

    def __init__(self, load: Load, began: float) -> None:
        self._load, self._began, self._next = load, began, 0

    def take(self) -> tuple[int, float] | None:
        index, now = self._next, time.perf_counter()
        over = self._load.seconds and now - self._began >= self._load.seconds
        if over or index >= len(self._load.requests):
            return None
        self._next += 1
        return index, self._began + index / self._load.rate if self._load.rate else now


async def _connection(load: Load, line: _Line, statuses: dict[int, int], seconds: list[float]) -> None:
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while (taken := line.take()) is not None:
        index, due = taken
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
            writer.write(load.requests[index])
            statuses[index] = await _status(reader)
            seconds.append(time.perf_counter() - due)
        except (OSError, asyncio.IncompleteReadError):  # the server was killed: that is what is being tried
            statuses[index] = LOST
            reader = writer = None
            await asyncio.sleep(0.02)
    if writer is not None:
        writer.close()


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(head[at + 15 : head.index(b"\r\n", at)]))
    return int(head[9:12])
