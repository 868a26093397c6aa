"""The state machine, in a few seconds; `make chaos` gives it more lives, and other ones each time."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.machine import Machine

LIVES = int(os.environ.get("CHAOS_LIVES", "0"))
QUICK = settings(
    max_examples=LIVES or 25,
    stateful_step_count=40,
    derandomize=not LIVES,
    database=None,
    deadline=None,
    # Without time to shrink: what is found is found again by its seed.
    phases=[Phase.generate, Phase.shrink] if LIVES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
def test_whatever_happens_nothing_is_lost_doubled_or_charged_wrongly() -> None:
    run_state_machine_as_test(Machine, settings=QUICK)
