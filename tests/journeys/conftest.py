"""Running installations for the journeys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.moqi import Moqi
from tests.simulators.feishu import FeishuSimulator


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    """A platform of our own; its limit per chat is off where a journey posts much into one chat."""
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture
def moqi(tmp_path: Path, feishu: FeishuSimulator) -> Iterator[Moqi]:
    """An installation that serves the web and Feishu; not started."""
    installed = Moqi(tmp_path, settings={"platforms": {"feishu": feishu.settings}})
    feishu.bot_url = f"{installed.url}/feishu/events"
    yield installed
    installed.stop()
