"""Feishu's webhook: how fast events are acknowledged while a command is answered behind it, against a bare inbox.

Every event is signed and encrypted beforehand; every acknowledged one must be answered in the platform, once, also
when the server is killed in the middle.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.bare import WAYS
from benchmarks.common import Figure, figure, part, percentile
from benchmarks.load import Answers, Load, Running, http_request, post_all
from benchmarks.platform_process import Platform
from tests.journeys.moqi import ROOT, Moqi, free_port, until
from tests.simulators.feishu_events import App, message, signed

TITLE = "Feishu webhook, `/help` from 200 people in 200 chats"
PATH = "/feishu/events"
PEOPLE = 200
COMMAND = "/help"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    seconds: float  # of a flood, and of the pace
    pace: float  # events a second
    crash: int  # events around the kill


FULL = Size(rounds=4, seconds=1.2, pace=100.0, crash=400)
QUICK = Size(rounds=1, seconds=0.3, pace=20.0, crash=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """Events with the bytes that post them."""

    ids: list[tuple[str, str]]  # message id, chat id
    requests: list[bytes]


def prepare(count: int, *, bare: bool = False) -> Events:
    """`count` events: signed and encrypted, or as plain JSON for the bare inbox."""
    app, ids, requests = App(), [], []
    for number in range(count):
        name, person = f"om_{secrets.token_hex(16)}", number % PEOPLE
        ids.append((name, f"oc_{person}"))
        content = message(app, COMMAND, message_id=name, sender=f"ou_{person}", chat_id=f"oc_{person}")
        if bare:
            requests.append(http_request(PATH, {"Content-Type": "application/json"}, json.dumps(content).encode()))
        else:
            headers, body = signed(app, content)
            requests.append(http_request(PATH, headers, body))
    return Events(ids=ids, requests=requests)


def run(quick: bool = False) -> list[Figure]:
    """Floods in turns, then the pace, then the kill."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _floods(folder, size)
        with _moqi(folder / "steady") as (moqi, platform):
            found += _pace(moqi, platform, size)
            found += _crash(moqi, platform, size)
        return found


def _floods(folder: Path, size: Size) -> list[Figure]:
    """16 connections as fast as they are answered. A fresh server for each round: no backlog of the last one."""
    bare: dict[str, list[Answers]] = {way: [] for way in WAYS}
    ours: list[Answers] = []
    for turn in range(size.rounds):
        for way in WAYS:
            with _bare(way, folder / f"{way}{turn}.db") as port:
                bare[way].append(_flood(port, prepare(_enough(size), bare=True), size))
        with _moqi(folder / f"flood{turn}") as (moqi, platform):
            events = prepare(_enough(size))
            platform.remember(events.ids)
            ours.append(_flood(moqi.port, events, size))
            until(lambda: _open_events(moqi) == 0, "every event to be dealt with")
    best = max(bare.values(), key=lambda rounds: sum(map(_rate, rounds)))
    pairs = zip(ours, zip(*bare.values(), strict=True), strict=True)
    ratios = [_rate(mine) / max(map(_rate, theirs)) for mine, theirs in pairs]
    return [
        *(figure(f"bare inbox ({way}), 16 connections", [*map(_rate, found)], "1/s") for way, found in bare.items()),
        figure("Moqi, 16 connections", [*map(_rate, ours)], "1/s"),
        figure("Moqi / the faster bare inbox, round by round", ratios, "", at_least=0.7),
        *_latency("bare inbox, 16 connections", best),
        *_latency("Moqi, 16 connections", ours),
    ]


def _enough(size: Size) -> int:
    """More events than can be posted in a round."""
    return int(4000 * size.seconds)


def _flood(port: int, events: Events, size: Size) -> Answers:
    answers = post_all(Load(port=port, requests=events.requests, seconds=size.seconds))
    _all_ok(answers, events)
    return answers


def _all_ok(answers: Answers, events: Events) -> None:
    if set(answers.statuses) != {200}:
        raise RuntimeError(f"unexpected answers: {sorted(set(answers.statuses))}")
    if len(answers.statuses) == len(events.requests) and len(answers.statuses) > 1000:
        raise RuntimeError("the prepared events ran out before the time did: the rate would be wrong")


