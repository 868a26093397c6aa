"""APScheduler as an alarm clock: it says when to look, the tables say what there is to do.

Everything it knows lives in memory; it is told again at every start. A missed or doubled ring changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from storage.errors import StorageError

log = logging.getLogger("moqi.clock")

Chore = Callable[[], Awaitable[object]]


class Clock:
    """Rings for recurring chores."""

    def __init__(self, chores: Mapping[str, tuple[float, Chore]]) -> None:
        # coalesce, no grace limit: late is better than never, and once is enough however many were missed.
        defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(
            executors={"default": AsyncIOExecutor()}, job_defaults=defaults, timezone="UTC"
        )
        for name, (seconds, chore) in chores.items():
            self._scheduler.add_job(_careful(name, chore), "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        """Begin to ring, on the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def _careful(name: str, chore: Chore) -> Callable[[], Awaitable[None]]:
    """A chore that cannot reach the database now is done at its next ring."""

    async def run() -> None:
        try:
            await chore()
        except StorageError:
            log.exception("%s failed; it is tried again at its next turn", name, extra={"action": "chore-failed"})

    return run
