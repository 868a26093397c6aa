"""What the program does by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bot import services
from bot.context import Handled, Pressed
from bot.events import ChatEvent
from bot.replies import Words
from scheduler.progress import Signal
from storage.errors import Unreachable
from storage.records import ChatType, Identity, Origin


async def test_a_defect_costs_a_loop_a_second_and_not_its_life(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the inbox or the sender the program would look alive and serve nobody until somebody restarts it."""
    monkeypatch.setattr(services, "LOOP_AGAIN", 0.01)
    turns: list[str] = []

    async def run() -> None:
        turns.append("begun")
        if len(turns) < 3:
            raise ExceptionGroup("tasks", [KeyError("way")])

    await services.kept_up("live", run)
    assert len(turns) == 3
    told = [line for line in caplog.records if line.levelname == "CRITICAL"]
    assert [line.getMessage() for line in told] == ["live met a defect and begins again"] * 2
    assert all(line.exc_info for line in told), "an operator sees the cause"


PRESS = ChatEvent(
    platform="feishu",
    key="press:1",
    kind="action",
    sender=Identity(platform="feishu", external_id="ou_1"),
    sender_name="",
    origin=Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1"),
    at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    action="redo",
    value={"job": 1},
)


def house() -> Any:
    return SimpleNamespace(words=Words("zh"))


async def test_trap_23_a_press_that_takes_too_long_is_answered_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()
    until = asyncio.Event()

    async def press(event: ChatEvent) -> Pressed:
        await until.wait()
        done.set()
        return Pressed("success", "已排队")

    monkeypatch.setattr(services, "PRESS_PATIENCE", 0.01)
    slow: Any = SimpleNamespace(_press=press, _pressing=set(), house=house)
    kind, text, shown = await asyncio.wait_for(services.Services.act(slow, PRESS), 5)
    assert (kind, "还在处理" in text, shown) == ("info", True, None)
    until.set()
    await asyncio.wait_for(done.wait(), 5)


@pytest.mark.parametrize(
    ("error", "kind", "said"), [(Unreachable(), "warning", "再按一次"), (ValueError("a defect"), "error", "原因已记录")]
)
async def test_trap_23_a_press_that_fails_is_answered_in_words(
    caplog: pytest.LogCaptureFixture, error: Exception, kind: str, said: str
) -> None:
    async def run(*given: Any) -> None:
        raise error

    broken: Any = SimpleNamespace(db=SimpleNamespace(run=run), house=house, platforms={}, _pressed=None)
    answer = await services.Services._press(broken, PRESS)
    assert (answer.kind, said in answer.text) == (kind, True)
    assert "press press:1" in caplog.text


class Recogniser:
    """A platform that calls people otherwise than they are known here."""

    async def recognise(self, event: ChatEvent) -> ChatEvent:
        return replace(event, sender=replace(event.sender, external_id="known"))


async def test_people_are_recognised_before_anything_is_done_for_them() -> None:
    met: list[ChatEvent] = []

    async def run(work: Any, *given: Any) -> Any:
        met.extend(one for one in given if isinstance(one, ChatEvent))
        handled = Handled(outcome="reply", toast=("success", "好"))
        return handled if work == "press" else (handled, lambda: None)

    async def complete(entry: Any, event: ChatEvent) -> ChatEvent:
        met.append(event)
        return event

    wired: Any = SimpleNamespace(
        db=SimpleNamespace(run=run),
        house=house,
        platforms={"feishu": Recogniser()},
        enclosures=SimpleNamespace(complete=complete),
        understanding=SimpleNamespace(complete=complete),
        _dealt=lambda entry: None,
        sender=SimpleNamespace(wake=Signal()),
        _pressed="press",
        _deal="deal",
        _wake=lambda handled: None,
        _note=met.append,
    )
    assert (await services.Services._press(wired, PRESS)).text == "好"
    await services.Services.handle(wired, SimpleNamespace(id=1), replace(PRESS, kind="message"))  # type: ignore[arg-type]
    assert [one.sender.external_id for one in met] == ["known"] * 6
    assert await services.recognised(object(), PRESS) is PRESS
