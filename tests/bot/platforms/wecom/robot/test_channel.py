"""What the robot says, at the simulated WeCom: in streams while it can, else by itself; nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from bot.context import Pressed, Shown
from bot.platforms.base import Elsewhere, Retry, Undelivered
from bot.platforms.budget import Budget
from bot.platforms.wecom.robot import frames, reach, uploads
from bot.platforms.wecom.robot.codes import Busy
from bot.reply import Button, Picture, Reply
from storage.records import ChatType, Origin
from tests.bot.platforms.wecom.robot.stage import BRISK, SOON, Bot, House, Outbox, running, until
from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_world import Shown as Seen

CANCEL = Button(action="cancel", label="取消", value={"job": 17}, style="danger")
QUEUED = Reply(title="排队中 · 第 2 位", state="queued", job=17, text="一只猫", buttons=(CANCEL,))
RUNNING = replace(QUEUED, title="正在画 · 第 3/9 步", state="running", progress=(3, 9))
REDO = Button(action="redo", label="重画", value={"job": 17})
VOTES = tuple(Button(action=f"vote_{way}", label=way, value={"job": 17}, quiet=True) for way in ("up", "down"))
DRAWN = Reply(
    title="画好了",
    state="done",
    job=17,
    text="一只猫",
    pictures=(Picture(asset=5, width=64, height=64, alt="一只猫"),),
    buttons=(REDO, *VOTES),
)
ASKED = Reply(title="正在查找和回答", state="running", job=17, text="年假几天？", grows=True)
ANSWERED = Reply(state="done", job=17, text="年假 **5** 天。", buttons=VOTES)
FAILED = Reply(title="没有画成", state="failed", job=17, text="一只猫")


def png() -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


CAT = {5: png()}


def seen(wecom: WecomSimulator, chat: str = "alice") -> list[str]:
    return [message.kind for message in wecom.in_chat(chat)]


def card(origin: Origin, reply: Reply = QUEUED) -> Outbox:
    return Outbox("job-17-card", origin, reply)


def outcome(origin: Origin, reply: Reply = DRAWN) -> Outbox:
    return Outbox("job-17-outcome", origin, reply)


async def ordered(wecom: WecomSimulator, bot: Bot, **more: Any) -> tuple[Origin, dict[str, Any]]:
    """Somebody orders something and sees its card; where they are, and the card's receipt."""
    count = len(bot.house.events)
    wecom.say("/draw 一只猫", **more)
    origin = await bot.asked(count + 1)
    return origin, await bot.post(card(origin))


async def reconnected(wecom: WecomSimulator, bot: Bot) -> None:
    opened = wecom.gateway.opened
    wecom.gateway.cut()
    await until(lambda: wecom.gateway.opened > opened and bot.listener.connected)


# --- a job from its order to its outcome ------------------------------------------------------------------------


@pytest.mark.parametrize("chat", [None, "wrGROUP"])
async def test_a_picture_is_followed_in_a_stream_and_comes_as_a_picture(
    wecom: WecomSimulator, bot: Bot, chat: str | None
) -> None:
    origin, receipt = await ordered(wecom, bot, chat=chat)
    passing = card(origin, RUNNING)
    passing.receipt = receipt
    assert await bot.update(receipt, passing) == receipt
    done = await bot.update(receipt, outcome(origin), CAT)
    stream, picture, buttons = wecom.in_chat(chat or "alice")
    assert (stream.kind, picture.kind, buttons.kind) == ("stream", "image", "template_card")
    assert stream.finished
    assert ["排队中" in stream.versions[0], "3/9" in stream.versions[1], "画好了" in stream.content] == [True] * 3
    assert picture.data == CAT[5]
    assert done["message_id"] == buttons.task_id
    assert buttons.buttons[0][0] == "重画"
    assert stream.answers == origin.message_id
    assert not wecom.strange


