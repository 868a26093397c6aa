"""A state machine that does to a world whatever people, workers, senders, clocks and crashes can do, in any order.

After every act the world is compared with the second clerk's books and `moqi verify` is asked; at the end everything
must come to rest, with one visible message for each job that says how it ended.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Connection, select

from scheduler import queue, quota
from scheduler import reservations as acts
from scheduler.calendar import EveryDay, EveryInterval, Once, Rule
from scheduler.policy import Refusal
from scheduler.queue import Failure
from scheduler.reservations import Booking, When
from storage import jobs
from storage import reservations as kept
from storage.migrations import migrate
from storage.records import DeliveryState, Job, JobState, Kind, Occurrence, Reservation, Unit
from storage.tables import accounts, occurrences, outbox
from storage.tables import jobs as jobs_table
from tests.chaos.expected import Booked, Bucket, Expected
from tests.chaos.world import POLICY, End, Send, World

VERIFY_EVERY = 6  # acts: it takes ten times as long as an act, and what it finds stays there
ROUNDS = 60  # of settling; what has not come to rest by then never will

WHICH = st.integers(0, 1_000_000)  # of what there is, whatever that is
ENDS = st.sampled_from([End.WELL, End.WELL, End.BEFORE_COMMIT, End.AFTER_COMMIT])
MOMENTS = st.sampled_from([timedelta(seconds=1), timedelta(seconds=31), timedelta(minutes=3), timedelta(minutes=40)])
LONGER = st.sampled_from([timedelta(hours=2), timedelta(hours=26)])


@functools.cache
def blank() -> Path:
    """A migrated database without a row, made once: a world begins as a copy of it."""
    folder = Path(tempfile.mkdtemp(prefix="moqi-chaos-"))
    migrate(f"sqlite:///{folder / 'moqi.db'}")
    return folder / "moqi.db"


def roomy() -> str | None:
    """Where a disk costs nothing, if there is such a place: these crashes are not those of the power."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class Machine(RuleBasedStateMachine):
    """Two people, one group, one lane, one clock that may also be set back."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="moqi-chaos-", dir=roomy())
        self.world = World(Path(self.folder.name), blank())
        self.books = Expected()
        self.events: list[tuple[str, int, bool, int]] = []
        self.held: list[Job] = []  # every one there ever was: a stale worker may come back
        self.dealt: set[str] = set()
        self.steps = 0
        self.broken = False

    def teardown(self) -> None:
        try:
            if not self.broken:
                self.settle()
        finally:
            self.world.close()
            self.folder.cleanup()

    # -- people ----------------------------------------------------------------------------------------------------

    @rule(user=st.integers(0, 1), in_group=st.booleans(), cost=st.integers(1, 3), end=ENDS)
    def write(self, user: int, in_group: bool, cost: int, end: End) -> None:
        event = (f"e{len(self.events)}", user, in_group, cost)
        self.world.arrive(*event, end=end)
        if end is not End.BEFORE_COMMIT:  # else it was not acknowledged, and nobody is owed anything
            self.events.append(event)

    @precondition(lambda self: self.events)
    @rule(which=WHICH)
    def write_again(self, which: int) -> None:
        """The platform pushes an old event once more."""
        self.world.arrive(*self.events[which % len(self.events)])

    @precondition(lambda self: self.books.jobs)
    @rule(which=WHICH, end=ENDS)
    def cancel(self, which: int, end: End) -> None:
        number = self._pick(which, list(self.books.jobs))
        self.world.do(queue.cancel, self._job(number), "user:1", self.world.now, end=end)
        if end is not End.BEFORE_COMMIT:
            self.books.cancel(number)

    @rule(user=st.integers(0, 1), amount=st.integers(1, 3))
    def grant(self, user: int, amount: int) -> None:
        subject = quota.subject(self._user(user))
        self.world.do(quota.grant, subject, Unit.DRAW, amount, "user:1", self.world.now)
        self.books.grant(self._user(user), amount)

    # -- reservations ----------------------------------------------------------------------------------------------

    @rule(user=st.integers(0, 1), in_group=st.booleans(), cost=st.integers(1, 3), form=st.integers(0, 2), lead=MOMENTS)
    def reserve(self, user: int, in_group: bool, cost: int, form: int, lead: timedelta) -> None:
        now = self.world.now
        first = (now + lead).replace(microsecond=0)
        limit = timedelta(minutes=30) if form == 2 else None
        forms: list[tuple[Rule, timedelta | None]] = [
            (Once(at=first), None),
            (EveryDay(times=(time(0, 5),)), timedelta(days=1)),
            (EveryInterval(minutes=60, start=first), timedelta(hours=1)),
        ]
        rule_, step = forms[form]
        wanted = Booking(
            user=self.world.users[user],
            kind=Kind.DRAW,
            origin=self.world.origin(user, in_group),
            params={"cost": cost},
            work=float(cost),
            when=When(rule=rule_),
            late_limit=limit,
        )
        found = self.world.do(acts.propose, wanted, POLICY, now)
        if isinstance(found, Reservation):
            base = first if form != 1 else now.replace(hour=16, minute=5, second=0, microsecond=0) - timedelta(days=9)
            self.books.booked[found.id] = Booked(self._user(user), in_group, cost, base, step, limit)

    @precondition(lambda self: self.books.booked)
    @rule(which=WHICH, act=st.sampled_from(["confirm", "confirm", "pause", "resume", "cancel"]), end=ENDS)
    def rebook(self, which: int, act: str, end: End) -> None:
        """Its owner presses a button."""
        number = self._pick(which, list(self.books.booked))
        done = self.world.do(_press, number, act, self.world.now, end=end)
        if end is not End.BEFORE_COMMIT:
            assert isinstance(done, Refusal) is not self._rebooked(number, act), f"{act} of {number}: {done}"

    def _rebooked(self, number: int, act: str) -> bool:
        """What a button must do; whether it is accepted."""
        state, now = self.books.booked[number].state, self.world.now
        if state in ("ended", "cancelled"):
            return False
        if (act, state) in (("confirm", "proposed"), ("resume", "paused")):
            return self.books.activate(number, now)
        if act == "cancel":
            self.books.settle_due(number, "cancelled", now)
        elif (act, state) == ("pause", "active"):
            self.books.settle_due(number, "paused", now)
        return True

    # -- what runs by itself ---------------------------------------------------------------------------------------

    @rule(end=ENDS)
    def deal(self, end: End) -> None:
        """The oldest event's turn."""
        for entry in self.world.waiting()[:1]:
            found = self.world.deal(entry, end)
            if end is End.BEFORE_COMMIT:
                return
            user, in_group, cost = (entry.event[name] for name in ("user", "in_group", "cost"))
            assert entry.event["id"] not in self.dealt, f"event {entry.event['id']} was dealt with twice"
            self.dealt.add(entry.event["id"])
            paid = self.books.order(self._user(user), in_group, cost, self.world.now)
            self._ordered(found, self._user(user), cost, paid)

    def _ordered(self, found: object, user: int, cost: int, paid: Any) -> None:
        if isinstance(paid, str):
            assert isinstance(found, Refusal), f"accepted, though {paid}"
            assert found.code == paid
        else:
            assert isinstance(found, Job), f"refused, though affordable: {found}"
            assert found.id not in self.books.jobs, f"job {found.id} was ordered twice"
            self.books.accept(found.id, user, cost, paid)

    @rule(end=ENDS)
    def fire(self, end: End) -> None:
        due, now = self.world.due(), self.world.now
        assert sorted(due) == sorted(n for n, booked in self.books.booked.items() if booked.is_due(now)), "what is due"
        self._fire(due, end)

    @precondition(lambda self: self.books.booked)
    @rule(which=WHICH)
    def ring(self, which: int) -> None:
        """An alarm rings: too early, because the clock was set back, or too late, because it was cancelled."""
        self._fire([self._pick(which, list(self.books.booked))], End.WELL)

    def _fire(self, numbers: list[int], end: End) -> None:
        fates = self.world.fire(numbers, end)
        if fates is not None:
            by_number = {fate.reservation_id: fate for fate in fates}
            for number in numbers:
                self._fired(number, by_number.get(number))

    def _fired(self, number: int, fate: Occurrence | None) -> None:
        is_due = self.books.booked[number].is_due(self.world.now)
        wanted, booked = self.books.fire(number, self.world.now), self.books.booked[number]
        assert (fate is not None) == is_due, f"reservation {number}: {fate}, though it is {'' if is_due else 'not '}due"
        if wanted is None or fate is None:
            return
        counts, paid = wanted
        assert (fate.due_at, fate.fate.value) == (counts, booked.fates[counts]), f"reservation {number}: {fate}"
        if isinstance(paid, str):
            assert fate.reason == paid
        else:
            self._ordered(self._job(fate.job_id or 0), booked.user, booked.cost, paid)

    @rule(room=st.integers(1, 3), end=ENDS)
    def claim(self, room: int, end: End) -> None:
        able = self.books.claimable(self.world.now)
        claim = self.world.do(queue.claim, Kind.DRAW, lambda head: room, POLICY, self.world.now, end=end)
        if end is End.BEFORE_COMMIT:
            return
        assert (claim is None) == (not able), f"claimed {claim} of {able}"
        for job in claim.jobs if claim else ():
            self.books.claim(job.id, job.token, self.world.now)
            self.held.append(job)
        assert all(count <= POLICY.concurrency for count in self._running().values())

    @precondition(lambda self: self.held)
    @rule(
        which=WHICH,
        how=st.sampled_from(["succeed", "succeed", "fail", "fail again", "stopped", "release", "heartbeat"]),
        end=ENDS,
    )
    def work(self, which: int, how: str, end: End) -> None:
        """A worker says how it went, perhaps long after its lease was given to somebody else."""
        job = self.held[-1 - which % len(self.held)]
        now, must = self.world.now, self.books.jobs[job.id]
        mine = must.state == "running" and must.token == job.token
        held = self.world.do(WORK[how], job, now, end=end)
        if end is End.BEFORE_COMMIT:
            return
        assert held is mine, f"job {job.id}: {how} by {'its' if mine else 'a stale'} worker was {held}"
        if how == "heartbeat":
            self.books.prolong(job.token, now)
        elif mine:
            self._worked(job.id, how)

    def _worked(self, number: int, how: str) -> None:
        job, now = self.books.jobs[number], self.world.now
        match how:
            case "succeed":
                self.books.end(number, "cancelled" if job.cancel_asked else "done")
            case "fail" | "fail again":
                self.books.fail(number, how == "fail again", now)
            case "stopped":
                self.books.end(number, "cancelled")
            case "release":
                self.books.back(number, attempt=-1)

    @rule(sole_owner=st.booleans())
    def sweep(self, sole_owner: bool) -> None:
        """By the running process, or at the start of the one that found the data folder free."""
        touched = self.world.sweep(sole_owner=sole_owner)
        lost = sorted(self.books.recover(self.world.now, sole_owner))
        assert sorted(touched) == lost, f"the sweep took back {touched}, lost were {lost}"

    @rule(how=st.sampled_from(list(Send)))
    def send(self, how: Send) -> None:
        self.world.deliver(how)

    @rule()
    def seal(self) -> None:
        self.world.seal()

    # -- the clock -------------------------------------------------------------------------------------------------

    @rule(span=MOMENTS | LONGER)
    def pass_time(self, span: timedelta) -> None:
        self.world.pass_time(span)

    @rule(span=st.sampled_from([timedelta(minutes=2), timedelta(minutes=70)]))
    def set_back(self, span: timedelta) -> None:
        """Somebody sets the clock."""
        self.world.pass_time(-span)

    # -- is it in order --------------------------------------------------------------------------------------------

    @invariant()
    def in_order(self) -> None:
        self.broken = True  # until it was found to be in order: then there is no use in settling it
        found = self.world.db.read_sync(_seen)
        wanted = {n: (job.state, job.lost, job.attempt, job.token) for n, job in self.books.jobs.items()}
        assert found.jobs == wanted, "the jobs are not as they should be"
        assert found.balances == self.books.left, "the balances are not as they should be"
        fates = {(n, at): fate for n, booked in self.books.booked.items() for at, fate in booked.fates.items()}
        assert found.fates == fates, "what became of due times is not as it should be"
        for message in self.world.chat.messages:
            if message.job_id is not None and message.says in ("done", "failed", "cancelled"):
                assert self.books.jobs[message.job_id].state == message.says, f"shown too early: {message}"
        self.steps += 1
        if self.steps % VERIFY_EVERY == 0:
            self.verify()
        self.broken = False

    def verify(self) -> None:
        """`moqi verify` says the same."""
        assert not (broken := self.world.broken()), broken

    # -- the end ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Nothing more is asked for; all that was begun must end, and be told once."""
        for position in range(len(self.books.booked)):
            self.rebook(position, "cancel", End.WELL)
        for _ in range(ROUNDS):
            self._round()
            if self._rests():
                break
        else:
            raise AssertionError(f"does not come to rest: {self._unrest()}")
        self.in_order()
        self.verify()
        for number, job in self.books.jobs.items():
            shown = [message.says for message in self.world.chat.of_job(number)]
            assert shown == [job.state], f"job {number} is {job.state}, and people see {shown}"

    def _round(self) -> None:
        """What a running process does in some minutes."""
        self.world.pass_time(timedelta(minutes=20))
        self.sweep(False)
        while self.world.waiting():
            self.deal(End.WELL)
        while self.books.claimable(self.world.now):
            self.claim(2, End.WELL)
            for number, job in list(self.books.jobs.items()):
                if job.state == "running":
                    self.work(self._claim_of(number, job.token), "succeed", End.WELL)
        while self.world.deliver(Send.WELL):
            pass
        self.world.seal()
        self.world.at_rest = self.world.now

    def _rests(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> list[str]:
        waiting = [
            f"job {n} is {job.state}" for n, job in self.books.jobs.items() if job.state in ("queued", "running")
        ]
        return waiting + self.world.db.read_sync(_unsent)

    def _claim_of(self, number: int, token: str) -> int:
        """Counted from the newest, as `work` does."""
        newest = reversed(self.held)
        return next(n for n, job in enumerate(newest) if (job.id, job.token) == (number, token))

    # -- looking ---------------------------------------------------------------------------------------------------

    def _pick(self, which: int, among: list[int]) -> int:
        return among[which % len(among)]

    def _job(self, number: int) -> Job:
        found = self.world.db.read_sync(jobs.get, number)
        assert found is not None
        return found

    def _user(self, user: int) -> int:
        return self.world.users[user].id

    def _running(self) -> dict[int, int]:
        return self.world.db.read_sync(jobs.running_per_user, Kind.DRAW)


def _press(conn: Connection, number: int, act: str, now: datetime) -> Reservation | Refusal:
    held = kept.lock(conn, number)
    assert held is not None
    match act:
        case "confirm":
            return acts.confirm(conn, held, None, "user:1", now)
        case "pause":
            return acts.pause(conn, held, "user:1", now)
        case "resume":
            return acts.resume(conn, held, "user:1", now)
        case _:
            return acts.cancel(conn, held, "user:1", now)


def _succeed(conn: Connection, job: Job, now: datetime) -> bool:
    return queue.succeed(conn, job, {"seeds": [1]}, 1.0, now)


def _fail(conn: Connection, job: Job, now: datetime) -> bool:
    return queue.fail(conn, job, Failure(error="internal", cause="planned"), POLICY, now)


def _fail_again(conn: Connection, job: Job, now: datetime) -> bool:
    return queue.fail(conn, job, Failure(error="internal", cause="planned", transient=True), POLICY, now)


def _release(conn: Connection, job: Job, now: datetime) -> bool:
    return queue.release(conn, job, now)


def _heartbeat(conn: Connection, job: Job, now: datetime) -> bool:
    return job.id in jobs.heartbeat(conn, job.token, queue.lease_until(POLICY, now))


#: What a worker may say of a job it holds, or held.
WORK: dict[str, Callable[[Connection, Job, datetime], bool]] = {
    "succeed": _succeed,
    "fail": _fail,
    "fail again": _fail_again,
    "stopped": lambda conn, job, now: queue.cancelled(conn, job, now),
    "release": _release,
    "heartbeat": _heartbeat,
}


@dataclass(frozen=True)
class Seen:
    """What the tables say, in the books' terms."""

    jobs: dict[int, tuple[str, int, int, str]]
    balances: dict[Bucket, int]
    fates: dict[tuple[int, datetime], str]


def _seen(conn: Connection) -> Seen:
    balances = conn.execute(select(accounts.c.account, accounts.c.bucket, accounts.c.balance))
    fates = conn.execute(select(occurrences.c.reservation_id, occurrences.c.due_at, occurrences.c.fate))
    return Seen(
        jobs={
            row.id: (row.state, row.lost, row.attempt, row.token if row.state == JobState.RUNNING else "")
            for row in conn.execute(select(jobs_table))
        },
        balances={(row.account, row.bucket): row.balance for row in balances},
        fates={(row.reservation_id, row.due_at): row.fate for row in fates},
    )


def _unsent(conn: Connection) -> list[str]:
    waiting = select(outbox.c.key).where(outbox.c.state == DeliveryState.PENDING)
    return [f"message {key} is not sent" for key in conn.execute(waiting).scalars()]
