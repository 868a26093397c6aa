"""The scenarios pass, and each planted bug makes one of them fail."""

from __future__ import annotations

import inspect

import pytest

from tests.chaos import live, scenarios
from tests.chaos.bugs import BUGS, Bug

SCENARIOS = {**scenarios.SCENARIOS, **live.SCENARIOS}


async def lived(name: str) -> None:
    """Run a scenario, of either kind."""
    found = SCENARIOS[name]()
    if inspect.isawaitable(found):
        await found


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_trap_does_nothing(name: str) -> None:
    await lived(name)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_seen(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        bug.plant(patch)
        with pytest.raises(bug.raises, match=bug.says):
            await lived(bug.seen_by)
