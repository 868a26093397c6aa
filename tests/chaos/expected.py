"""What must be true of the world after every act, told a second time and much simpler: units, jobs, due times.

It knows nothing of transactions, keys or leases' storage; it is told what was asked for and says what must come of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler import policy as rules
from tests.chaos.world import DAILY, GROUP, POLICY, SHARED, ZONE

#: One bucket of one account: user:1, day:2026-11-21.
Bucket = tuple[str, str]


@dataclass
class Work:
    """A job as it should stand."""

    user: int
    cost: int
    paid: dict[Bucket, int]
    state: str = "queued"
    attempt: int = 0
    lost: int = 0
    token: str = ""
    lease_until: datetime | None = None
    not_before: datetime | None = None
    cancel_asked: bool = False

    def waits(self, now: datetime) -> bool:
        return self.state == "queued" and (self.not_before is None or self.not_before <= now)


@dataclass
class Booked:
    """A reservation as it should stand. `step` None: it fires once, at `base`."""

    user: int
    in_group: bool
    cost: int
    base: datetime
    step: timedelta | None
    late_limit: timedelta | None
    state: str = "proposed"
    next_at: datetime | None = None
    fates: dict[datetime, str] = field(default_factory=dict)

    def after(self, moment: datetime) -> datetime | None:
        """The first due time after `moment`."""
        if self.step is None or self.base > moment:
            return self.base if self.base > moment else None
        return self.base + self.step * ((moment - self.base) // self.step + 1)

    def due(self, now: datetime) -> list[datetime]:
        """Every due time from the next one until now."""
        return list(self._due(now)) if self.is_due(now) else []

    def _due(self, now: datetime) -> Iterator[datetime]:
        moment = self.next_at
        while moment is not None and moment <= now:
            yield moment
            moment = self.after(moment)

    def is_due(self, now: datetime) -> bool:
        return self.state == "active" and self.next_at is not None and self.next_at <= now

    def leave_out(self, moments: list[datetime]) -> None:
        for moment in moments:
            self.fates.setdefault(moment, "skipped")


class Expected:
    """The books of a second clerk."""

    def __init__(self) -> None:
        self.left: dict[Bucket, int] = {}
        self.jobs: dict[int, Work] = {}
        self.booked: dict[int, Booked] = {}

    # -- units -----------------------------------------------------------------------------------------------------

    def grant(self, user: int, amount: int) -> None:
        bucket = (f"user:{user}", "extra")
        self.left[bucket] = self.left.get(bucket, 0) + amount

    def _price(self, user: int, in_group: bool, cost: int, now: datetime) -> dict[Bucket, int] | None:
        """What each would pay; None when somebody has not enough. Looking begins the day."""
        day = f"day:{now.astimezone(ZONE):%Y-%m-%d}"
        payers = {f"user:{user}": DAILY} | ({f"group:web:{GROUP}": SHARED} if in_group else {})
        paid: dict[Bucket, int] = {}
        enough = True
        for payer, allowance in payers.items():
            today = self.left.setdefault((payer, day), allowance)
            of_day = min(cost, today)
            of_extra = cost - of_day
            enough = enough and of_extra <= self.left.get((payer, "extra"), 0)
            paid |= {(payer, day): of_day} if of_day else {}
            paid |= {(payer, "extra"): of_extra} if of_extra else {}
        return paid if enough else None

    def order(self, user: int, in_group: bool, cost: int, now: datetime) -> dict[Bucket, int] | str:
        """What an order is paid with, or the code of its refusal."""
        paid = self._price(user, in_group, cost, now)
        if sum(job.state == "queued" for job in self.jobs.values() if job.user == user) >= POLICY.queue_per_user:
            return "too_many_waiting"
        return "quota" if paid is None else paid

    def accept(self, number: int, user: int, cost: int, paid: dict[Bucket, int]) -> None:
        for bucket, amount in paid.items():
            self.left[bucket] -= amount
        self.jobs[number] = Work(user, cost, paid)

    # -- jobs ------------------------------------------------------------------------------------------------------

    def end(self, number: int, state: str) -> None:
        """A job ends; but for a result its price goes back to where it came from."""
        job = self.jobs[number]
        job.state, job.token, job.lease_until = state, "", None
        if state != "done":
            for bucket, amount in job.paid.items():
                self.left[bucket] += amount

    def claim(self, number: int, token: str, now: datetime) -> None:
        job = self.jobs[number]
        assert job.waits(now), f"job {number} was claimed while it was {job}"
        job.state, job.token, job.lease_until = "running", token, now + POLICY.lease
        job.attempt += 1

    def prolong(self, token: str, now: datetime) -> None:
        """A heartbeat: for everything its batch still holds."""
        for job in self.jobs.values():
            if job.state == "running" and job.token == token:
                job.lease_until = now + POLICY.lease

    def back(self, number: int, *, lost: int = 0, attempt: int = 0, not_before: datetime | None = None) -> None:
        """Into the line again, unless it was to be cancelled."""
        job = self.jobs[number]
        if job.cancel_asked:
            self.end(number, "cancelled")
        else:
            job.state, job.token, job.lease_until = "queued", "", None
            job.lost += lost
            job.attempt += attempt
            job.not_before = not_before or job.not_before

    def fail(self, number: int, transient: bool, now: datetime) -> None:
        again = rules.retry_after(self.jobs[number].attempt, POLICY) if transient else None
        if again is None:
            self.end(number, "failed")
        else:
            self.back(number, not_before=now + again)

    def claimable(self, now: datetime) -> list[int]:
        """Jobs that wait and whose owner may have one more running."""
        busy: dict[int, int] = {}
        for job in self.jobs.values():
            busy[job.user] = busy.get(job.user, 0) + (job.state == "running")
        return [n for n, job in self.jobs.items() if job.waits(now) and busy[job.user] < POLICY.concurrency]

    def recover(self, now: datetime, sole_owner: bool) -> list[int]:
        """What a sweep must touch, and what becomes of it."""
        touched = [
            number
            for number, job in self.jobs.items()
            if job.state == "running" and (sole_owner or (job.lease_until is not None and job.lease_until < now))
        ]
        for number in touched:
            job = self.jobs[number]
            if job.lost >= POLICY.max_suspect and not job.cancel_asked:
                self.end(number, "failed")
            else:
                self.back(number, lost=1)
        return touched

    def cancel(self, number: int) -> None:
        job = self.jobs[number]
        if job.state == "queued":
            self.end(number, "cancelled")
        elif job.state == "running":
            job.cancel_asked = True

    # -- reservations ----------------------------------------------------------------------------------------------

    def fire(self, number: int, now: datetime) -> tuple[datetime, dict[Bucket, int] | str] | None:
        """What one look at a reservation must do: the due time that counts and what it is paid with, or why not.

        None: nothing is run, because nothing is due or what is due was decided before.
        """
        booked = self.booked[number]
        moments = booked.due(now)
        if not moments:
            return None
        counts, decided = moments[-1], moments[-1] in booked.fates
        self._move_on(booked, moments, now)
        if decided:
            return None
        if booked.late_limit is not None and now - counts > booked.late_limit:
            booked.fates[counts] = "skipped"
            return counts, "too_late"
        paid = self.order(booked.user, booked.in_group, booked.cost, now)
        booked.fates[counts] = "refused" if isinstance(paid, str) else "fired"
        return counts, paid

    def _move_on(self, booked: Booked, moments: list[datetime], now: datetime) -> None:
        booked.leave_out(moments[:-1])
        booked.next_at = booked.after(max(now, moments[0]))
        if booked.next_at is None:
            booked.state = "ended"

    def settle_due(self, number: int, state: str, now: datetime) -> None:
        """Its owner wants it otherwise: what is due already is left out."""
        booked = self.booked[number]
        booked.leave_out(booked.due(now))
        booked.state, booked.next_at = state, None

    def activate(self, number: int, now: datetime) -> bool:
        """Confirmed or resumed: False when its time has passed."""
        booked = self.booked[number]
        first = booked.after(now)
        if first is None:
            return False
        booked.state, booked.next_at = "active", first
        return True
