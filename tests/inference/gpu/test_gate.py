"""The gate: one at a time, in order, on the loop and on threads; nobody is lost, and everybody hears why they wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from inference.errors import GpuBusy
from inference.gpu.gate import Gate


async def until(true: Callable[[], bool]) -> None:
    """Give the others their turns until something holds."""
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


async def test_one_at_a_time_in_the_order_they_came() -> None:
    gate, order, inside = Gate(), list[str](), 0

    async def on_loop(name: str) -> None:
        nonlocal inside
        async with gate.hold(name):
            inside += 1
            assert (inside, gate.owner) == (1, name)
            await asyncio.sleep(0)
            order.append(name)
            inside -= 1

    def on_thread(name: str) -> None:
        nonlocal inside
        with gate.held(name):
            inside += 1
            assert (inside, gate.owner) == (1, name)
            order.append(name)
            inside -= 1

    async with gate.hold("first"):
        tasks = []
        for number in range(10):
            name = f"{number}"
            work = on_loop(name) if number % 2 else asyncio.to_thread(on_thread, name)
            tasks.append(asyncio.create_task(work))
            await until(lambda: name in gate.waiting)  # noqa: B023 - called before the next turn
        assert gate.waiting == tuple(str(number) for number in range(10))
    await asyncio.gather(*tasks)
    assert order == [str(number) for number in range(10)]
    assert (gate.owner, gate.waiting) == (None, ())


async def test_whoever_stops_waiting_leaves_no_gap_and_an_error_inside_gives_it_back() -> None:
    gate = Gate()

    async def hold(name: str) -> None:
        async with gate.hold(name):
            raise ValueError(name)

    async with gate.hold("first"):
        gone, stays = asyncio.create_task(hold("gone")), asyncio.create_task(hold("stays"))
        await until(lambda: len(gate.waiting) == 2)
        gone.cancel()
        await asyncio.wait({gone})
        assert gate.waiting == ("stays",)
    with pytest.raises(ValueError, match="stays"):
        await stays
    assert gate.owner is None


async def test_one_that_was_given_it_and_cancelled_at_once_gives_it_on() -> None:
    gate = Gate()

    async def hold() -> None:
        async with gate.hold("second"):
            await asyncio.Event().wait()

    async with gate.hold("first"):
        second = asyncio.create_task(hold())
        await until(lambda: bool(gate.waiting))
    second.cancel()  # it has it, and has not run since
    await asyncio.wait({second})
    async with gate.hold("third"):
        assert gate.owner == "third"


async def test_who_waits_too_long_is_told_who_has_it(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(patience=0.02, telling=0.005)
    async with gate.hold("text: start"):
        with caplog.at_level(logging.WARNING), pytest.raises(GpuBusy, match="for pictures: text: start has had it for"):
            await asyncio.to_thread(_pass, gate)
        with pytest.raises(GpuBusy):
            async with gate.hold("somebody"):
                pass
        assert gate.waiting == ()
    assert "pictures has waited for the GPU" in caplog.text
    assert GpuBusy.transient


def _pass(gate: Gate) -> None:
    with gate.held("pictures"):
        pass


async def test_at_the_end_nobody_waits_for_anybody() -> None:
    gate = Gate()
    async with gate.hold("hung"):
        waiting = asyncio.create_task(asyncio.to_thread(_pass, gate))
        await until(lambda: bool(gate.waiting))
        gate.close()
        await waiting
        await asyncio.to_thread(_pass, gate)
    assert gate.owner is None


async def test_each_new_owner_is_told_of() -> None:
    seen, main = list[tuple[str | None, bool]](), threading.current_thread()
    gate = Gate(changed=lambda: seen.append((gate.owner, threading.current_thread() is main)))
    async with gate.hold("text"):
        waiting = asyncio.create_task(asyncio.to_thread(_pass, gate))
        await until(lambda: bool(gate.waiting))
    await waiting
    assert seen == [("text", True), ("pictures", True), (None, False)]
