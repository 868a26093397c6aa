"""APScheduler as an alarm clock: it says when to look, the tables say what there is to do.

Everything it knows lives in memory; it is told again at every start. A missed or doubled ring changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from storage.errors import StorageError
from storage.records import utcnow

log = logging.getLogger("moqi.clock")

STEP = 1.0  # seconds that the clock may be set back without a word: smaller corrections happen all the time

Chore = Callable[[], Awaitable[object]]


class Clock:
    """Rings for recurring chores."""

    def __init__(self, chores: Mapping[str, tuple[float, Chore]]) -> None:
        # coalesce, no grace limit: late is better than never, and once is enough however many were missed.
        defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(
            executors={"default": AsyncIOExecutor()}, job_defaults=defaults, timezone="UTC"
        )
        self._chores = tuple(chores)
        for name, (seconds, chore) in chores.items():
            self._scheduler.add_job(_careful(name, chore), "interval", seconds=seconds, id=name, name=name)
        self._ahead = _ahead()

    def start(self) -> None:
        """Begin to ring, on the running event loop."""
        self._scheduler.start()

    def arm(self, name: str, at: datetime, ring: Callable[[], Awaitable[None]]) -> None:
        """Ring once at `at`, in place of an earlier alarm of this name. Only as good as the wall clock stays."""
        self._scheduler.add_job(ring, "date", run_date=at, id=name, name=name, replace_existing=True)

    def notice_steps(self) -> bool:
        """Whether the wall clock was set back since the last look; then every chore is done now.

        Chores are due at times of the wall clock: set back by an hour, they would all rest for an hour.
        """
        ahead, before = _ahead(), self._ahead
        self._ahead = ahead
        if ahead > before - STEP:
            return False
        log.warning("the clock was set back by %.0f s", before - ahead, extra={"action": "clock-set-back"})
        for name in self._chores:
            self._scheduler.modify_job(name, next_run_time=utcnow())
        return True

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def _ahead() -> float:
    """Seconds that the wall clock is ahead of the one that is never set."""
    return time.time() - time.monotonic()


def _careful(name: str, chore: Chore) -> Callable[[], Awaitable[None]]:
    """A chore that cannot reach the database now is done at its next ring."""

    async def run() -> None:
        try:
            await chore()
        except StorageError:
            log.exception("%s failed; it is tried again at its next turn", name, extra={"action": "chore-failed"})

    return run
