"""Wakes reservations: a look at the table every two seconds, and alarms to the second for what is due soon.

Alarms live in memory and may be lost, doubled or late: the sweep finds in the table what they missed, and firing checks
everything again. The sweep sleeps by the clock that is never set and reads the wall clock each time, so that setting
the clock forward costs two seconds at most, and setting it back fires nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from scheduler import firing
from scheduler.clock import Clock
from scheduler.firing import Front
from scheduler.policy import Policy
from scheduler.progress import Signal
from storage import reservations
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.records import Occurrence, utcnow

log = logging.getLogger("moqi.alarms")

SWEEP = 2.0  # seconds between two looks
AHEAD = timedelta(seconds=15)  # what is due within this gets an alarm of its own
ROWS = 5000  # looked at in one sweep; what is due is fired, so the next one sees the rest
REST = 60.0  # until one that met a defect twice is tried again
TOGETHER = 25  # fired in one transaction: one flush to the disk for all, and others wait for no more than these


class Alarms:
    """Fires reservations when they are due."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        front: Callable[[], Front],
        policy: Callable[[], Policy],
        fired: Callable[[Sequence[Occurrence]], None],
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._db = db
        self._clock = clock
        self._front = front
        self._policy = policy
        self._fired = fired  # told after the commit: wakes workers and the sender
        self._now = now
        self._wake = Signal()
        self._due: dict[int, None] = {}  # in the order they rang
        self._armed: dict[int, datetime] = {}
        self._resting: dict[int, float] = {}
        self._stopping = False

    async def run(self) -> None:
        """Until `stop`."""
        self._wake.attach(asyncio.get_running_loop())
        sweep_at = 0.0
        while not self._stopping:
            try:
                if time.monotonic() >= sweep_at:
                    await self._sweep()
                    sweep_at = time.monotonic() + SWEEP
                await self._fire_due()
            except StorageError:
                log.exception("reservations not fired; trying again", extra={"action": "firing-failed"})
                self._due.clear()  # the sweep finds them again
                sweep_at = time.monotonic() + SWEEP
            if not self._due:
                await self._wake.wait(max(0.01, sweep_at - time.monotonic()))

    def stop(self) -> None:
        """Fire nothing more and return from `run`; what is due then is found at the next start."""
        self._stopping = True
        self._wake.give()

    def arm(self, reservation_id: int, at: datetime) -> None:
        """Ring for a reservation at `at`, if that is soon; later ones are found by the sweep in time."""
        if at > self._now() + AHEAD or self._armed.get(reservation_id) == at:
            return
        self._armed[reservation_id] = at
        self._clock.arm(f"r{reservation_id}", at, partial(self._ring, reservation_id))

    async def _ring(self, reservation_id: int) -> None:
        self._armed.pop(reservation_id, None)
        self._due[reservation_id] = None
        self._wake.give()

    async def _sweep(self) -> None:
        self._clock.notice_steps()
        now = self._now()
        for reservation_id, at in await self._db.read(reservations.due, now + AHEAD, ROWS):
            if at <= now and self._resting.get(reservation_id, 0.0) < time.monotonic():
                self._due[reservation_id] = None
            elif at <= now:
                continue
            else:
                self.arm(reservation_id, at)

    async def _fire_due(self) -> None:
        while self._due and not self._stopping:
            ids = list(self._due)[:TOGETHER]
            for reservation_id in ids:
                del self._due[reservation_id]
            point("reservation-due")
            fates = await self._fire(ids)
            point("reservation-fired")
            if fates:
                self._fired(fates)

    async def _fire(self, ids: Sequence[int]) -> list[Occurrence]:
        """Fire these; one that meets a defect does not hold up the others, and is not tried for ever."""
        try:
            return await self._db.run(firing.fire_all, ids, self._front(), self._policy(), self._now())
        except StorageError:
            raise
        except Exception:  # the loop's one net
            if len(ids) > 1:
                return [fate for one in ids for fate in await self._fire([one])]
            log.exception("reservation %d failed", ids[0], extra={"action": "firing-failed", "reservation": ids[0]})
            return await self._give_up(ids[0])

    async def _give_up(self, reservation_id: int) -> list[Occurrence]:
        try:
            fate = await self._db.run(firing.give_up, reservation_id, self._front(), self._now())
        except StorageError:
            raise
        except Exception:  # not even that: it stays due, is shown by `moqi verify`, and is not tried all the time
            log.exception("reservation %d stays due", reservation_id, extra={"action": "firing-failed"})
            self._resting[reservation_id] = time.monotonic() + REST
            return []
        return [] if fate is None else [fate]
