"""The robot in callback mode, asked by a simulated WeCom over real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from PIL import Image

from bot.context import Pressed, Shown
from bot.delivery import Cards, Sender, reply_row
from bot.events import ChatEvent
from bot.platforms.base import Retry, Undelivered
from bot.platforms.wecom.people import People
from bot.platforms.wecom.places import Way, place_of
from bot.platforms.wecom.platform import WecomPlatform
from bot.platforms.wecom.robot import pulled
from bot.platforms.wecom.robot.pulled import stream_of
from bot.reply import Button, Reply
from storage import inbox, outbox
from storage import wecom_replies as replies
from storage.database import Database
from storage.records import DeliveryState, utcnow
from storage.wecom_replies import ReplyState
from tests.bot.platforms.wecom.robot.door import WORDS, Bot, drawn, opened, queued
from tests.bot.platforms.wecom.robot.stage import House
from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_crypto import seal

BUTTONS = (Button(action="redo", label="重画", value={"job": 17}),)


def png(side: int = 8, kind: str = "PNG") -> bytes:
    raw = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(raw, kind)
    return raw.getvalue()


@pytest.fixture
async def bot(wecom: WecomSimulator, house: House, db: Database) -> AsyncIterator[Bot]:
    async with opened(wecom, house, db) as found:
        yield found


# --- the address proves itself ------------------------------------------------------------------------------------


async def test_trap_03_the_echo_comes_back_bare_and_with_its_plus(bot: Bot) -> None:
    good, why = await asyncio.to_thread(bot.wecom.verify_robot)
    assert good, why
    sealed = ""
    while "+" not in sealed:
        sealed = seal(bot.wecom.robot.aes_key, b"1234567890", "")
    for echostr in (sealed.replace("+", "%2B"), sealed):  # as it should be sent, and as some send it
        stamp = str(int(time.time()))
        parts = sorted((bot.wecom.robot.token, stamp, "n", sealed))
        sign = hashlib.sha1("".join(parts).encode()).hexdigest()
        raw = f"msg_signature={sign}&timestamp={stamp}&nonce=n&echostr={echostr}".encode()
        answer = await bot.robot.handle("GET", raw, b"", bot.house.accept, bot.house.act)
        assert answer == (200, "text/plain", "1234567890")


async def test_trap_04_a_robot_has_no_receive_id(bot: Bot) -> None:
    good, _ = await asyncio.to_thread(bot.wecom.verify_robot)
    assert good
    asked = await bot.say("/help", receive_id=bot.wecom.app.corp_id, tries=1)
    assert asked.statuses == [401]
    assert bot.house.events == []


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"token": "another"}, 401),
        ({"body": b"<xml/>"}, 400),
        ({"body": b"x" * 1_000_001}, 413),
    ],
)
async def test_what_wecom_did_not_send_is_refused(bot: Bot, wrong: dict[str, object], status: int) -> None:
    asked = await bot.say("/help", tries=1, **wrong)
    assert asked.statuses == [status]
    assert bot.house.events == []


async def test_an_old_callback_is_refused_though_genuine(bot: Bot) -> None:
    bot.clock.passed = pulled.LIFE * 3
    assert (await bot.say("/help", tries=1)).statuses == [401]


# --- a message and its answer -------------------------------------------------------------------------------------


async def test_an_answer_grows_and_ends_with_its_pictures(bot: Bot) -> None:
    await bot.say("/draw 一只猫")
    card = bot.outbox(queued(), "job-17-card")
    receipt = await bot.post(card)
    await bot.shown(lambda: any("第 1 位" in text for text in bot.wecom.texts("alice")))
    running = replace(queued(), state="running", title="正在画", progress=(3, 8))
    await bot.update(receipt, replace(card, reply=running))
    await bot.shown(lambda: any("3/8" in text for text in bot.wecom.texts("alice")))
    outcome = bot.outbox(replace(drawn(17, 1, 2), buttons=BUTTONS), "job-17-outcome")
    done = await bot.update(receipt, outcome, {1: png(), 2: png(9)})
    stream, card_shown = bot.wecom.in_chat("alice")
    assert stream.finished
    assert stream.images == [png(), png(9)]
    assert "画好了" in stream.content
    assert card_shown.card["task_id"] == done["message_id"]
    assert [text for text, _ in card_shown.buttons] == ["重画"]
    assert not bot.wecom.strange


async def test_trap_07_every_answer_is_the_whole_text(bot: Bot) -> None:
    await bot.say("年假怎么休？")
    asked = bot.outbox(Reply(state="running", job=3, text="第一句。", streaming=True), "job-3-card")
    receipt = await bot.post(asked)
    await bot.shown(lambda: bot.wecom.texts("alice")[-1] == "第一句。")
    await bot.update(receipt, replace(asked, reply=replace(asked.reply, text="第一句。第二句。")))
    await bot.shown(lambda: bot.wecom.texts("alice")[-1] == "第一句。第二句。")
    await bot.update(receipt, bot.outbox(Reply(state="done", job=3, text="第一句。第二句。完。"), "job-3-outcome"))
    assert bot.wecom.texts("alice") == ["第一句。第二句。完。"]
    assert bot.wecom.messages[-1].finished  # a bubble that is closed with blanks would go on thinking


async def test_trap_09_pictures_come_with_the_end_only_and_md5_is_of_their_bytes(bot: Bot) -> None:
    assert "msg_item" not in pulled.stream("s", "x", finish=False)["stream"]
    (item,) = pulled.stream("s", "x", finish=True, images=[b"abc"])["stream"]["msg_item"]
    assert item["image"] == {"base64": base64.b64encode(b"abc").decode(), "md5": hashlib.md5(b"abc").hexdigest()}
    await bot.say("/draw 一只猫")
    await bot.post(bot.outbox(drawn(17, 1)), {1: png(8, "WEBP")})  # WeCom takes no WebP
    assert bot.wecom.messages[-1].images[0].startswith(b"\xff\xd8\xff")
    assert not bot.wecom.strange


async def test_trap_08_a_message_is_answered_by_a_stream_and_a_welcome_by_a_text(bot: Bot) -> None:
    said = await bot.say("/help")
    assert said.answer is not None
    assert said.answer["msgtype"] == "stream"
    welcome = asyncio.create_task(asyncio.to_thread(bot.wecom.enter, "bob"))
    while len(bot.house.events) < 2:
        await asyncio.sleep(0.01)
    await bot.post(bot.outbox(Reply(title="你好", text="我是墨契"), "event-2"))
    entered = await welcome
    assert entered.answer == {"msgtype": "text", "text": {"content": "你好\n\n我是墨契"}}
    assert not bot.wecom.strange


async def test_who_was_greeted_before_is_not_kept_waiting(bot: Bot, db: Database) -> None:
    async def ignore() -> None:
        while not bot.house.events:
            await asyncio.sleep(0.01)
        entry = db.read_sync(inbox.find, "wecom", bot.house.events[0].key)
        assert entry is not None
        db.run_sync(inbox.handled, entry.id, "ignored:greeted before", utcnow())

    ignoring = asyncio.create_task(ignore())
    entered = await asyncio.to_thread(bot.wecom.enter, "alice")
    await ignoring
    assert entered.answer is None
    assert entered.seconds[0] < 2


async def test_a_message_that_nothing_follows_is_not_left_open(bot: Bot, db: Database) -> None:
    await bot.say("/help")
    entry = db.read_sync(inbox.find, "wecom", bot.house.events[0].key)
    assert entry is not None
    db.run_sync(inbox.handled, entry.id, "ignored:not for us", utcnow())
    await bot.shown(lambda: bot.wecom.messages[-1].finished)
    assert bot.wecom.messages[-1].content == WORDS.say("robot.seen")


async def test_it_is_kept_before_it_is_acknowledged(bot: Bot) -> None:
    bot.house.fails = 1
    asked = await bot.say("/draw 一只猫")
    assert asked.statuses == [500, 200]
    assert len(bot.house.events) == 1


async def test_the_same_message_twice_is_one_answer(bot: Bot) -> None:
    asked = await bot.say("/help")
    await bot.post(bot.outbox(Reply(text="帮助")))
    await asyncio.to_thread(bot.wecom.again, asked)
    assert bot.wecom.texts("alice") == ["帮助"]
    assert asked.answer is not None
    assert asked.answer["stream"]["content"] == "帮助"
    assert bot.house.texts() == ["/help"]
    assert not bot.wecom.strange


async def test_the_address_of_the_response_is_a_secret(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "moqi")
    asked = await bot.say("/draw 一只猫")
    row = bot.house.db.read_sync(replies.get, stream_of(asked.msgid))
    assert row is not None
    assert row.response_url == asked.body["response_url"]
    assert asked.response_code not in repr(row)
    assert asked.response_code not in json.dumps([event.to_json() for event in bot.house.events])
    assert asked.response_code not in caplog.text


# --- when the stream is over --------------------------------------------------------------------------------------


async def test_a_third_answer_ends_early_and_its_result_comes_separately(bot: Bot) -> None:
    texts = ["/draw 一", "/draw 二", "/draw 三"]
    for number, text in enumerate(texts, 1):
        await bot.say(text)
        last = await bot.post(bot.outbox(queued(number), f"job-{number}-card"))
    await bot.shown(lambda: bot.wecom.messages[-1].finished)
    assert WORDS.say("robot.queued") in bot.wecom.texts("alice")[-1]
    assert [message.finished for message in bot.wecom.messages] == [False, False, True]
    receipt = await bot.update(last, bot.outbox(drawn(3, 1), "job-3-outcome"), {1: png()})
    assert receipt["how"] == "response_url"
    told = bot.wecom.messages[-1]
    assert told.kind == "markdown"
    assert told.answers == bot.wecom.messages[2].answers
    assert "/jobs 3" in told.content  # no pictures go this way
    assert not bot.wecom.strange


async def test_trap_10_a_stream_that_gets_too_old_loses_no_result(bot: Bot) -> None:
    await bot.say("/draw 一只猫")
    receipt = await bot.post(bot.outbox(queued(), "job-17-card"))
    bot.clock.advance(301)
    await bot.shown(lambda: bot.wecom.messages[-1].finished)
    assert bot.wecom.texts("alice")[-1].endswith(WORDS.say("robot.longer"))
    await bot.update(receipt, bot.outbox(drawn(), "job-17-outcome"))
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]
    assert not bot.wecom.strange


async def test_trap_11_hours_later_neither_stream_nor_address_is_left(bot: Bot) -> None:
    await bot.say("/draw 一只猫 --at 22:00")
    bot.clock.advance(3700)
    with pytest.raises(Undelivered, match="nothing is open"):
        await bot.post(bot.outbox(queued(), "job-17-card"))
    with pytest.raises(Undelivered, match="no response_url is left"):
        await bot.post(bot.outbox(drawn(), "job-17-outcome"))


async def test_the_last_answer_is_not_spent_on_saying_that_it_comes_late(bot: Bot) -> None:
    await bot.say("/quota")
    bot.clock.advance(1000)
    with pytest.raises(Undelivered, match="is kept for what was asked"):
        await bot.post(bot.outbox(Reply(text="晚了 16 分钟"), "late-1"))
    assert (await bot.post(bot.outbox(Reply(text="还剩 3"), "event-1")))["how"] == "response_url"


async def test_an_end_that_nobody_comes_for_goes_another_way_and_only_that(bot: Bot) -> None:
    bot.wecom.sender.refresh_seconds = 1000.0
    asked = await bot.say("/draw 一只猫")
    message = bot.outbox(drawn(), "job-17-outcome")
    sending = asyncio.create_task(bot.post(message))
    while (row := bot.house.db.read_sync(replies.get, stream_of(asked.msgid))) is None or row.delivery == "":
        await asyncio.sleep(0.01)
    bot.clock.advance(pulled.PATIENCE.total_seconds() + 1)
    assert (await sending)["how"] == "response_url"
    raw = bot.house.db.read_sync(replies.get, stream_of(asked.msgid))
    assert raw is not None
    assert raw.state is ReplyState.OVER
    late = await bot.robot._refresh(raw.stream)  # WeCom comes after all
    assert late["stream"] == {"id": raw.stream, "finish": True, "content": WORDS.say("robot.separate")}
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]


async def test_what_was_ordered_by_a_pressed_card_comes_by_its_message(bot: Bot) -> None:
    await bot.say("/draw 一只猫")
    await bot.post(bot.outbox(replace(drawn(), buttons=BUTTONS), "job-17-outcome"))
    shown = Reply(title="画好了", state="done", job=17, text="一只猫", buttons=BUTTONS)
    bot.house.answers.append(Pressed("success", "已排队，任务 #18", Shown(reply=shown, receipt={})))
    card = bot.wecom.messages[-1]
    origin = bot.house.last()
    pressed = await asyncio.to_thread(bot.wecom.press, card, "重画")
    assert pressed.answer is not None
    assert pressed.answer["response_type"] == "update_template_card"
    assert "已排队，任务 #18" in bot.wecom.messages[-1].content
    again = bot.outbox(queued(18), "job-18-card", origin)
    receipt = await bot.post(again)
    assert receipt["how"] == "later"
    for number in (18, 19):  # the message's own address, then the press's
        await bot.update(receipt, bot.outbox(drawn(number), f"job-{number}-outcome", origin))
    assert [message.kind for message in bot.wecom.messages][-2:] == ["markdown", "markdown"]
    with pytest.raises(Undelivered):
        await bot.post(bot.outbox(drawn(20), "job-20-outcome", origin))
    assert not bot.wecom.strange


async def test_a_card_with_nothing_left_to_press_still_says_what_was_done(bot: Bot) -> None:
    await bot.say("/draw 一只猫 --at 22:00")
    cancel = Button(action="res_cancel", label="取消", value={"reservation": 3, "version": 1})
    await bot.post(bot.outbox(Reply(title="预约 r3", text="一只猫", buttons=(cancel,)), "res-3-x"))
    bot.house.answers.append(Pressed("success", "已取消", Shown(reply=Reply(title="预约已取消"), receipt={})))
    await asyncio.to_thread(bot.wecom.press, bot.wecom.messages[-1], "取消")
    assert "预约已取消" in bot.wecom.messages[-1].content
    assert bot.wecom.messages[-1].content.endswith("已取消")
    assert [text for text, _ in bot.wecom.messages[-1].buttons] == ["已处理"]
    assert not bot.wecom.strange


async def test_an_opinion_is_about_the_job_that_was_answered(bot: Bot) -> None:
    await bot.say("年假怎么休？")
    await bot.post(bot.outbox(Reply(state="done", job=3, text="五天。"), "job-3-outcome"))
    told = await asyncio.to_thread(bot.wecom.feedback, bot.wecom.messages[-1], 2, reasons=[1])
    assert told.answer is None
    assert [(event.action, event.value["job"]) for event in bot.house.pressed] == [("vote_down", 3)]


# --- faults and crashes -------------------------------------------------------------------------------------------


async def _separate(bot: Bot) -> str:
    """A message whose stream has ended early; the stream's id."""
    asked = await bot.say("/draw 一只猫")
    await bot.post(bot.outbox(queued(), "job-17-card"))
    bot.clock.advance(301)
    await bot.shown(lambda: bot.wecom.messages[-1].finished)
    return stream_of(asked.msgid)


