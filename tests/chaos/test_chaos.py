"""The minute of `make chaos` that every run of the tests has: kill -9 at every point, and once on PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.chaos import ringing
from tests.chaos.__main__ import Tally, finish, fresh, suffer
from tests.chaos.faults import KILLS, OTHERS, database_locked, whatever_happens
from tests.chaos.site import Site
from tests.simulators.feishu import FeishuSimulator

SEED = 4


def endured(folder: Path, names: Iterable[str], database_url: str = "") -> Tally:
    """What became of these faults, one after the other on one installation."""
    tally = Tally()
    every = KILLS | OTHERS | {"database locked": database_locked}
    with FeishuSimulator(limits=False) as feishu:
        site = Site(folder, feishu, random.Random(SEED), database_url=database_url)
        with whatever_happens(site):
            for name in names:
                suffer(site, every[name], name, tally)
            finish(site, tally)
    assert not tally.broken
    return tally


@pytest.mark.timeout(600)
def test_kill_9_at_every_point_loses_nothing_and_posts_nothing_twice(tmp_path: Path) -> None:
    assert endured(tmp_path, KILLS).kills == len(KILLS)


@pytest.mark.timeout(600)
def test_a_kill_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    tally = endured(tmp_path, ["kill reservation-firing"], fresh(postgres_url))
    assert tally.kills == 1


@pytest.mark.timeout(600)
def test_an_engine_and_a_platform_that_misbehave(tmp_path: Path) -> None:
    names = ["engine out of memory", "engine meets a defect", "platform cuts", "events repeated"]
    assert sum(endured(tmp_path, names).done.values()) == len(names)


@pytest.mark.timeout(600)
def test_reservations_due_at_once_fire_once_though_their_processes_are_killed(tmp_path: Path) -> None:
    rang = ringing.run(f"sqlite:///{tmp_path / 'moqi.db'}", 60, 3.0, 2, random.Random(SEED))
    assert rang.held, str(rang)
    assert rang.kills == 2
