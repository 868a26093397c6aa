"""Answers that type along, whatever happens on the way: in the end one message says it all and nothing "generates"."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from bot.platforms.base import PROBLEM, Blocked, Outgoing, PlatformError, Retry, Undelivered
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.codes import CardRefused
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.feishu.streaming import OPEN, WITHOUT
from bot.reply import Button, Reply, SourceLink
from storage.records import ChatType, Origin
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_cardkit import Entity

CANCEL = (Button(action="cancel", label="取消", value={"job": 1}, style="danger"),)
QUEUED = Reply(title="排队中 · 第 1 位", state="queued", job=1, text="年假怎么休?", buttons=CANCEL, grows=True)
RUNNING = Reply(state="running", job=1, text="满", buttons=CANCEL, streaming=True, grows=True)
SOURCE = SourceLink(
    mark=1, document="员工手册.md", heading="假期", passage=3, quote="年假五天", url="https://wiki.example/a"
)
DONE = Reply(state="done", job=1, text="满一年五天。", sources=(SOURCE,), note="内容由 AI 生成")
ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_asked", sender="ou_alice")


def typed(text: str) -> Reply:
    return replace(RUNNING, text=text)


@dataclass
class Clock:
    """The bot's clocks, moved by hand; waiting moves them too."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Asked:
    """A question under way: what the delivery loop and the moving cards do with it, in one process or the next."""

    def __init__(self, feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient) -> None:
        self.feishu, self.clock = feishu, Clock()
        self._settings, self._http = settings, http
        self.kept: list[dict[str, Any]] = []
        self.receipt: dict[str, Any] = {}
        self.platform = self.restart()
        feishu.remember("om_asked", "oc_1")

    def restart(self) -> FeishuPlatform:
        """Another process, which knows the rows only."""
        self.clock.now += 3
        client = FeishuClient(self._settings, self._http, clock=self.clock, sleep=self.clock.sleep)
        self.platform = FeishuPlatform(self._settings, client, clock=self.clock, wall=self.clock)
        return self.platform

    async def keep(self, receipt: Mapping[str, Any]) -> None:
        self.kept.append(dict(receipt))

    def message(self, reply: Reply, key: str, receipt: Mapping[str, Any] | None = None) -> Outgoing:
        return Outgoing(key=key, origin=ORIGIN, reply=reply, receipt=receipt or {}, keep=self.keep)

    async def post(self, receipt: Mapping[str, Any] | None = None) -> None:
        self.receipt = await self.platform.post(self.message(QUEUED, "job-1-card", receipt), {})

    async def type(self, text: str, pause: float = 1.0) -> None:
        self.clock.now += pause
        await self.platform.update(self.receipt, self.message(typed(text), "job-1-card"), {})

    async def end(self, reply: Reply = DONE, receipt: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.clock.now += 1
        return await self.platform.update(self.receipt, self.message(reply, "job-1-outcome", receipt), {})

    async def end_somehow(self) -> dict[str, Any]:
        """As the delivery loop does: again, keeping what a failed try achieved."""
        kept: dict[str, Any] = {}
        for _ in range(9):
            try:
                return await self.end(receipt=kept)
            except Retry as error:
                kept = {**kept, **error.receipt}
                self.clock.now += 30
        raise AssertionError("it never came to an end")

    @property
    def shown(self) -> Sent:
        """The only message there is."""
        (sent,) = self.feishu.visible()
        return sent

    @property
    def texts(self) -> list[str]:
        return [text_of(card) for card in self.shown.updates]

    @property
    def entity(self) -> Entity:
        (entity,) = self.feishu.cardkit.entities.values()
        return entity

    @property
    def replaced(self) -> int:
        """How often the message was replaced, without CardKit."""
        return sum("PATCH /open-apis/im" in call for call in self.feishu.calls)

    def check_end(self) -> None:
        """One message, the whole answer, and the chat list says it."""
        assert text_of(self.shown.shown) == "满一年五天。"
        assert "员工手册.md" in self.shown.text
        assert "内容由 AI 生成" in self.shown.text
        assert not self.shown.generating
        assert not self.shown.shown["config"].get("streaming_mode")


def text_of(card: Mapping[str, Any]) -> str:
    return str(next(item["content"] for item in card["body"]["elements"] if item["element_id"] == "text"))


@pytest.fixture
async def asked(feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient) -> Asked:
    feishu.limits = feishu.cardkit.limits = False  # the bot's clock jumps here; its own pace is looked at below
    return Asked(feishu, settings, http)


async def test_trap_22_an_answer_types_along_and_is_closed(asked: Asked) -> None:
    await asked.post()
    assert "排队中" in asked.shown.text
    for text in ("满", "满一", "满一年", "满一年五"):
        await asked.type(text)
    assert asked.texts == ["满", "满一", "满一年", "满一年五"]  # the whole text each time
    assert asked.shown.generating
    assert [what for what, _ in asked.entity.operations] == ["card", "content", "content", "content"]
    await asked.end()
    asked.check_end()
    assert asked.shown.preview == "满一年五天。"
    sequences = [sequence for _, sequence in asked.entity.operations]
    assert sequences == sorted(set(sequences))
    assert asked.receipt["card_id"] == asked.entity.card_id
    assert asked.replaced == 0


async def test_the_same_text_again_says_nothing_and_a_new_frame_everything(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    await asked.type("满")
    assert [what for what, _ in asked.entity.operations] == ["card"]
    stopping = replace(typed("满一"), buttons=())  # cancelled meanwhile
    await asked.platform.update(asked.receipt, asked.message(stopping, "job-1-card"), {})
    assert "取消" not in asked.shown.text
    assert asked.shown.generating


async def test_what_is_typed_can_do_nothing(asked: Asked) -> None:
    await asked.post()
    await asked.type("**粗** <at id=all></at> [x](http://evil.example)")
    await asked.type("**粗** <at id=all></at> [x](http://evil.example) 又")
    for text in asked.texts:
        assert "<at" not in text
        assert "](" not in text
        assert text.startswith("**粗** ")


async def test_trap_22_a_restart_counts_on_and_closes_the_card(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    await asked.type("满一")
    asked.restart()
    await asked.type("满")  # the job begins anew
    await asked.type("满一年")
    asked.restart()
    await asked.end()
    asked.check_end()
    sequences = [sequence for _, sequence in asked.entity.operations]
    assert sequences == sorted(set(sequences))
    assert (asked.entity.stale, asked.replaced) == (0, 0)


async def test_a_requeued_question_stops_typing(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.restart()
    await asked.platform.update(asked.receipt, asked.message(QUEUED, "job-1-card"), {})
    assert "排队中" in asked.shown.text
    assert not asked.shown.generating


@pytest.mark.parametrize("ahead", [1, 1_000_000, 2**24 + 5])
async def test_trap_22_a_sequence_that_is_too_low_leaps_ahead(asked: Asked, ahead: int) -> None:
    await asked.post()
    await asked.type("满")
    asked.entity.sequence += 10 + ahead  # another process was faster, or its clock is
    await asked.type("满一")
    assert asked.texts[-1] == "满一"
    asked.restart()
    asked.clock.now -= 1_000_000  # the clock was set right
    await asked.end()
    asked.check_end()
    assert 1 <= asked.entity.stale <= 3
    assert asked.replaced == 0


async def test_a_card_that_will_have_no_sequence_is_replaced(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.entity.sequence = 2**31 - 1
    await asked.end()
    asked.check_end()


async def test_trap_22_an_answer_slower_than_ten_minutes_goes_on(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.advance(OPEN + 1)
    await asked.type("满一", pause=OPEN + 1)  # switched on anew in time
    asked.feishu.advance(OPEN)
    await asked.type("满一年", pause=OPEN / 2)
    asked.feishu.advance(601)  # and where the platform's ten minutes are over before ours
    await asked.type("满一年五")
    assert asked.texts[-1] == "满一年五"
    assert [what for what, _ in asked.entity.operations].count("settings") == 2
    asked.feishu.advance(601)
    await asked.end()
    asked.check_end()
    assert asked.replaced == 0


async def test_cardkit_refused_altogether_gives_an_ordinary_card_that_is_changed(asked: Asked) -> None:
    asked.feishu.cardkit.granted = False
    await asked.post()
    assert "99991672" in asked.receipt[PROBLEM]
    for text in ("满", "满一"):
        await asked.type(text, pause=2)
    assert asked.texts == ["满", "满一"]
    await asked.end()
    asked.check_end()
    assert sum("/cardkit/" in call for call in asked.feishu.calls) == 1
    await asked.post({})
    assert sum("/cardkit/" in call for call in asked.feishu.calls) == 1, "not asked again for a while"
    asked.feishu.cardkit.granted = True
    asked.clock.now += WITHOUT
    again = await asked.platform.post(asked.message(QUEUED, "job-2-card"), {})
    assert "card_id" in again
    assert PROBLEM not in again


async def test_cardkit_refused_half_way_leaves_one_message_that_is_closed(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.cardkit.granted = False
    await asked.type("满一", pause=2)
    await asked.type("满一年", pause=2)
    assert asked.texts == ["满", "满一", "满一年"]
    receipt = await asked.end()
    asked.check_end()
    assert "99991672" in receipt[PROBLEM]


@pytest.mark.parametrize("code", [200740, 200750, 300311])
async def test_a_card_that_is_gone_is_not_asked_for_at_every_word(asked: Asked, code: int) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.fail("code", code=code, times=99, on="/cardkit/")
    for text in ("满一", "满一年", "满一年五"):
        await asked.type(text, pause=2)
    assert 99 - asked.feishu._faults[0].times == 1
    await asked.end()
    asked.check_end()


async def test_when_nothing_changes_the_card_one_new_message_follows(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.fail("code", code=200740, times=9, on="/cardkit/")
    asked.feishu.fail("code", code=230054, times=9, on=f"/messages/{asked.receipt['message_id']}")
    receipt = await asked.end()
    old, new = asked.feishu.visible()
    assert receipt["message_id"] == new.message_id
    assert "card_id" not in receipt
    assert "满一年五天" in new.text
    assert "满一年五天" not in old.text
    await asked.end()  # the row was not marked before a crash: said again under the same key
    assert len(asked.feishu.visible()) == 2


@pytest.mark.parametrize("kind", ["500", "html", "torn", "close", "cut", "garbage", "429"])
async def test_a_bad_moment_of_cardkit_never_holds_the_first_card_up(asked: Asked, kind: str) -> None:
    asked.feishu.fail(kind, on="/cardkit/", seconds=0.5)
    await asked.post()
    assert "排队中" in asked.shown.text
    await asked.end()
    asked.check_end()


async def test_trap_22_a_card_is_kept_before_it_is_sent_and_sent_again_after_a_crash(asked: Asked) -> None:
    await asked.post()
    (kept,) = asked.kept
    assert kept["card_id"] == asked.entity.card_id
    asked.restart()
    await asked.post(kept)  # the crash came before the row was marked
    assert asked.shown.message_id == asked.receipt["message_id"]
    await asked.type("满")
    await asked.end()
    asked.check_end()


async def test_a_card_that_is_not_taken_twice_is_followed_by_no_second_message(asked: Asked) -> None:
    await asked.post()
    asked.restart()
    asked.feishu.fail("code", code=230099, on="/reply")  # should Feishu look at the card before it looks at the uuid
    await asked.post(asked.kept[0])
    assert "card_id" not in asked.receipt
    await asked.end()
    asked.check_end()


async def test_a_send_that_is_cut_is_repeated_with_the_same_card(asked: Asked) -> None:
    asked.feishu.fail("cut", on="/reply")
    with pytest.raises(Retry) as failed:
        await asked.post()
    assert failed.value.receipt["card_id"] == asked.entity.card_id
    await asked.post(failed.value.receipt)
    assert asked.entity.message_id == asked.shown.message_id


OUTCOME_FAULTS: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"seconds": 3.0}) for kind in ("429", "400", "limit", "500", "html", "garbage", "empty", "close")),
    *((kind, {}) for kind in ("cut", "torn")),
    *(("code", {"code": code}) for code in (200810, 200770, 200220, 230020, 230049, 11232, 300317, 99991663)),
]


@pytest.mark.parametrize(("kind", "more"), OUTCOME_FAULTS, ids=lambda value: str(value))
async def test_every_fault_of_the_last_change_leaves_the_whole_answer_once(
    asked: Asked, kind: str, more: dict[str, Any]
) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.fail(kind, times=2, on="/cardkit/", **more)
    await asked.end_somehow()
    asked.check_end()


async def test_trap_26_a_blocked_text_is_not_sent_again_at_every_word(asked: Asked) -> None:
    asked.feishu.banned.add("五天")
    await asked.post()
    await asked.type("满")
    with pytest.raises(Blocked):
        await asked.type("满一年五天")
    calls = len(asked.feishu.calls)
    with pytest.raises((Blocked, Undelivered)):
        await asked.type("满一年五天。")
    assert sum("/cardkit/" in call for call in asked.feishu.calls[calls:]) == 0
    with pytest.raises(Blocked):
        await asked.end()
    assert len(asked.feishu.visible()) == 1


async def test_a_stop_of_the_program_leaves_no_card_being_written(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    await asked.type("满一年")
    await asked.platform.close()
    assert not asked.shown.generating
    assert text_of(asked.shown.shown) == "满一年"


async def test_a_stop_does_not_wait_for_a_platform_that_does_not_answer(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.fail("500", on="/cardkit/")
    await asked.platform.close()
    assert asked.shown.generating  # ten minutes at most, or until the next start


async def test_progress_never_waits_and_the_outcome_finds_room(asked: Asked) -> None:
    await asked.post()
    dropped = 0
    for length in range(1, 30):
        try:
            await asked.type("满" * length, pause=0.01)
        except Retry:
            dropped += 1
    assert asked.clock.slept == []
    assert len(asked.texts) == 5  # a second's worth
    assert dropped == 24
    asked.clock.now -= 0.99
    await asked.end()
    assert asked.clock.slept == []
    asked.check_end()


async def test_trap_22_one_writer_at_a_time_so_that_no_older_text_comes_last(asked: Asked) -> None:
    await asked.post()
    await asked.type("满")
    asked.feishu.fail("slow", seconds=0.2, on="/elements/")
    await asyncio.gather(*(asked.type(text, pause=0.0) for text in ("满一", "满一年", "满一年五")))
    assert asked.texts == ["满", "满一", "满一年", "满一年五"]
    assert asked.entity.stale == 0


async def test_real_pace_stays_within_the_platforms_limits(feishu: FeishuSimulator, settings: FeishuSettings) -> None:
    """With the platform's own limits and clocks: what a busy loop of progress may do harms nothing."""
    feishu.remember("om_asked", "oc_1")
    async with pooled(settings) as http:
        platform = FeishuPlatform(settings, FeishuClient(settings, http))
        message: Callable[[Reply], Outgoing] = lambda reply: Outgoing(  # noqa: E731
            key="job-1-card", origin=ORIGIN, reply=reply, receipt={}
        )
        receipt = await platform.post(message(QUEUED), {})
        refused: list[PlatformError] = []
        for length in itertools.count(1):
            try:
                await platform.update(receipt, message(typed("满" * length)), {})
            except Retry as error:
                refused.append(error)
            if length == 60:
                break
        await platform.update(receipt, message(DONE), {})
    assert not [error for error in refused if "Feishu 99991400" in str(error)], "the platform never had to say no"
    (sent,) = feishu.visible()
    assert not sent.generating


async def test_an_answer_longer_than_a_card_goes_on_in_further_messages_once_each(asked: Asked) -> None:
    long = "\n".join(f"第 {number} 条：{'满一年五天，' * 40}" for number in range(1, 120))
    await asked.post()
    await asked.type(long)  # cut while it is typed
    feishu, answer = asked.feishu, replace(DONE, text=long)
    feishu.fail("cut", on="/reply")  # the second message arrives, its answer does not
    with pytest.raises(Retry) as failed:
        await asked.end(answer)
    feishu.fail("500", on="/reply")
    with pytest.raises(Retry) as again:
        await asked.end(answer, failed.value.receipt)
    receipt = await asked.end(answer, again.value.receipt)
    first, *rest = feishu.visible()
    assert list(receipt["parts"].values()) == [sent.message_id for sent in rest]
    said = "\n".join(text_of(sent.shown) for sent in feishu.visible())
    assert said.replace("\n", "") == long.replace("\n", "")
    assert ["员工手册.md" in sent.text for sent in feishu.visible()] == [False] * len(rest) + [True]
    assert not first.generating
    assert {sent.parent_id for sent in feishu.visible()} == {"om_asked"}


async def test_a_refused_card_says_why_it_is_not_tried(asked: Asked) -> None:
    await asked.post()
    asked.feishu.cardkit.granted = False
    await asked.type("满", pause=2)
    with pytest.raises(CardRefused, match="99991672"):
        await asked.platform._streams.type(asked.receipt["card_id"], asked.receipt["since"], asked.entity.card)