@pytest.mark.parametrize("fault", ["cut"])
async def test_an_answer_that_was_lost_is_asked_for_by_the_same_address(bot: Bot, fault: str) -> None:
    await _separate(bot)
    bot.wecom.fail(fault, "aibot/response")  # it acts, and hangs up
    message = bot.outbox(drawn(), "job-17-outcome")
    with pytest.raises(Retry):
        await bot.post(message)
    assert (await bot.post(message))["how"] == "response_url"
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]


@pytest.mark.parametrize("fault", ["html", "reset"])
async def test_what_was_not_taken_is_sent_again(bot: Bot, fault: str) -> None:
    await _separate(bot)
    bot.wecom.fail(fault, "aibot/response")
    message = bot.outbox(drawn(), "job-17-outcome")
    with pytest.raises(Retry):
        await bot.post(message)
    await bot.post(message)
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]


async def test_an_address_that_is_refused_is_tried_by_nobody_again(bot: Bot) -> None:
    await _separate(bot)
    bot.wecom.fail("code", "aibot/response", code=40058)
    with pytest.raises(Undelivered, match="40058"):
        await bot.post(bot.outbox(drawn(), "job-17-outcome"))
    with pytest.raises(Undelivered, match="no response_url is left"):
        await bot.post(bot.outbox(drawn(), "job-17-outcome"))


