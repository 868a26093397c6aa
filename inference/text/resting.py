"""An engine that failed several times in a row is left alone for a while: people get the passages at once meanwhile,
instead of waiting each time for what does not come."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 3
REST = 60.0  # seconds


class Resting:
    """Counts failures one after another. `clock` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    def rests(self) -> bool:
        """Whether it is to be left alone now. After the rest one question tries it; the others wait for how it went."""
        if self._failures < FAILURES:
            return False
        if self._clock() < self._until:
            return True
        self._until = self._clock() + REST
        return False

    def failed(self) -> None:
        self._failures += 1
        self._until = self._clock() + REST

    def worked(self) -> None:
        self._failures = 0