def _rate(answers: Answers) -> float:
    return len(answers.seconds) / answers.wall


def _latency(name: str, rounds: Sequence[Answers], at_most: float | None = None) -> list[Figure]:
    p50 = [1000 * percentile(each.seconds, 50) for each in rounds]
    p99 = [1000 * percentile(each.seconds, 99) for each in rounds]
    return [figure(f"{name}: p50", p50, "ms"), figure(f"{name}: p99", p99, "ms", at_most=at_most)]


def _pace(moqi: Moqi, platform: Platform, size: Size) -> list[Figure]:
    """A steady stream, answered in the platform while it lasts; times count from the planned instant."""
    rounds = []
    for _ in range(min(size.rounds, 3)):
        events = prepare(int(size.pace * size.seconds * 4))
        platform.remember(events.ids)
        found = post_all(Load(port=moqi.port, requests=events.requests, rate=size.pace))
        _all_ok(found, events)
        rounds.append(found)
        _answered(platform, events, found)
    return _latency(f"Moqi, {size.pace:g} events a second", rounds, at_most=50.0)


def _crash(moqi: Moqi, platform: Platform, size: Size) -> list[Figure]:
    """kill -9 in the middle of a stream, start again: what was acknowledged is answered, and answered once."""
    events = prepare(size.crash)
    platform.remember(events.ids)
    load = Running(Load(port=moqi.port, requests=events.requests, rate=size.crash / 4))
    load.go()
    until(lambda: len(_told(platform, events)) >= size.crash / 8, "the first answers")
    moqi.kill()
    moqi.start()
    found = load.result()
    twice = _answered(platform, events, found)
    moqi.stop()
    moqi.verify()
    lost = len(events.requests) - len(found.acknowledged)
    return [
        figure("kill -9 in a stream: acknowledged", [len(found.acknowledged)], "events"),
        figure("… not acknowledged (the platform sends them again)", [lost], "events"),
        figure("… acknowledged without an answer", [0], "events", at_most=0),
        figure("… answered more than once", [twice], "events", at_most=0),
    ]


def _answered(platform: Platform, events: Events, found: Answers) -> int:
    """Wait until every acknowledged event is answered; how many were answered more than once."""
    wanted = {events.ids[index][0] for index in found.acknowledged}
    until(lambda: wanted <= _told(platform, events), "an answer to every acknowledged event")
    return sum(count > 1 for name, count in platform.replies().items() if name in wanted)


def _told(platform: Platform, events: Events) -> set[str]:
    return set(platform.replies()) & {name for name, _ in events.ids}


@contextmanager
def _moqi(folder: Path) -> Iterator[tuple[Moqi, Platform]]:
    """A real server, listening with its model loaded, and the platform it answers in."""
    folder.mkdir()
    with Platform() as platform:
        moqi = Moqi(folder, settings={"platforms": {"feishu": platform.settings}})
        moqi.start()
        try:
            moqi.ready()
            until(lambda: _measured(moqi), "the first picture, which the server draws to measure itself")
            yield moqi, platform
        finally:
            moqi.stop()


@contextmanager
def _bare(way: str, file: Path) -> Iterator[int]:
    """The bare inbox in its process; its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", way, str(port), str(file)], cwd=ROOT)
    try:
        until(lambda: _listens(port), "the bare inbox to listen")
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def _measured(moqi: Moqi) -> bool:
    text = httpx.get(f"{moqi.url}/metrics").text
    return 'moqi_seconds_per_work{kind="draw"} 0.0' not in text


def _open_events(moqi: Moqi) -> int:
    """Events kept and not dealt with yet, read from the server's own file."""
    from sqlcipher3 import dbapi2

    with dbapi2.connect(str(moqi.data / "moqi.db")) as connection:
        (count,) = connection.execute("select count(*) from inbox where handled_at is null").fetchone()
    connection.close()
    return int(count)


if __name__ == "__main__":
    part(run, TITLE)
