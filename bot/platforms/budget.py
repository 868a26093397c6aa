"""How fast we may call: at most so many in a moving window, per key. Pure but for the instants it is told.

What matters may use all of a window and waits for it. What only passes (progress) may use a part and never waits, so
that an outcome always finds room.
"""

from __future__ import annotations

from collections import deque


class Budget:
    """At most `limit` calls of one key in any `seconds`, of which `passing` may be calls that do not matter."""

    def __init__(self, limit: int, seconds: float, passing: int | None = None) -> None:
        self._limit = limit
        self._seconds = seconds
        self._passing = limit if passing is None else passing
        self._calls: dict[str, deque[float]] = {}  # the last `limit` instants, oldest first
        self._held: dict[str, float] = {}  # not before this instant, because the platform said so

    def wait(self, key: str, now: float) -> float:
        """Seconds until the next call of `key` may start."""
        calls = self._calls.get(key)
        full = calls[0] + self._seconds if calls is not None and len(calls) == self._limit else now
        return max(full, self._held.get(key, now), now) - now

    def room(self, key: str, now: float) -> bool:
        """Whether a call of `key` that only passes may start now."""
        return self.used(key, now) < self._passing and self._held.get(key, now) <= now

    def used(self, key: str, now: float) -> int:
        """How many calls of `key` count now, with those that wait."""
        return sum(1 for at in self._calls.get(key, ()) if at + self._seconds > now)

    def take(self, key: str, at: float) -> None:
        """Count a call that starts at `at`."""
        if len(self._calls) + len(self._held) > 1000:
            self._forget(at)
        self._calls.setdefault(key, deque(maxlen=self._limit)).append(at)

    def hold(self, key: str, until: float) -> None:
        """Let no call of `key` start before `until`."""
        self._held[key] = max(until, self._held.get(key, until))

    def _forget(self, now: float) -> None:
        self._calls = {key: calls for key, calls in self._calls.items() if calls[-1] + self._seconds > now}
        self._held = {key: until for key, until in self._held.items() if until > now}