async def test_trap_07_every_frame_holds_the_whole_text_and_the_last_one_something(
    wecom: WecomSimulator, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "interval", lambda sent: 0.0)
    wecom.say("年假几天？")
    origin = await bot.asked()
    receipt = await bot.post(card(origin, ASKED))
    for text in ("年", "年假", "年假 **5**"):
        await bot.update(receipt, card(origin, replace(ASKED, title="", text=text, streaming=True)))
    done = await bot.update(receipt, outcome(origin, ANSWERED))
    (stream,) = wecom.in_chat("alice")
    assert [version[:1] for version in stream.versions[1:]] == ["年"] * 4
    assert stream.versions[3].startswith("年假 **5**")
    assert stream.finished
    assert stream.feedback  # 👍 and 👎 are WeCom's own under it, so no card repeats them
    assert "rated" in str(done)
    feedback = wecom.feedback(stream, 2, content="不对", reasons=[1])
    await bot.asked(2)
    event = bot.house.events[-1]
    assert (event.action, event.value["job"], event.key) == ("vote_down", 17, f"robot:{feedback.msgid}")


async def test_trap_08_plain_text_is_for_welcomes_and_nothing_else(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.enter()
    origin = await bot.asked()
    await bot.post(Outbox("event-1", origin, Reply(title="你好", state="hello", text="先试三样")))
    wecom.say("/help")
    origin = await bot.asked(2)
    await bot.post(Outbox("event-2", origin, Reply(text="**帮助**")))
    assert seen(wecom) == ["text", "stream"]
    assert wecom.in_chat("alice")[1].finished
    assert not wecom.strange


async def test_a_greeting_that_is_too_late_is_sent(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    wecom.enter()
    origin = await bot.asked(2)
    wecom.advance(6)
    receipt = await bot.post(Outbox("event-1", origin, Reply(title="你好", state="hello", text="先试三样")))
    assert seen(wecom) == ["markdown"]
    assert receipt["robot"]["steps"] == {"text": "sent"}


async def test_trap_09_pictures_are_uploaded_and_stand_in_no_stream(wecom: WecomSimulator, bot: Bot) -> None:
    origin, receipt = await ordered(wecom, bot)
    webp = BytesIO()
    Image.new("RGB", (32, 32), "red").save(webp, "WEBP")
    await bot.update(receipt, outcome(origin), {5: webp.getvalue()})
    assert "msg_item" not in str(wecom.frames)
    assert wecom.in_chat("alice")[1].data.startswith(b"\xff\xd8")


@pytest.mark.parametrize("why", ["cut", "expired", "refused", "unknown"])
async def test_trap_10_an_outcome_whose_stream_is_gone_is_sent(wecom: WecomSimulator, bot: Bot, why: str) -> None:
    origin, receipt = await ordered(wecom, bot)
    match why:
        case "cut":
            await reconnected(wecom, bot)
        case "expired":
            wecom.advance(361)
        case "refused":
            wecom.fail("code", frames.RESPOND, code=6000)
        case "unknown":
            wecom.fail("code", frames.RESPOND, code=987654)
    await bot.update(receipt, outcome(origin), CAT)
    # Where nothing can be answered any more, the card says all that the text would.
    assert seen(wecom) == ["stream", *([] if why == "cut" else ["markdown"]), "image", "template_card"]
    assert "画好了" in wecom.in_chat("alice")[-1].content
    assert wecom.calls.count(frames.RESPOND) == (1 if why == "cut" else 2)  # an old req_id is not even tried


async def test_trap_11_what_fires_hours_later_is_sent_into_its_chat(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("/draw 猫 --at 18:00", chat="wrGROUP")
    origin = replace(await bot.asked(), message_id="")
    wecom.advance(8 * 3600)
    receipt = await bot.post(card(origin))
    await bot.update(receipt, card(origin, RUNNING))  # what was sent cannot change, and nobody is told of each step
    await bot.update(receipt, outcome(origin), CAT)
    assert seen(wecom, "wrGROUP") == ["markdown", "image", "template_card"]
    # Without its type, WeCom would look for a person's name among the groups first.
    assert [frame["body"].get("chat_type") for frame in wecom.frames if frame["cmd"] == frames.SEND] == [2] * 3
    assert not wecom.strange


async def test_what_is_for_a_person_reaches_them_alone(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    await bot.asked()
    origin = Origin(platform="wecom", chat_id="", chat_type=ChatType.DIRECT, message_id="", sender="alice")
    await bot.post(Outbox("booked-1", origin, Reply(text="给你的")))
    assert wecom.texts("alice") == ["给你的"]


async def test_somebody_who_never_wrote_cannot_be_reached(wecom: WecomSimulator, bot: Bot) -> None:
    origin = Origin(platform="wecom", chat_id="", chat_type=ChatType.DIRECT, message_id="", sender="bob")
    with pytest.raises(Undelivered, match="nobody has written"):
        await bot.post(Outbox("booked-1", origin, Reply(text="给你的")))


async def test_two_answers_to_one_message_are_a_stream_and_a_message(wecom: WecomSimulator, bot: Bot) -> None:
    origin, _ = await ordered(wecom, bot)
    await bot.post(Outbox("late-1", origin, Reply(text="这条消息晚到了")))
    assert seen(wecom) == ["stream", "markdown"]


async def test_a_long_answer_goes_on_in_further_messages(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("讲讲")
    origin = await bot.asked()
    receipt = await bot.post(card(origin, ASKED))
    long = "\n".join(f"第 {number} 条：" + "年假" * 100 for number in range(60))
    await bot.update(receipt, card(origin, replace(ASKED, title="", text=long, streaming=True)))
    await bot.update(receipt, outcome(origin, replace(ANSWERED, text=long)))
    assert seen(wecom)[:2] == ["stream", "markdown"]
    said = "".join(wecom.texts("alice"))
    assert [f"第 {number} 条" in said for number in range(60)] == [True] * 60
    assert all(len(message.content.encode()) <= frames.TEXT_MAX for message in wecom.in_chat("alice"))
    assert not wecom.strange


# --- few streams, for a short time ------------------------------------------------------------------------------


async def test_a_third_stream_is_ended_at_once_with_a_promise(wecom: WecomSimulator, bot: Bot) -> None:
    streams = [await ordered(wecom, bot) for _ in range(3)]
    assert [message.finished for message in wecom.in_chat("alice")] == [False, False, True]
    assert "好了我发给你" in wecom.in_chat("alice")[2].content
    origin, receipt = streams[2]
    await bot.update(receipt, card(origin, RUNNING))
    await bot.update(receipt, Outbox("job-19-outcome", origin, FAILED))
    assert seen(wecom) == ["stream", "stream", "stream", "markdown"]
    await bot.update(streams[0][1], outcome(streams[0][0], FAILED))
    await ordered(wecom, bot)  # there is room again
    assert not wecom.in_chat("alice")[-1].finished
    wecom.say("/draw 还有", user="bob")
    await bot.asked(5)
    await bot.post(card(bot.house.last()))
    assert not wecom.in_chat("bob")[0].finished  # each person has their own


async def test_a_stream_is_ended_before_its_time_is_over(wecom: WecomSimulator, bot: Bot) -> None:
    bot.channel._streams._life = 0.05
    origin, receipt = await ordered(wecom, bot)
    await until(lambda: wecom.in_chat("alice")[0].finished)
    assert wecom.in_chat("alice")[0].content.endswith("还要一会儿，好了我发给你")
    await bot.update(receipt, outcome(origin, FAILED))
    assert seen(wecom) == ["stream", "markdown"]


async def test_streams_are_ended_when_the_program_stops(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house) as bot:
        await ordered(wecom, bot)
    assert wecom.in_chat("alice")[0].finished
    assert "好了我发给你" in wecom.in_chat("alice")[0].content


async def test_after_a_restart_the_outcome_is_sent(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house) as bot:
        origin, receipt = await ordered(wecom, bot)
    async with running(wecom, house) as bot:
        await bot.update(receipt, outcome(origin, FAILED))
    assert seen(wecom) == ["stream", "markdown"]


# --- nothing twice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "cut", "bye"])
async def test_what_may_have_arrived_is_not_sent_again_but_told(
    wecom: WecomSimulator, house: House, fault: str
) -> None:
    async with running(wecom, house, patience=BRISK) as bot:
        wecom.say("hello")
        message = outcome(replace(await bot.asked(), message_id=""))
        wecom.fail(fault, frames.SEND)
        receipt = await delivered(wecom, bot, message, None, CAT)
    assert seen(wecom) == ["image", "template_card", "markdown"]  # and the first one once
    assert "/jobs 17" in wecom.texts("alice")[-1]
    assert receipt["robot"]["steps"]["image-5"] == "unsure"


async def delivered(
    wecom: WecomSimulator, bot: Bot, message: Outbox, card: Mapping[str, Any] | None, images: Mapping[int, bytes]
) -> dict[str, Any]:
    """Send a message as the outbox does, until it is sent."""
    while True:
        try:
            return await (bot.post(message, images) if card is None else bot.update(card, message, images))
        except Elsewhere:  # nothing is kept but what the message itself kept
            await until(lambda: bot.listener.connected)
        except Retry as error:
            message.receipt.update(error.receipt)
        await asyncio.sleep(0.01)


async def test_what_was_refused_before_it_was_shown_is_sent_again(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    message = outcome(replace(await bot.asked(), message_id=""), FAILED)
    wecom.fail("code", frames.SEND, code=-1)
    with pytest.raises(Retry) as caught:
        await bot.post(message)
    message.receipt.update(caught.value.receipt)
    await bot.post(message)
    assert seen(wecom) == ["markdown"]


async def test_a_crash_between_sending_and_marking_is_told(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house) as bot:
        wecom.say("/draw 猫")
        message = outcome(await bot.asked(), FAILED)
        await bot.post(message)
    crashed = Outbox(message.key, message.origin, FAILED, receipt=message.kept[-1])  # what the outbox had at the end
    async with running(wecom, house) as bot:
        await bot.post(crashed)
        await bot.post(Outbox(crashed.key, crashed.origin, FAILED, receipt=crashed.kept[-1]))  # and once more
    assert seen(wecom) == ["stream", "markdown"]
    assert "/jobs 17" in wecom.texts("alice")[1]


async def test_an_answer_that_is_late_is_waited_for(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    wecom.fail("late", frames.SEND, seconds=0.3)
    receipt = await bot.post(outcome(replace(await bot.asked(), message_id=""), FAILED))
    assert receipt["robot"]["steps"] == {"text": "sent"}
    assert seen(wecom) == ["markdown"]


@pytest.mark.parametrize(("fault", "told"), [("drop", False), ("lost", False), ("cut", True)])
async def test_the_end_of_a_stream_is_said_again_while_that_can_be_done(
    wecom: WecomSimulator, house: House, fault: str, told: bool
) -> None:
    async with running(wecom, house, patience=BRISK) as bot:
        origin, receipt = await ordered(wecom, bot)
        wecom.fail(fault, frames.RESPOND)
        await delivered(wecom, bot, outcome(origin, FAILED), receipt, {})
    assert seen(wecom) == (["stream", "markdown"] if told else ["stream"])
    assert wecom.in_chat("alice")[0].finished


async def test_a_card_whose_first_frame_is_not_answered_is_not_said_again(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.fail("cut", frames.RESPOND)
    opened = wecom.gateway.opened
    origin, receipt = await ordered(wecom, bot)
    await until(lambda: wecom.gateway.opened > opened and bot.listener.connected)
    await bot.update(receipt, outcome(origin, FAILED))
    assert seen(wecom) == ["stream", "markdown"]
    assert "没有画成" in wecom.texts("alice")[1]


async def test_without_a_connection_nothing_is_tried(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house, patience=replace(SOON, retry=60.0)) as bot:
        origin, receipt = await ordered(wecom, bot)
        wecom.gateway.cut()
        await until(lambda: not bot.listener.connected)
        message = outcome(origin)
        with pytest.raises(Elsewhere):
            await bot.update(receipt, message, CAT)
        assert message.receipt == {}


# --- uploads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "session lost", "piece dropped", "busy", "finish refused"])
async def test_a_file_goes_up_in_pieces_whatever_happens(wecom: WecomSimulator, house: House, fault: str) -> None:
    match fault:
        case "session lost":
            wecom.fail("lose", frames.UPLOAD_CHUNK)
        case "piece dropped":
            wecom.fail("lost", frames.UPLOAD_CHUNK)
        case "busy":
            wecom.fail("code", frames.UPLOAD_CHUNK, code=-1)
        case "finish refused":
            wecom.fail("code", frames.UPLOAD_FINISH, code=40058)
    data = png() + bytes(2 * uploads.CHUNK)
    async with running(wecom, house, patience=BRISK) as bot:
        wecom.say("hello")
        await bot.post(outcome(replace(await bot.asked(), message_id="")), {5: data})
    assert wecom.in_chat("alice")[0].data == data
    sent = [frame["body"]["chunk_index"] for frame in wecom.frames if frame["cmd"] == frames.UPLOAD_CHUNK]
    assert min(sent) == 0
    assert not wecom.strange


async def test_an_upload_that_fails_again_and_again_shows_nothing(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.fail("lose", frames.UPLOAD_CHUNK, times=99)
    wecom.say("hello")
    with pytest.raises(Retry, match="3 times"):
        await bot.post(outcome(replace(await bot.asked(), message_id="")), CAT)
    assert seen(wecom) == []


async def test_a_picture_that_wecom_forgot_is_uploaded_again(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    origin = replace(await bot.asked(), message_id="")
    wecom.fail("code", frames.SEND, code=45009)
    message = outcome(origin)
    with pytest.raises(Busy) as caught:  # it is uploaded, and nothing is said yet
        await bot.post(message, CAT)
    message.receipt.update(caught.value.receipt)
    bot.channel._reach._minute = Budget(30, 60.0)  # a minute later
    wecom.advance(3 * 86400 + 1)
    with pytest.raises(Retry, match="uploaded again") as again:
        await bot.post(message, CAT)
    message.receipt.update(again.value.receipt)
    await bot.post(message, CAT)
    assert seen(wecom) == ["image", "template_card"]
    assert wecom.calls.count(frames.UPLOAD_FINISH) == 2


async def test_a_picture_without_a_file_is_undelivered_before_anything_is_shown(
    wecom: WecomSimulator, bot: Bot
) -> None:
    wecom.say("hello")
    with pytest.raises(Undelivered, match="no file"):
        await bot.post(outcome(await bot.asked()), {})
    assert seen(wecom) == []


async def test_pieces_are_counted_from_nought_and_two_are_on_their_way() -> None:
    at_once, most, indexes = 0, 0, []

    async def ask(cmd: str, body: Mapping[str, Any]) -> frames.Frame:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        if cmd == frames.UPLOAD_CHUNK:
            indexes.append(body["chunk_index"])
        return frames.Frame(cmd="", req_id="r", code=0, body={"upload_id": "u", "media_id": "m"})

    assert await uploads.upload(ask, "image", "画" * 200, b"x" * (5 * uploads.CHUNK + 1)) == "m"
    assert (most, sorted(indexes)) == (2, [0, 1, 2, 3, 4, 5])
    for data in (b"1234", b"x" * (100 * uploads.CHUNK + 1)):
        with pytest.raises(Undelivered):
            await uploads.upload(ask, "image", "x", data)


# --- presses ----------------------------------------------------------------------------------------------------


async def drawn(wecom: WecomSimulator, bot: Bot, chat: str | None = None) -> Seen:
    origin, receipt = await ordered(wecom, bot, chat=chat)
    await bot.update(receipt, outcome(origin), CAT)
    return wecom.in_chat(chat or "alice")[2]


async def test_a_pressed_card_is_shown_anew_with_what_was_done(wecom: WecomSimulator, bot: Bot) -> None:
    buttons = await drawn(wecom, bot, chat="wrGROUP")
    bot.house.answers = [Pressed("success", "已排队 #18", Shown(reply=DRAWN, receipt={}))]
    wecom.press(buttons, "重画", user="bob")
    await until(lambda: "已排队 #18" in buttons.content)
    (event,) = bot.house.pressed
    # trap 21: anyone in the group can press, so who did is what counts
    assert (event.sender.external_id, event.action, event.value) == ("bob", "redo", {"job": 17})
    assert event.origin.message_id == buttons.task_id
    assert len(wecom.in_chat("wrGROUP")) == 3


async def test_trap_21_a_press_is_answered_within_its_five_seconds_or_by_a_message(
    wecom: WecomSimulator, bot: Bot
) -> None:
    buttons = await drawn(wecom, bot)
    bot.house.answers = [
        Pressed("warning", "这张图不是你的"),
        Pressed("success", "已取消", Shown(reply=FAILED, receipt={})),  # with nothing to press left
        Pressed("info", "已经处理过了"),
        Pressed("success", "好的", Shown(reply=DRAWN, receipt={})),
    ]
    for count in range(1, 4):
        wecom.press(buttons, "重画")
        await until(lambda count=count: len(bot.house.pressed) == count)  # type: ignore[misc]
    wecom.fail("code", frames.UPDATE, code=846605)  # too late
    wecom.press(buttons, "重画")
    await until(lambda: len(wecom.texts("alice")) == 5)
    assert wecom.texts("alice")[2:] == ["这张图不是你的", "已取消", "好的"]


async def test_a_press_that_fails_does_no_harm(
    wecom: WecomSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(wecom, house) as bot:
        buttons = await drawn(wecom, bot)

        async def act(event: Any) -> Pressed:
            raise ValueError("a defect")

        bot.listener._act = act
        wecom.press(buttons, "重画")
        await until(lambda: "failed" in caplog.text)
        await ordered(wecom, bot)


# --- pace -------------------------------------------------------------------------------------------------------


async def test_trap_23_progress_leaves_room_for_outcomes(
    wecom: WecomSimulator, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "interval", lambda sent: 0.0)
    origin, receipt = await ordered(wecom, bot)
    dropped = 0
    for step in range(60):
        try:
            await bot.update(receipt, card(origin, replace(RUNNING, progress=(step, 60))))
        except Busy:
            dropped += 1
    await bot.update(receipt, outcome(origin), CAT)
    assert dropped == 60 - reach.PASSING_MINUTE + 1
    assert seen(wecom) == ["stream", "image", "template_card"]
    assert wecom.in_chat("alice")[0].finished


async def test_what_wecom_has_no_room_for_waits(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    message = outcome(replace(await bot.asked(), message_id=""), FAILED)
    wecom.fail("code", frames.SEND, code=45009)
    for _ in range(2):
        with pytest.raises(Busy) as caught:
            await bot.post(message)
        message.receipt.update(caught.value.receipt)
        assert (caught.value.after or 0) > 50
    assert wecom.calls.count(frames.SEND) == 1


@pytest.mark.parametrize(("sent", "seconds"), [(0, 0.8), (3, 1.8), (12, 4.8)])
def test_progress_slows_down_as_a_conversation_fills(sent: int, seconds: float) -> None:
    assert reach.interval(sent) == pytest.approx(seconds)


def test_a_minute_of_progress_lasts_for_a_minute() -> None:
    at, sent = 0.0, [0.0]
    while at < 600:
        at += reach.interval(sum(one > at - 60 for one in sent))
        sent.append(at)
        assert sum(one > at - 60 for one in sent) <= reach.PASSING_MINUTE
    assert len(sent) > 100  # and it goes on


async def test_messages_to_one_chat_do_not_mix(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    origin = replace(await bot.asked(), message_id="")
    messages = [Outbox(f"job-{number}-outcome", origin, DRAWN) for number in range(3)]
    await asyncio.gather(*(bot.post(message, CAT) for message in messages))
    assert seen(wecom) == ["image", "template_card"] * 3


async def test_what_a_press_ordered_is_not_told_twice(wecom: WecomSimulator, bot: Bot) -> None:
    """The pressed card says that it is under way; its pictures come with a card of their own."""
    wecom.say("hello")
    origin = replace(await bot.asked(), message_id="moqi-0123456789abcdef01234567")
    receipt = await bot.post(card(origin))
    assert seen(wecom) == []
    await bot.update(receipt, outcome(origin), CAT)
    assert seen(wecom) == ["image", "template_card"]
