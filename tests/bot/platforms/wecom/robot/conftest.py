"""A simulated WeCom and a robot that is connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import copy

import pytest

from storage.database import Database
from storage.migrations import migrate
from tests.bot.platforms.wecom.robot.stage import Bot, House, running
from tests.simulators.wecom import WecomSimulator


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once."""
    path = tmp_path_factory.mktemp("robot") / "moqi.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def db(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    copy(migrated, tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def house(db: Database) -> House:
    return House(db)


@pytest.fixture
async def bot(wecom: WecomSimulator, house: House) -> AsyncIterator[Bot]:
    async with running(wecom, house) as opened:
        yield opened
