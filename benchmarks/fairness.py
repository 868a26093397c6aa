"""Fairness and honesty in simulated time, by the real queue: who is served how much, who waits, what was promised."""

from __future__ import annotations

import random
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.queueing import person
from benchmarks.simulation import Lane, Order, Ran, first_come, served
from storage.database import Database
from storage.migrations import migrate
from storage.records import User

T = TypeVar("T")

TITLE = "Fairness: simulated runs of the real queue, against first come, first served"

#: How many pictures each of 20 people keeps waiting, and how much work one of theirs is.
DEMAND = (1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30, 40, 60, 80, 120, 200)
SIZES = (0.5, 1.0, 2.0, 4.0)
PICTURE = 4.0  # seconds of one unit of work, before its noise
NOISE = 0.25  # standard deviation of a run's logarithm
HOUR = 3600.0


def run(quick: bool = False) -> list[Figure]:
    """Three seeds."""
    seeds = (1,) if quick else (1, 2, 3)
    found: dict[str, list[float]] = {}
    for seed in seeds:
        for measure in (_shares, _smallest, _promises):
            for name, value in measure(random.Random(seed), quick).items():
                found.setdefault(name, []).append(value)
    goals = {"Jain index of service, 20 people": {"at_least": 0.98}}
    return [figure(name, values, _unit(name), **goals.get(name, {})) for name, values in found.items()]


def _unit(name: str) -> str:
    return "s" if name.startswith("longest wait") else "%" if "within" in name else ""


def jain(service: Sequence[float]) -> float:
    """1 when all got the same, 1/n when one got everything."""
    return sum(service) ** 2 / (len(service) * sum(one * one for one in service))


def _shares(dice: random.Random, quick: bool) -> dict[str, float]:
    """Everybody always has something waiting, from 1 to 200 pictures: what does each get of the engine?"""
    runs = 60 if quick else 1000
    demand = [min(one, 5) for one in DEMAND] if quick else DEMAND

    def fair(conn: Connection, people: Sequence[User]) -> dict[int, float]:
        lane = Lane(conn, people)
        for who in _mixed(dice, demand):
            lane.order(_order(dice, lane.now, who))
        got = dict.fromkeys(range(len(demand)), 0.0)
        for _ in range(runs):
            job = lane.start()
            assert job is not None
            ran = lane.finish(job)
            got[ran.order.who] += ran.order.takes
            lane.order(_order(dice, lane.now, ran.order.who))
        return got

    got = _simulated(fair, len(demand))
    line, plain = deque(_order(dice, 0.0, who) for who in _mixed(dice, demand)), dict.fromkeys(got, 0.0)
    for _ in range(runs):
        order = line.popleft()
        plain[order.who] += order.takes
        line.append(_order(dice, 0.0, order.who))
    return {
        "Jain index of service, 20 people": jain(list(got.values())),
        "… first come, first served": jain(list(plain.values())),
    }


def _mixed(dice: random.Random, demand: Sequence[int]) -> list[int]:
    all_of_them = [who for who, amount in enumerate(demand) for _ in range(amount)]
    dice.shuffle(all_of_them)
    return all_of_them


def _order(dice: random.Random, at: float, who: int) -> Order:
    work = SIZES[who % len(SIZES)]
    return Order(at=at, who=who, work=work, takes=work * PICTURE * dice.lognormvariate(0, NOISE))


def _smallest(dice: random.Random, quick: bool) -> dict[str, float]:
    """Somebody who orders a picture now and then among colleagues, and one day one of these orders 200 at once."""
    span, many = (300.0, 20) if quick else (HOUR, 200)
    usual = [
        Order(at=at, who=who, work=1.0, takes=PICTURE * dice.lognormvariate(0, NOISE))
        for who, every in enumerate((120.0, 45.0, 45.0, 60.0, 60.0))
        for at in _arrivals(dice, every, span)
    ]
    flood = [Order(at=span / 10, who=5, work=1.0, takes=PICTURE * dice.lognormvariate(0, NOISE)) for _ in range(many)]

    def longest(ended: Sequence[Ran]) -> float:
        return max(ran.ended - ran.order.at for ran in ended if ran.order.who == 0)

    return {
        "longest wait of the smallest, without the flood": longest(_simulated(_all(usual), 6)),
        "longest wait of the smallest, 200 pictures of another": longest(_simulated(_all(usual + flood), 6)),
        "longest wait of the smallest, the same first come": longest(first_come(usual + flood)),
    }


def _promises(dice: random.Random, quick: bool) -> dict[str, float]:
    """A busy afternoon, with somebody who orders twenty at once: what was promised against what came."""
    span = 600.0 if quick else 2 * HOUR
    orders = [
        Order(at=at, who=who, work=work, takes=work * PICTURE * dice.lognormvariate(0, NOISE))
        for who in range(12)
        for at in _arrivals(dice, 75.0, span)
        for work in [dice.choice((0.5, 1.0, 2.0))]
    ]
    for at in _arrivals(dice, 1500.0, span):
        orders += [Order(at=at, who=12, work=1.0, takes=PICTURE * dice.lognormvariate(0, NOISE)) for _ in range(20)]
    ended = _simulated(_all(orders), 13)
    sure = [ran for ran in ended if ran.promised.low is not None]
    off = [abs((ran.promised.seconds or 0.0) - real(ran)) / real(ran) for ran in sure]
    held = [ran for ran in sure if (ran.promised.low or 0) <= real(ran) <= (ran.promised.high or 0)]
    return {
        "waiting time, |promised - real| / real: median": percentile(off, 50),
        "waiting time, |promised - real| / real: p90": percentile(off, 90),
        "real waiting times within the range that was shown": 100 * len(held) / len(sure),
    }


def real(ran: Ran) -> float:
    """Seconds from the order to its result."""
    return ran.ended - ran.order.at


def _arrivals(dice: random.Random, every: float, span: float) -> list[float]:
    times, at = [], dice.expovariate(1 / every)
    while at < span:
        times.append(at)
        at += dice.expovariate(1 / every)
    return times or [span / 2]


def _all(orders: Sequence[Order]) -> Callable[[Connection, Sequence[User]], list[Ran]]:
    return lambda conn, people: served(conn, people, orders)


def _simulated(act: Callable[[Connection, Sequence[User]], T], people: int) -> T:
    """Run it in one transaction on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'moqi.db'}"
        migrate(url)
        with Database.open(url) as db:
            return db.run_sync(lambda conn: act(conn, [person(conn, number) for number in range(people)]))


if __name__ == "__main__":
    part(run, TITLE)
