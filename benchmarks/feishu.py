"""Feishu by both ways: how long until an event is acknowledged and answered, what a cut costs, what Feishu costs.

The simulator runs in a process of its own; the server is a real `moqi serve`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.feishu_process import Drive, Platform, Seen
from benchmarks.start import answers_after, memory, server, without_torch
from tests.journeys.moqi import Moqi

TITLE = "Feishu, `/help` from 200 people, over the long connection and by webhook"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is measured."""

    seconds: float  # of a pace
    paces: tuple[float, ...]  # events a second
    cuts: int  # to measure how long coming back takes
    events: int  # of the bad day
    bad: int  # cuts on it
    starts: int


FULL = Size(seconds=10, paces=(20, 100), cuts=10, events=1000, bad=20, starts=3)
QUICK = Size(seconds=1, paces=(20,), cuts=1, events=40, bad=2, starts=1)


def run(quick: bool = False) -> list[Figure]:
    """The paces by both ways, then cuts, then the bad day, then what Feishu costs."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Platform() as platform, _moqi(folder / "webhook", platform.webhook) as moqi:
            found = _paces("webhook", platform, size, f"{moqi.url}/feishu/events")
        with Platform() as platform, _moqi(folder / "dialled", platform.dialled) as moqi:
            platform.connected()
            found += _paces("long connection", platform, size, "")
            back = [platform.reconnect() for _ in range(size.cuts)]
            found += [figure("a cut → connected again, up to 2 s of it by chance", back, "s", at_most=3.0)]
            found += _bad_day(platform, size)
            moqi.stop()
            moqi.verify()
        return found + _costs(folder, size)


def _paces(way: str, platform: Platform, size: Size, url: str) -> list[Figure]:
    platform.drive(Drive(count=20, rate=20, url=url))  # the first ones find everything cold
    found = []
    for pace in size.paces:
        seen = platform.drive(Drive(count=int(pace * size.seconds), rate=pace, url=url))
        _whole(seen)
        name = f"{way}, {pace:g} events a second"
        found += _percentiles(f"{name}: acknowledged", seen.acknowledged)
        found += _percentiles(f"{name}: first card", seen.shown)
    return found


def _percentiles(name: str, seconds: list[float]) -> list[Figure]:
    return [figure(f"{name}, p{p}", [1000 * percentile(seconds, p)], "ms") for p in (50, 99)]


def _whole(seen: Seen) -> None:
    if seen.lost or seen.twice or seen.again:
        raise RuntimeError(f"{seen.lost} lost, {seen.twice} answered twice, {seen.again} not acknowledged at once")


def _bad_day(platform: Platform, size: Size) -> list[Figure]:
    seen = platform.drive(Drive(count=size.events, rate=25, cuts=size.bad))  # a cut every two seconds
    name = f"{size.events} events with {size.bad} cuts"
    return [
        figure(f"{name}: sent again", [seen.again], "events"),
        figure(f"{name}: lost", [seen.lost], "events", at_most=0),
        figure(f"{name}: answered twice", [seen.twice], "events", at_most=0),
    ]


def _costs(folder: Path, size: Size) -> list[Figure]:
    """Start and memory without torch, where the difference would show: Feishu off, by webhook, dialling out."""
    blocked = without_torch(folder / "blocked")
    starts: dict[str, list[float]] = {}
    resident: dict[str, list[float]] = {}
    with Platform() as platform:
        for number in range(size.starts):
            sections = {"off": {"enabled": False}, "webhook": platform.webhook, "long connection": platform.dialled}
            for way, section in sections.items():
                config = _config(folder / f"config {way} {number}", section)
                more = {"PYTHONPATH": str(blocked), "MOQI_CONFIG": str(config)}
                with server(folder / f"cost {way} {number}", **more) as (port, began, process):
                    starts.setdefault(way, []).append(answers_after(port, "/healthz", began))
                    if way == "long connection":
                        platform.connected()
                    time.sleep(4.0 if size.starts > 1 else 0.5)  # the sample documents are read: at rest after that
                    resident.setdefault(way, []).append(memory(process.pid))
    return [
        *(figure(f"process start → listening, Feishu {way}", found, "s") for way, found in starts.items()),
        *(figure(f"memory at rest without torch, Feishu {way}", found, "MB") for way, found in resident.items()),
    ]


def _config(folder: Path, section: dict[str, Any]) -> Path:
    folder.mkdir()
    text = yaml.safe_dump({"web": {"enabled": True}, "feishu": section}, allow_unicode=True)
    (folder / "platforms.yaml").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def _moqi(folder: Path, section: dict[str, Any]) -> Iterator[Moqi]:
    folder.mkdir()
    moqi = Moqi(folder, settings={"platforms": {"feishu": section}})
    moqi.start()
    try:
        moqi.ready()
        yield moqi
    finally:
        moqi.stop()


if __name__ == "__main__":
    part(run, TITLE)
