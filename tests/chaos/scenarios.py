"""Short lives that meet one trap each: acts of the state machine in a fixed order, its books and `moqi verify` beside.

What the machine finds by chance in minutes, these find at once; each must pass, and fail under the bug it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from tests.chaos.machine import Machine
from tests.chaos.world import POLICY, End, Send

OVER = POLICY.lease + timedelta(seconds=1)  # a lease is over
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
INTERVAL = 2  # a reservation for every hour
DAILY = 1  # one for 00:05 every day


class Life:
    """A machine that compares everything after every act."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Callable[..., None]:
        act = getattr(self._machine, name)

        def checked(*arguments: object, **named: object) -> None:
            self._machine.broken = True
            act(*arguments, **named)
            self._machine.in_order()
            self._machine.verify()

        return checked

    def ordered(self, cost: int = 2, in_group: bool = False) -> None:
        """A job waits."""
        self.write(0, in_group, cost, End.WELL)
        self.deal(End.WELL)

    def running(self, cost: int = 2) -> None:
        """A worker has a job."""
        self.ordered(cost)
        self.claim(1, End.WELL)

    def drawn(self) -> None:
        """It is done and told."""
        self.running()
        self.work(0, "succeed", End.WELL)
        self.send(Send.WELL)

    def booked(self, form: int, lead: timedelta = MINUTE) -> None:
        """A reservation is confirmed."""
        self.reserve(0, False, 1, form, lead)
        self.rebook(0, "confirm", End.WELL)


@contextmanager
def life() -> Iterator[Life]:
    """A world from its beginning until everything in it has come to rest."""
    machine = Machine()
    try:
        yield Life(machine)
        machine.settle()
    finally:
        machine.broken = True
        machine.teardown()


def one_picture() -> None:
    with life() as it:
        it.drawn()


def an_event_comes_twice() -> None:
    with life() as it:
        it.drawn()
        it.write_again(0)
        it.deal(End.WELL)


def a_worker_comes_back_too_late() -> None:
    """Its lease was taken, somebody else draws the same, and then its own picture is ready."""
    with life() as it:
        it.running()
        it.pass_time(OVER)
        it.sweep(False)
        it.claim(1, End.WELL)
        it.work(1, "succeed", End.WELL)
        it.work(0, "succeed", End.WELL)


def a_job_kills_its_workers() -> None:
    """It is not given to workers for ever."""
    with life() as it:
        it.ordered()
        for _ in range(POLICY.max_suspect + 1):
            it.claim(1, End.WELL)
            it.pass_time(OVER)
            it.sweep(False)


def a_cancelled_order_costs_nothing() -> None:
    with life() as it:
        it.ordered(in_group=True)
        it.cancel(0, End.WELL)


def the_process_dies_behind_a_cancellation() -> None:
    with life() as it:
        it.ordered()
        it.cancel(0, End.AFTER_COMMIT)
        it.sweep(True)


def a_cancellation_meets_a_running_job() -> None:
    """Its picture is ready all the same: nobody gets it, nobody pays."""
    with life() as it:
        it.running()
        it.cancel(0, End.WELL)
        it.work(0, "succeed", End.WELL)


def a_new_day_begins_between_order_and_refund() -> None:
    """The world begins half an hour before the team's midnight."""
    with life() as it:
        it.ordered()
        it.pass_time(40 * MINUTE)
        it.ordered()
        it.cancel(0, End.WELL)


def the_last_units_are_spent() -> None:
    """What two dear orders leave is not enough for a third."""
    with life() as it:
        for _ in range(3):
            it.ordered(3)


def a_reservation_fires_every_day() -> None:
    with life() as it:
        it.booked(DAILY)
        it.pass_time(40 * MINUTE)
        it.fire(End.WELL)
        it.pass_time(24 * HOUR)
        it.fire(End.WELL)


def an_alarm_rings_early() -> None:
    with life() as it:
        it.booked(INTERVAL)
        it.ring(0)


def the_clock_is_set_back_behind_a_firing() -> None:
    """Paused and resumed before its time came a second time, it is due again."""
    with life() as it:
        it.booked(INTERVAL)
        it.pass_time(MINUTE)
        it.fire(End.WELL)
        it.set_back(MINUTE)
        it.rebook(0, "pause", End.WELL)
        it.rebook(0, "resume", End.WELL)
        it.pass_time(2 * MINUTE)
        it.fire(End.WELL)


def the_server_was_down_for_some_firings() -> None:
    with life() as it:
        it.booked(INTERVAL)
        it.pass_time(3 * HOUR)
        it.fire(End.WELL)


def the_process_dies_while_it_fires() -> None:
    """Before the commit, then right behind it."""
    with life() as it:
        it.booked(INTERVAL)
        it.pass_time(MINUTE)
        it.fire(End.BEFORE_COMMIT)
        it.fire(End.AFTER_COMMIT)
        it.sweep(True)


def a_sender_dies_behind_its_message() -> None:
    """The platform has it, the row does not say so; the next try must not show it again."""
    with life() as it:
        it.running()
        it.send(Send.DIED_AFTER)
        it.work(0, "succeed", End.WELL)
        it.pass_time(2 * MINUTE)
        it.send(Send.CUT)
        it.pass_time(2 * MINUTE)


#: All of them, by name.
SCENARIOS: dict[str, Callable[[], None]] = {
    scenario.__name__.replace("_", " "): scenario
    for scenario in (
        one_picture,
        an_event_comes_twice,
        a_worker_comes_back_too_late,
        a_job_kills_its_workers,
        a_cancelled_order_costs_nothing,
        the_process_dies_behind_a_cancellation,
        a_cancellation_meets_a_running_job,
        a_new_day_begins_between_order_and_refund,
        the_last_units_are_spent,
        a_reservation_fires_every_day,
        an_alarm_rings_early,
        the_clock_is_set_back_behind_a_firing,
        the_server_was_down_for_some_firings,
        the_process_dies_while_it_fires,
        a_sender_dies_behind_its_message,
    )
}
