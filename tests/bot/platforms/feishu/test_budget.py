"""Who may call when: what matters always finds room, progress is what gets dropped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from bot.platforms.base import Retry
from bot.platforms.budget import Budget
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import Busy
from bot.platforms.feishu.settings import FeishuSettings
from tests.simulators.feishu import FeishuSimulator


def test_lets_five_through_and_the_sixth_wait_out_the_window() -> None:
    budget = Budget(5, 1.0)
    for number in range(5):
        assert budget.wait("a", 10.0 + number / 10) == 0.0
        budget.take("a", 10.0 + number / 10)
    assert budget.wait("a", 10.5) == pytest.approx(0.5)
    assert budget.wait("b", 10.5) == 0.0
    budget.take("a", 11.0)
    assert budget.wait("a", 11.0) == pytest.approx(0.1)


def test_holds_when_told_and_forgets_old_keys() -> None:
    budget = Budget(5, 1.0)
    budget.hold("a", 20.0)
    budget.hold("a", 15.0)  # a shorter hold does not shorten a longer one
    assert budget.wait("a", 12.0) == 8.0
    assert budget.wait("a", 21.0) == 0.0
    for number in range(3000):
        budget.take(str(number), float(number))
    assert len(budget._calls) < 1100


@pytest.mark.parametrize(
    ("taken", "held_until", "now", "room", "wait"),
    [
        ((), 0.0, 10.0, True, 0.0),
        ((9.5,), 0.0, 10.0, True, 0.0),
        ((9.5, 9.6), 0.0, 10.0, False, 0.0),  # progress has had its part, an outcome goes at once
        ((9.5, 9.6, 9.7, 9.8), 0.0, 10.0, False, 0.0),
        ((9.5, 9.6, 9.7, 9.8, 9.9), 0.0, 10.0, False, 0.5),  # and waits only for other outcomes
        ((9.5, 9.6), 0.0, 10.55, True, 0.0),
        ((10.4, 10.6), 0.0, 10.0, False, 0.0),  # two outcomes wait for their time: they come first
        ((), 12.0, 10.0, False, 2.0),  # the platform said no
        ((), 12.0, 12.0, True, 0.0),
    ],
)
def test_progress_uses_two_of_five(
    taken: tuple[float, ...], held_until: float, now: float, room: bool, wait: float
) -> None:
    budget = Budget(5, 1.0, passing=2)
    for at in taken:
        budget.take("a", at)
    if held_until:
        budget.hold("a", held_until)
    assert budget.room("a", now) is room
    assert budget.wait("a", now) == pytest.approx(wait)


@dataclass
class Clock:
    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paced(feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient, clock: Clock) -> FeishuClient:
    feishu.limits = feishu.cardkit.limits = False  # here only our own pace is looked at
    return FeishuClient(settings, http, clock=clock, sleep=clock.sleep)


async def shown(client: FeishuClient) -> str:
    return await client.send("oc_1", "chat_id", "interactive", CARD, "uuid")


CARD = '{"schema":"2.0","config":{"update_multi":true},"body":{"elements":[{"tag":"hr"}]}}'


async def test_trap_17_a_card_shows_one_step_a_second_and_its_end_at_once(paced: FeishuClient, clock: Clock) -> None:
    message_id = await shown(paced)
    dropped = 0
    for _ in range(40):  # four seconds of steps, ten a second
        try:
            await paced.patch(message_id, CARD, passing=True)
        except Busy:
            dropped += 1
        clock.now += 0.1
    assert dropped == 36
    await paced.patch(message_id, CARD)
    assert clock.slept == []


async def test_progress_of_many_cards_leaves_the_app_room_for_outcomes(paced: FeishuClient, clock: Clock) -> None:
    passed = 0
    for number in range(60):
        try:
            await paced.call("PUT", f"/cardkit/v1/cards/{number}", str(number), json={}, passing=True, card=True)
        except Busy:
            continue
        except Retry:
            raise
        except Exception:  # noqa: BLE001 - the platform does not know these cards; only the pace matters
            passed += 1
    assert passed == 30
    for number in range(20):
        await paced.send(f"oc_{number}", "chat_id", "text", '{"text":"x"}', f"k{number}")
    assert clock.slept == []


async def test_trap_28_a_thousand_results_at_nine_o_clock_are_spread_by_the_budget(clock: Clock) -> None:
    """Reservations fire on the hour, where the platform says no (11232): at most 50 a second, 1000 a minute leave."""
    client = FeishuClient(FeishuSettings.model_validate({}), clock=clock, sleep=clock.sleep)
    starts: list[float] = []
    waiting, tries = 1500, 0
    while waiting and tries < 100_000:  # sixteen at once, as the delivery loop has it; who is refused comes again
        tries += 1
        try:
            before = len(clock.slept)
            await client._pace(client._budgets(f"oc_{waiting}", False), False)
            starts.append(clock.now + (clock.slept[-1] if len(clock.slept) > before else 0.0))
            waiting -= 1
        except Busy as busy:
            clock.now += (busy.after or 0.0) * 0.8
    await client.close()
    assert waiting == 0
    seconds = Counter(int(start) for start in starts)
    assert max(seconds.values()) <= 50
    assert max(sum(1 for at in starts if begin <= at < begin + 60) for begin in sorted(set(starts))) <= 1000
    assert starts[-1] - starts[0] < 130  # and no slower than it must be


@pytest.mark.parametrize(("code", "seconds"), [(11232, 5.0), (11233, 5.0), (99991400, 1.0)])
async def test_trap_28_the_apps_limit_holds_everybody_back(
    feishu: FeishuSimulator, paced: FeishuClient, clock: Clock, code: int, seconds: float
) -> None:
    feishu.fail("code", code=code, on="/im/v1/messages")
    with pytest.raises(Busy) as refused:
        await paced.send("oc_1", "chat_id", "text", '{"text":"x"}', "a")
    assert refused.value.after == seconds
    calls = len(feishu.calls)
    with pytest.raises(Busy):
        await paced.patch("om_1", CARD, passing=True)
    assert len(feishu.calls) == calls
    clock.now += seconds
    await paced.send("oc_2", "chat_id", "text", '{"text":"x"}', "b")
    assert clock.slept == []
