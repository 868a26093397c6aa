"""A press is answered in time, and its card is left alone until then."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from bot.context import Pressed, Shown
from bot.events import ChatEvent
from bot.platforms.base import Outgoing
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.presses import Presses
from bot.replies import Words
from bot.replies.reasons import why_form
from bot.reply import Form, FormField, Picture, Reply
from storage.records import ChatType, Identity, Origin
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_cards import judge

ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="", sender="ou_alice")
CARD = Reply(title="排队中", text="一只猫", state="queued", job=1)


def press(message_id: str) -> ChatEvent:
    return ChatEvent(
        platform="feishu",
        key="press:1",
        kind="action",
        sender=Identity(platform="feishu", external_id="ou_alice"),
        sender_name="",
        origin=Origin(
            platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id=message_id, sender="ou_alice"
        ),
        at=datetime(2026, 11, 21, 12, tzinfo=UTC),
        action="cancel",
        value={"job": 1},
    )


async def test_trap_23_a_card_changes_after_its_press_was_answered(
    platform: FeishuPlatform, feishu: FeishuSimulator
) -> None:
    receipt = await platform.post(Outgoing(key="card", origin=ORIGIN, reply=CARD, receipt={}), {})
    outcome = Outgoing(key="outcome", origin=ORIGIN, reply=Reply(title="已取消", state="cancelled", job=1), receipt={})
    changing: list[asyncio.Task[object]] = []

    async def act(event: ChatEvent) -> Pressed:
        changing.append(asyncio.create_task(platform.update(receipt, outcome, {})))
        await asyncio.sleep(0.1)  # the sender is faster than we are
        assert feishu.messages[receipt["message_id"]].updates == []
        return Pressed("success", "已取消")

    assert await platform.answer(press(receipt["message_id"]), act) == {
        "toast": {"type": "success", "content": "已取消"}
    }
    assert feishu.messages[receipt["message_id"]].updates == []
    await asyncio.gather(*changing)
    assert "已取消" in feishu.messages[receipt["message_id"]].text


async def test_other_cards_and_settled_ones_wait_for_nothing() -> None:
    presses = Presses(settling=0.01)
    async with presses.answering("om_1"):
        await presses.over("om_2")
    await presses.over("om_1")
    assert presses._open == {}


async def test_the_answer_shows_the_card_with_the_pictures_it_has(
    platform: FeishuPlatform, feishu: FeishuSimulator
) -> None:
    feishu.images["img_v3_7"] = b""
    form = Form(
        action="redo_form",
        label="改词重画",
        send="按这个画",
        close="收起",
        fields=(FormField(name="prompt", label="描述", kind="lines", value="一只猫"),),
        value={"job": 1, "nonce": "n"},
        open=True,
    )
    picture = Picture(asset=7, width=64, height=64, alt="一只猫")
    shown = Shown(reply=Reply(title="画好了", pictures=(picture,), form=form), receipt={"images": {"7": "img_v3_7"}})

    async def act(event: ChatEvent) -> Pressed:
        return Pressed("info", "", shown)

    answer = await platform.answer(press("om_1"), act)
    assert answer.keys() == {"card"}
    card = judge(json.dumps(answer["card"]["data"]), set(feishu.images))
    tags = [element["tag"] for element in card["body"]["elements"]]
    assert tags == ["img", "form"]


@pytest.mark.parametrize(("lines", "anew"), [(3, True), (400, False)])
async def test_a_card_whose_text_goes_on_in_other_messages_stays_as_it_is(
    platform: FeishuPlatform, lines: int, anew: bool
) -> None:
    """Shown anew in one card, a part of the answer would be gone from the chat."""
    text = "\n".join(f"第 {number} 条（{'满一年' * 60}）" for number in range(lines))
    reply = Reply(text=text, state="done", job=1, form=why_form(1, Words("zh")))

    async def act(event: ChatEvent) -> Pressed:
        return Pressed("success", "哪里不好？", Shown(reply=reply, receipt={"images": {}}))

    answer = await platform.answer(press("om_1"), act)
    assert ("card" in answer) is anew
    assert answer["toast"]["content"] == "哪里不好？"