async def test_a_busy_wecom_is_asked_again_later(bot: Bot) -> None:
    await _separate(bot)
    bot.wecom.fail("code", "aibot/response", code=45009)
    message = bot.outbox(drawn(), "job-17-outcome")
    with pytest.raises(Retry) as raised:
        await bot.post(message)
    assert raised.value.after == 60.0
    await bot.post(message)
    assert bot.wecom.messages[-1].kind == "markdown"


async def test_a_crash_before_the_address_was_used_loses_nothing(bot: Bot, db: Database) -> None:
    stream, message = await _separate(bot), bot.outbox(drawn(), "job-17-outcome")
    assert db.run_sync(replies.use, stream, message.key)
    await bot.post(message)
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]


async def test_a_crash_after_the_address_was_used_shows_nothing_twice(bot: Bot) -> None:
    await _separate(bot)
    message = bot.outbox(drawn(), "job-17-outcome")
    for _ in range(2):  # the outbox does not know that it was sent
        await bot.post(message)
    assert [message.kind for message in bot.wecom.messages] == ["stream", "markdown"]


async def test_another_process_is_asked_by_wecom(bot: Bot, wecom: WecomSimulator, house: House, db: Database) -> None:
    """The row is the truth: one process sends, the other one is asked, pictures included."""
    files = {1: png()}
    await bot.say("/draw 一只猫")
    async with opened(wecom, house, db, read=lambda asset, origin: files[asset]) as other:
        assert wecom.robot.url
        receipt = await bot.post(bot.outbox(queued(), "job-17-card"))
        await bot.shown(lambda: "第 1 位" in wecom.texts("alice")[-1])
        done = await bot.update(receipt, bot.outbox(drawn(17, 1), "job-17-outcome"), files)
        assert done["how"] == "stream"
        assert wecom.messages[-1].images == [png()]
        assert other.robot is not bot.robot


