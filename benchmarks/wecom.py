"""WeCom by its three ways: how long until a message is acknowledged and answered, and what a cut costs.

The simulator runs in a process of its own; the server is a real `moqi serve`. What is written while nobody is
connected is pushed by the simulator to the next connection; WeCom does not say whether it does that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.wecom_process import Drive, Platform, Seen
from tests.journeys.moqi import Moqi

TITLE = "WeCom, `/help` from 200 people, to the app, to the robot by callbacks and over the long connection"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is measured."""

    seconds: float  # of a pace
    burst: float  # of one to the robot by callbacks, each of whose answers WeCom asks for once a second as well
    paces: tuple[float, ...]  # messages a second
    cuts: int  # to measure how long coming back takes
    events: int  # of the bad day
    bad: int  # cuts on it


FULL = Size(seconds=10, burst=2, paces=(20, 100), cuts=10, events=1000, bad=20)
QUICK = Size(seconds=1, burst=1, paces=(20,), cuts=1, events=40, bad=2)


def run(quick: bool = False) -> list[Figure]:
    """The paces by every way, the verification of an address, then cuts, then the bad day."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Platform() as platform, _moqi(folder / "posted", platform.posted) as moqi:
            app, robot = f"{moqi.url}/wecom/app", f"{moqi.url}/wecom/aibot"
            found = _paces("the app's callback", "app", platform, size, app)
            found += _paces("the robot's callback, a burst", "callback", platform, size, robot)
            proofs = platform.verify(app)
            found += _percentiles("the address proves itself (WeCom waits 1 s)", proofs)
        with Platform() as platform, _moqi(folder / "dialled", platform.dialled) as moqi:
            platform.connected()
            found += _paces("long connection", "connection", platform, size, "")
            back = [platform.reconnect() for _ in range(size.cuts)]
            found += [figure("a cut → connected and subscribed again", back, "s")]
            found += _bad_day(platform, size)
            moqi.stop()
            moqi.verify()
        return found


def _paces(name: str, way: str, platform: Platform, size: Size, url: str) -> list[Figure]:
    platform.drive(Drive(way=way, count=20, rate=20, url=url))  # the first ones find everything cold
    found = []
    for pace in size.paces:
        seconds = size.burst if way == "callback" else size.seconds
        seen = platform.drive(Drive(way=way, count=int(pace * seconds), rate=pace, url=url))
        _whole(seen)
        at = f"{name}, {pace:g} messages a second"
        if seen.acknowledged:
            limit = 50.0 if pace == 100 else None
            found += _percentiles(f"{at}: acknowledged", seen.acknowledged, limit)
        found += _percentiles(f"{at}: first answer", seen.shown)
    return found


def _percentiles(name: str, seconds: list[float], at_most: float | None = None) -> list[Figure]:
    limits = {50: None, 99: at_most}
    return [
        figure(f"{name}, p{p}", [1000 * percentile(seconds, p)], "ms", at_most=limit) for p, limit in limits.items()
    ]


def _whole(seen: Seen) -> None:
    if seen.lost or seen.twice or seen.refused or seen.strange:
        raise RuntimeError(f"{seen.lost} lost, {seen.twice} twice, {seen.refused} refused, {seen.strange[:3]}")


def _bad_day(platform: Platform, size: Size) -> list[Figure]:
    drive = Drive(way="connection", count=size.events, rate=25, people=size.events, cuts=size.bad)
    seen = platform.drive(drive)  # a cut every two seconds
    name = f"{size.events} messages with {size.bad} cuts"
    return [
        figure(f"{name}: while nobody was connected", [seen.missed], "messages"),
        figure(f"{name}: lost", [seen.lost], "messages", at_most=0),
        figure(f"{name}: told that the answer may be missing", [seen.doubts], "messages"),
        figure(f"{name}: answered twice", [seen.twice], "messages", at_most=0),
    ]


@contextmanager
def _moqi(folder: Path, section: dict[str, Any]) -> Iterator[Moqi]:
    folder.mkdir()
    moqi = Moqi(folder, settings={"platforms": {"wecom": section}})
    moqi.start()
    try:
        moqi.ready()
        yield moqi
    finally:
        moqi.stop()


if __name__ == "__main__":
    part(run, TITLE)
