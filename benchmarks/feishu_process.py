"""The Feishu simulator in a process of its own, which sends events by either way and measures what comes back."""

from __future__ import annotations

import http.client
import multiprocessing
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import message, signed

PEOPLE = 200
PATIENCE = 90.0  # seconds until every event must be answered
SENDERS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """Events to send: `/help` from 200 people in 200 chats."""

    count: int
    rate: float  # a second
    url: str = ""  # where they are posted; empty = over the long connection
    cuts: int = 0  # of the connection, spread over them


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came of them. Seconds count from the instant at which an event was due to be sent."""

    acknowledged: list[float]
    shown: list[float]  # until its answer was visible in the chat
    again: int  # events that were not acknowledged at the first try
    lost: int  # without an answer
    twice: int  # with more than one
    connections: int


class Platform:
    """A running simulator; its limit per chat is off, the limit of 50 calls a second is the client's own."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.webhook: dict[str, Any]
        self.dialled: dict[str, Any]
        self.webhook, self.dialled = self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.send(None)
        self._process.join()

    def connected(self) -> None:
        """Wait until the bot's long connection stands."""
        self._ask("connected")

    def drive(self, drive: Drive) -> Seen:
        """Send events and wait until each is answered."""
        seen: Seen = self._ask(drive)
        return seen

    def reconnect(self) -> float:
        """Cut the connection; seconds until the next one stands."""
        return float(self._ask("reconnect"))

    def _ask(self, what: object) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


def _serve(pipe: Any) -> None:
    with FeishuSimulator(limits=False) as feishu:
        pipe.send((feishu.settings, feishu.dialled))
        while (asked := pipe.recv()) is not None:
            if isinstance(asked, Drive):
                pipe.send(_drive(feishu, asked))
            elif asked == "reconnect":
                pipe.send(_reconnect(feishu))
            else:
                feishu.gateway.connected(seconds=PATIENCE)
                pipe.send(True)


def _reconnect(feishu: FeishuSimulator) -> float:
    feishu.gateway.connected()
    opened, began = feishu.gateway.opened, time.perf_counter()
    feishu.gateway.cut()
    feishu.gateway.wait(lambda gateway: gateway.opened > opened, PATIENCE)
    return time.perf_counter() - began


def _drive(feishu: FeishuSimulator, drive: Drive) -> Seen:
    people = [n % PEOPLE for n in range(drive.count)]
    names = [f"om_{secrets.token_hex(16)}" for _ in people]
    envelopes = [
        message(feishu.app, "/help", message_id=name, sender=f"ou_{person}", chat_id=f"oc_{person}")
        for name, person in zip(names, people, strict=True)
    ]
    send = _posting(feishu, envelopes, drive.url) if drive.url else _pushing(feishu, envelopes)
    acknowledged: list[float] = []
    failed: list[int] = []
    began, wall = time.perf_counter() + 0.5, time.time() + 0.5

    def one(index: int) -> None:
        due = began + index / drive.rate
        time.sleep(max(0.0, due - time.perf_counter()))
        ended = send(index)
        if ended:
            acknowledged.append(ended - due)
        else:
            failed.append(index)

    with _cutting(feishu, drive), ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(drive.count)))
    if failed:
        feishu.gateway.connected(seconds=PATIENCE)
        feishu.advance(8 * 3600)  # the ladder, to its end
    answers = _answers(feishu, names)
    shown = [answers[name][0] - wall - index / drive.rate for index, name in enumerate(names) if answers[name]]
    return Seen(
        acknowledged=acknowledged,
        shown=shown,
        again=len(failed),
        lost=sum(not answers[name] for name in names),
        twice=sum(len(answers[name]) > 1 for name in names),
        connections=feishu.gateway.opened,
    )


def _answers(feishu: FeishuSimulator, names: Sequence[str]) -> dict[str, list[float]]:
    """When the answers to each message came, once each has one and no more come."""
    end, before = time.monotonic() + PATIENCE, Counter[str]()
    while time.monotonic() < end:
        time.sleep(0.5)
        found = Counter(sent.parent_id for sent in feishu.visible())
        if all(found[name] for name in names) and found == before:
            break
        before = found
    times: dict[str, list[float]] = {name: [] for name in names}
    for sent in feishu.visible():
        if sent.parent_id in times:
            times[sent.parent_id].append(sent.at - feishu.now() + time.time())
    return times


def _pushing(feishu: FeishuSimulator, envelopes: Sequence[dict[str, Any]]) -> Callable[[int], float]:
    """Sends event number i over the long connection: the instant of its acknowledgement, 0 when there was none."""

    def send(index: int) -> float:
        return time.perf_counter() if feishu.push(envelopes[index]).acknowledged else 0.0

    return send


def _posting(feishu: FeishuSimulator, envelopes: Sequence[dict[str, Any]], url: str) -> Callable[[int], float]:
    """The same by posts over connections that are kept; signed and encrypted beforehand."""
    parts, kept = urlsplit(url), threading.local()
    bodies = [signed(feishu.app, envelope) for envelope in envelopes]
    for envelope in envelopes:
        feishu.write(envelope)

    def send(index: int) -> float:
        line: http.client.HTTPConnection | None = getattr(kept, "line", None)
        if line is None:
            line = kept.line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=3)
        headers, body = bodies[index]
        line.request("POST", parts.path, body, headers)
        response = line.getresponse()
        response.read()
        return time.perf_counter() if response.status == 200 else 0.0

    return send


@contextmanager
def _cutting(feishu: FeishuSimulator, drive: Drive) -> Iterator[None]:
    """Cut the connection again and again while the block runs."""
    over = threading.Event()

    def cut() -> None:
        for _ in range(drive.cuts):
            if over.wait(drive.count / drive.rate / (drive.cuts + 1)):
                return
            feishu.gateway.connected(seconds=PATIENCE)
            feishu.gateway.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        yield
    finally:
        cutter.join(PATIENCE) if drive.cuts else over.set()
        over.set()
        cutter.join()