async def test_a_restart_loses_no_result(bot: Bot, wecom: WecomSimulator, house: House, db: Database) -> None:
    wecom.sender.refresh_seconds = 0.5
    await bot.say("/draw 一只猫")
    message = bot.outbox(drawn(17, 1), "job-17-outcome")
    sending = asyncio.create_task(bot.robot.post(place_of(message.origin), message.message(), {1: png()}))
    await asyncio.sleep(0.05)
    sending.cancel()  # the program stops before WeCom has come
    async with opened(wecom, house, db) as next_one:
        wecom.sender._stopping.clear()
        assert (await next_one.post(message, {1: png()}))["how"] == "stream"
    assert wecom.messages[-1].images == [png()]
    assert len(wecom.messages) == 1


async def test_pictures_whose_files_are_gone_leave_the_words(bot: Bot) -> None:
    await bot.say("/draw 一只猫")
    files: dict[int, bytes] = {}
    bot.robot._read = lambda asset, origin: files[asset]
    await bot.post(bot.outbox(drawn(17, 1)), {})
    assert bot.wecom.messages[-1].finished
    assert "/jobs 17" in bot.wecom.messages[-1].content


async def test_the_delivery_loop_sends_by_it_as_by_any_platform(bot: Bot, db: Database) -> None:
    """Put off while WeCom does not come, and that counts for no try; sent once it has come."""
    bot.wecom.sender.refresh_seconds = 1.0
    await bot.say("/help")
    platform = WecomPlatform({Way.ROBOT: bot.robot}, People(None, db), nothing)
    sender = Sender(
        db, {"wecom": platform}, lambda conn, one: Reply.from_json(one.body), lambda asset, origin: b"", Cards()
    )
    db.run_sync(reply_row, "event-1", bot.house.last(), Reply(text="帮助"), utcnow())
    running = asyncio.create_task(sender.run())
    async with asyncio.timeout(20):
        while (row := db.read_sync(outbox.by_key, "event-1")) is None or row.state is DeliveryState.PENDING:
            await asyncio.sleep(0.02)
    await sender.stop(5)
    await running
    assert (row.state, row.attempts, row.receipt["way"]) == (DeliveryState.SENT, 1, "robot")
    await bot.shown(lambda: bot.wecom.messages[-1].finished)
    assert bot.wecom.texts("alice") == ["帮助"]


async def nothing(event: ChatEvent, kind: str, limit: int) -> None:
    """No message here carries a file."""


async def test_old_answers_are_forgotten(bot: Bot, db: Database) -> None:
    asked = await bot.say("/help")
    bot.clock.advance(2 * 86400)
    await bot.robot._clean(bot.clock.now())
    assert db.read_sync(replies.get, stream_of(asked.msgid)) is None
