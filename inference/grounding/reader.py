"""Reading documents in processes of their own, with limits: bad ones harm nobody, and the server's loop goes on.

A damaged PDF can abort the whole process, a small archive can unfold to gigabytes, a page can be nested until a reader
never returns: what happens to a child is an error of that one document. A child reads one document after the other
(its libraries take up to 0.7 s to load) and is replaced after one that ended it. It also cuts the passages and their
search terms, which takes more processor time than most reading. It ends by itself when it has nothing to do, and when
this process ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from inference.grounding import parse
from inference.grounding.chunk import STANDARD, Cutting
from inference.grounding.parse import Locked, NoText, ParseError, TooLarge, Unreadable, Unsupported
from storage.records import NewPassage, SearchTerms

#: Seconds for one document: of wall time, of processor time.
TIMEOUT = 120.0
CPU_SECONDS = 60

#: Bytes of address space of a child.
MEMORY = 2 * 1024**3

#: The exit status of a child that had too little of it.
OUT_OF_MEMORY = 3

#: Seconds for a child that says nothing more to end.
ENDING = 5.0

#: Children at the same time, each of which may take `MEMORY`.
AT_ONCE = 3

_ERRORS = {kind.__name__: kind for kind in (Locked, NoText, TooLarge, Unreadable, Unsupported)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A document ready to be kept."""

    title: str
    passages: tuple[NewPassage, ...]
    unread: tuple[int, ...]  # pages that need text recognition


def close() -> None:
    """End the children; whoever waits for one gets `Unreadable` at once. The next document starts one again."""
    if _shared.cache_info().currsize:
        _shared().close()


def read(data: bytes, name: str, *, kind: str = "", title: str = "", cutting: Cutting = STANDARD) -> Reading:
    """Read and cut a document in a child; blocks, for up to `TIMEOUT` seconds. Raises `ParseError`.

    `kind` is the ending that says what it is; empty = that of its name. `title` is what it is called for sure.
    """
    parse.reader_of(name, kind)
    parse.check_size(len(data), name)
    request = {"name": name, "kind": kind, "title": title, "size": cutting.size, "overlap": cutting.overlap}
    return _shared().read({**request, "seconds": CPU_SECONDS, "bytes": len(data)}, data)


class Readers:
    """Some children, started when they are needed. Every method may be called in any thread."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._room = threading.BoundedSemaphore(at_once)
        self._idle: list[_Child] = []  # the last used one last: those before it fall asleep first
        self._busy: set[_Child] = set()

    def read(self, request: Mapping[str, Any], data: bytes) -> Reading:
        """What a child answers. Raises `ParseError`.

        One that was used before may have ended meanwhile, or choke on what earlier documents left in it: only what
        ends a fresh one is the document's own fault.
        """
        with self._room:
            try:
                return self._ask(self._take(), request, data)
            except _Ended as ended:
                if not ended.innocent:
                    raise ended.verdict(str(request["name"])) from None
            try:
                return self._ask(_Child(), request, data)
            except _Ended as ended:
                raise ended.verdict(str(request["name"])) from None

    def _ask(self, child: _Child, request: Mapping[str, Any], data: bytes) -> Reading:
        self._busy.add(child)
        try:
            reading = child.read(request, data)
        except ParseError:
            self._idle.append(child)
            raise
        except BaseException:
            child.end()
            raise
        else:
            self._idle.append(child)
            return reading
        finally:
            self._busy.discard(child)

    def close(self) -> None:
        """End the children, in the middle of what they read."""
        for child in tuple(self._busy):
            child.stop()
        while self._idle:
            self._idle.pop().end()

    def _take(self) -> _Child:
        try:
            return self._idle.pop()
        except IndexError:
            return _Child()


@cache
def _shared() -> Readers:
    """This process's children."""
    readers = Readers()
    atexit.register(readers.close)
    return readers


class _Ended(Exception):
    """A child ended before it had answered."""

    def __init__(self, status: int, *, late: bool, stopped: bool, used: bool) -> None:
        super().__init__(status)
        self.status = status
        self.late = late
        self.stopped = stopped
        self.innocent = used and not late and not stopped and status != -signal.SIGXCPU

    def verdict(self, name: str) -> Unreadable:
        """What that says about the document that it read."""
        step = "Split it or save it anew."
        if self.stopped:
            return Unreadable(f"{name} was not read to its end: the program ends.", "It is read at the next start.")
        if self.late:
            return Unreadable(f"{name} was not read within {TIMEOUT:.0f} s.", step)
        if self.status == -signal.SIGXCPU:
            return Unreadable(f"{name} was not read within {CPU_SECONDS} s of computing.", step)
        if self.status == -signal.SIGKILL:
            return Unreadable(f"{name} was given up: this machine has too little memory for it.", step)
        if self.status == OUT_OF_MEMORY:
            return Unreadable(f"{name} would need more than {MEMORY // 1024**3} GB of memory to be read.", step)
        return Unreadable(f"{name} is damaged: what reads such files broke down.", "Save it anew, and try again.")


class _Child:
    """A process of inference/grounding/parse_child.py. Its environment holds the module path: no secrets to leak."""

    def __init__(self) -> None:
        modules = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-X", "utf8", "-m", "inference.grounding.parse_child", str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": modules, "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._to, self._from = process, process.stdin, process.stdout
        self._used = self._stopped = False

    def read(self, request: Mapping[str, Any], data: bytes) -> Reading:
        """Raises `_Ended` when it is no more, `ParseError` for what is wrong with the document."""
        late = threading.Event()
        timer = threading.Timer(TIMEOUT, self._too_late, (late,))
        timer.start()
        used, self._used = self._used, True
        try:
            return self._answer(request, data)
        except (BrokenPipeError, EOFError):
            raise _Ended(self._status(), late=late.is_set(), stopped=self._stopped, used=used) from None
        finally:
            timer.cancel()

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except BrokenPipeError:
                pass  # half a request was still on its way

    def stop(self) -> None:
        """End it from another thread than the one that reads by it."""
        self._stopped = True
        self._process.kill()

    def _too_late(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _status(self) -> int:
        """How it ended; it closes its pipe a moment before."""
        try:
            return self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _answer(self, request: Mapping[str, Any], data: bytes) -> Reading:
        self._to.write(json.dumps(request).encode() + b"\n")
        self._to.write(data)
        self._to.flush()
        said = self._line()
        if "error" in said:
            raise _ERRORS[said["error"]](said["problem"], said["next_step"])
        passages: list[NewPassage] = []
        while len(passages) < said["passages"]:
            passages += [_passage(*one) for one in self._line()]
        return Reading(title=said["title"], passages=tuple(passages), unread=tuple(said["unread"]))

    def _line(self) -> Any:
        line = self._from.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)


def _passage(heading: str, start: int, end: int, text: str, words: str, bigrams: str) -> NewPassage:
    terms = SearchTerms(words=tuple(words.split()), bigrams=tuple(bigrams.split()))
    return NewPassage(heading=heading, start=start, end=end, text=text, terms=terms)
