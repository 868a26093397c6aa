"""The WeCom simulator in a process of its own, which lets people write by every way and measures what comes back."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.simulators.wecom import Posted, WecomSimulator

PATIENCE = 90.0  # seconds until every message must be answered
SENDERS = 32
COMMAND = "/help"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """Messages to send, `/help` from so many people."""

    way: str  # app | callback | connection
    count: int
    rate: float  # a second
    people: int = 200
    url: str = ""  # where they are posted
    cuts: int = 0  # of the connection, spread over them


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came of them, in seconds."""

    acknowledged: list[float]  # of posted ones, from the post to its answer
    shown: list[float]  # from the message to the first thing that its writer saw
    refused: int  # that were not acknowledged at the first try
    missed: int  # pushed to us again after a cut, because nobody was connected
    lost: int  # without an answer
    twice: int  # with more than one
    strange: list[str]  # what no client should send


class Platform:
    """A running simulator without rate limits of its own: ours are what is measured."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.dialled: dict[str, Any]  # the robot over the long connection, and the app
        self.posted: dict[str, Any]  # the robot in callback mode, and the app
        self.dialled, self.posted = self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.send(None)
        self._process.join()

    def connected(self) -> None:
        """Wait until the robot's long connection stands."""
        self.ask("connected")

    def drive(self, drive: Drive) -> Seen:
        """Let people write, and wait until each is answered."""
        seen: Seen = self.ask(drive)
        return seen

    def reconnect(self) -> float:
        """Cut the connection; seconds until the next one is subscribed."""
        return float(self.ask("reconnect"))

    def verify(self, url: str) -> list[float]:
        """Seconds that the verification of an address takes, again and again."""
        return list(self.ask(("verify", url)))

    def ask(self, what: object) -> Any:
        """Have something done over there."""
        self._pipe.send(what)
        return self._pipe.recv()


def _serve(pipe: Any) -> None:
    with WecomSimulator() as wecom:
        wecom.limits = False
        wecom.gateway.replays = True
        pipe.send((wecom.settings, {"app": wecom.app_settings, "aibot": wecom.callback_settings}))
        while (asked := pipe.recv()) is not None:
            match asked:
                case Drive():
                    pipe.send(_drive(wecom, asked))
                case "reconnect":
                    pipe.send(_reconnect(wecom))
                case ("verify", str(url)):
                    pipe.send(_verify(wecom, url))
                case _:
                    wecom.connected(PATIENCE)
                    pipe.send(True)


def _verify(wecom: WecomSimulator, url: str) -> list[float]:
    wecom.app.url = url
    found = []
    for _ in range(50):
        began = time.perf_counter()
        said, why = wecom.verify()
        if not said:
            raise RuntimeError(f"the address did not prove itself: {why}")
        found.append(time.perf_counter() - began)
    return found


def _reconnect(wecom: WecomSimulator) -> float:
    wecom.connected()
    began = time.perf_counter()
    wecom.gateway.cut()
    wecom.wait(lambda: wecom.gateway.of(wecom.robot) is None, PATIENCE)
    wecom.connected(PATIENCE)
    return time.perf_counter() - began


def _drive(wecom: WecomSimulator, drive: Drive) -> Seen:
    users = [f"{drive.way}{number % drive.people}" for number in range(drive.count)]
    for user in set(users):
        wecom.join(user)
    if drive.way == "app":
        wecom.app.url = drive.url
    wecom.robot.url = drive.url if drive.way == "callback" else ""
    seen_before, strange_before = len(wecom.messages), len(wecom.strange)
    wrote: dict[str, list[float]] = {user: [] for user in users}
    acknowledged: list[float] = []
    refused: list[int] = []
    began = time.perf_counter() + 0.5

    def one(index: int) -> None:
        time.sleep(max(0.0, began + index / drive.rate - time.perf_counter()))
        user = users[index]
        wrote[user].append(wecom.now())
        if drive.way == "app":
            posted: Posted = wecom.app_says(COMMAND, user=user)
            (acknowledged if posted.statuses == [200] else refused).append(posted.seconds[0])  # type: ignore[arg-type]
        else:
            asked = wecom.say(COMMAND, user=user)
            if drive.way == "callback":
                (acknowledged if asked.statuses[:1] == [200] else refused).append(asked.seconds[0])  # type: ignore[arg-type]
            elif not asked.delivered:
                refused.append(index)

    with _cutting(wecom, drive), ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(drive.count)))
    answers = _answers(wecom, wrote, seen_before)
    shown = [
        at - written
        for user, times in answers.items()
        for at, written in zip(sorted(times), sorted(wrote[user]), strict=False)
    ]
    return Seen(
        acknowledged=acknowledged,
        shown=shown,
        refused=0 if drive.way == "connection" else len(refused),
        missed=len(refused) if drive.way == "connection" else 0,
        lost=sum(max(0, len(wrote[user]) - len(times)) for user, times in answers.items()),
        twice=sum(max(0, len(times) - len(wrote[user])) for user, times in answers.items()),
        strange=wecom.strange[strange_before:],
    )


def _answers(wecom: WecomSimulator, wrote: dict[str, list[float]], after: int) -> dict[str, list[float]]:
    """When each person's answers came, once there are as many as messages and no more come."""
    end, before = time.monotonic() + PATIENCE, Counter[str]()
    wanted = {user: len(times) for user, times in wrote.items()}
    while time.monotonic() < end:
        time.sleep(0.5)
        found = Counter(message.chat for message in wecom.messages[after:] if message.chat in wanted)
        if all(found[user] >= count for user, count in wanted.items()) and found == before:
            break
        before = found
    answers: dict[str, list[float]] = {user: [] for user in wrote}
    for message in wecom.messages[after:]:
        if message.chat in answers:
            answers[message.chat].append(message.at)
    return answers


@contextmanager
def _cutting(wecom: WecomSimulator, drive: Drive) -> Iterator[None]:
    """Cut the connection again and again while the block runs."""
    over = threading.Event()

    def cut() -> None:
        for _ in range(drive.cuts):
            if over.wait(drive.count / drive.rate / (drive.cuts + 1)):
                return
            wecom.connected(PATIENCE)
            wecom.gateway.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        yield
    finally:
        cutter.join(PATIENCE)
        over.set()
        cutter.join()
