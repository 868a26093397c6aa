"""The robot's long connection against the simulated WeCom: kept first, matched by req_id, back after each end."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection as Transaction

from bot.platforms.base import Elsewhere, Unconfigured, Undelivered
from bot.platforms.wecom.robot import frames, listener
from bot.platforms.wecom.robot.codes import Unsure
from bot.platforms.wecom.robot.connection import Connection, Patience, following, pause
from bot.platforms.wecom.robot.decode import decode as decoded
from bot.platforms.wecom.settings import WecomAibot
from storage.records import utcnow
from storage.tables import leases as leases_table
from tests.bot.platforms.wecom.robot.stage import BRISK, SOON, Bot, House, running, until
from tests.simulators.wecom import WecomSimulator


@pytest.mark.parametrize(
    ("attempt", "chance", "seconds"),
    [(0, 0.0, 0.0), (0, 1.0, 0.2), (1, 0.0, 0.5), (1, 1.0, 1.0), (3, 1.0, 4.0), (6, 1.0, 30.0), (99, 0.0, 15.0)],
)
def test_waits_longer_each_time_but_never_half_a_minute(attempt: int, chance: float, seconds: float) -> None:
    assert pause(attempt, chance) == pytest.approx(seconds)


@pytest.mark.parametrize(("attempt", "lasted", "number"), [(3, None, 4), (0, 5.0, 0), (7, 5.0, 0), (7, 0.2, 1)])
def test_what_was_connected_is_not_punished_for_it(attempt: int, lasted: float | None, number: int) -> None:
    assert following(attempt, lasted) == number


def asking(bot: Bot) -> Connection:
    connection = bot.listener._connection
    assert connection is not None
    return connection


# --- events in --------------------------------------------------------------------------------------------------


async def test_a_message_is_kept_before_anything_is_done_with_it(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("/draw 猫", chat="wrGROUP")
    origin = await bot.asked()
    assert bot.house.texts() == ["/draw 猫"]
    assert (origin.chat_id, origin.sender) == ("wrGROUP", "alice")
    assert not wecom.strange


async def test_trap_02_a_message_that_comes_twice_is_worked_on_once(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.fail("twice", frames.MESSAGE)
    asked = wecom.say("/draw 猫")
    await bot.asked(2)
    wecom.gateway.close(1001)
    await until(lambda: wecom.gateway.opened == 2 and bot.listener.connected)
    wecom.again(asked)
    await bot.asked(3)
    assert bot.house.texts() == ["/draw 猫"]


async def test_trap_13_a_handler_that_waits_holds_up_neither_answers_nor_pings(
    wecom: WecomSimulator, house: House
) -> None:
    async with running(wecom, house, patience=BRISK) as bot:
        house.open.clear()
        wecom.say("first")
        wecom.say("second", user="bob")
        await until(lambda: wecom.calls.count("ping") > 1)  # with events in hand that nobody has kept
        with pytest.raises(Undelivered):
            await asking(bot).ask(frames.SEND, {"chatid": "nobody", "chat_type": 1, "msgtype": "markdown"})
        assert wecom.gateway.opened == 1
        house.open.set()
        await bot.asked(2)
        assert house.texts() == ["first", "second"]


async def test_trap_13_the_first_frame_need_not_be_the_answer_to_the_subscription(
    wecom: WecomSimulator, house: House
) -> None:
    wecom.fail("late", frames.SUBSCRIBE, seconds=0.3)
    async with running(wecom, house, connected=False) as bot:
        await until(lambda: wecom.gateway.of(wecom.robot))
        wecom.say("before the answer")
        await bot.asked()
        assert not bot.listener.connected
        await until(lambda: bot.listener.connected)


async def test_trap_14_answers_are_found_by_their_req_id_in_any_order(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    await bot.asked()
    body = {"chatid": "alice", "chat_type": 1, **frames.markdown("late")}
    wecom.fail("late", frames.SEND, seconds=0.3)
    late = asyncio.create_task(asking(bot).ask(frames.SEND, body, req_id="one", patience=5.0))
    await until(lambda: wecom.calls.count(frames.SEND) == 1)
    with pytest.raises(Undelivered):
        await asking(bot).ask(frames.SEND, {**body, "chatid": "nobody"}, req_id="two")
    assert not late.done()
    assert (await late).req_id == "one"


async def test_two_frames_under_one_req_id_are_sent_one_after_the_other(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    await bot.asked()
    wecom.fail("late", frames.SEND, seconds=0.2)
    body = {"chatid": "alice", "chat_type": 1, **frames.markdown("1")}
    first = asyncio.create_task(asking(bot).ask(frames.SEND, body, req_id="same", patience=5.0))
    await until(lambda: wecom.calls.count(frames.SEND) == 1)
    with pytest.raises(Undelivered):  # not the answer to the first
        await asking(bot).ask(frames.SEND, {**body, "chatid": "nobody"}, req_id="same")
    await first


async def test_control_characters_in_a_frame_do_no_harm(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.fail("control", frames.MESSAGE)
    wecom.say("/draw 猫")
    await bot.asked()
    assert bot.house.texts() == ["/draw 猫"]


async def test_what_is_no_frame_is_passed_over(
    wecom: WecomSimulator, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    link = wecom.gateway.of(wecom.robot)
    assert link is not None
    for nonsense in ("", "no json", "[]", '{"cmd": 7}', '{"headers": 3, "body": []}', "[" * 100_000):
        link.send(nonsense)
    link.send('{"cmd": "aibot_msg_callback", "headers": {"req_id": "r"}, "body": {"msgtype": "text", "from": "x"}}')
    wecom.say("after")
    await bot.asked()
    assert bot.house.texts() == ["after"]
    assert "is not JSON" in caplog.text


async def test_events_wait_in_order_while_the_disk_is_full(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house) as bot:
        house.fails = 3
        for number in range(5):
            wecom.say(f"{number}")
        await bot.asked(5)
        assert house.texts() == ["0", "1", "2", "3", "4"]


async def test_trap_20_a_defect_in_one_event_ends_nothing(
    wecom: WecomSimulator, house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept(event: Any) -> None:
        if event.text == "not kept":
            raise ValueError("a defect")
        await House.accept(house, event)

    def decode(body: Any, settings: Any, now: Any) -> Any:
        if "not read" in str(body):
            raise ValueError("a defect")
        return decoded(body, settings, now)

    monkeypatch.setattr(listener, "decode", decode)
    house.accept = accept  # type: ignore[method-assign]
    async with running(wecom, house) as bot:
        for text in ("not read", "not kept", "whole"):
            wecom.say(text)
        await bot.asked()
        assert house.texts() == ["whole"]
        assert wecom.gateway.opened == 1
    assert "cannot be read" in caplog.text
    assert "was not kept" in caplog.text


# --- coming back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["clean", "going away", "cut"])
async def test_comes_back_whatever_ended_the_connection(wecom: WecomSimulator, bot: Bot, end: str) -> None:
    match end:
        case "clean":
            wecom.gateway.close(1000)
        case "going away":
            wecom.gateway.close(1001)
        case "cut":
            wecom.gateway.cut()
    await until(lambda: wecom.gateway.opened == 2 and bot.listener.connected)
    wecom.say("again")
    await bot.asked()


async def test_two_pings_without_an_answer_end_the_connection_and_one_does_not(
    wecom: WecomSimulator, house: House
) -> None:
    async with running(wecom, house, patience=BRISK) as bot:
        wecom.fail("drop", "ping")
        await until(lambda: wecom.calls.count("ping") == 3)
        assert wecom.gateway.opened == 1
        wecom.fail("drop", "ping", times=2)
        await until(lambda: wecom.gateway.opened == 2 and bot.listener.connected)


async def test_a_subscription_that_is_cut_or_not_answered_is_tried_again(wecom: WecomSimulator, house: House) -> None:
    wecom.fail("close", frames.SUBSCRIBE)
    wecom.fail("lost", frames.SUBSCRIBE)
    wecom.fail("code", frames.SUBSCRIBE, code=-1)
    async with running(wecom, house, patience=Patience(dial=0.2, retry=0.02)) as bot:
        assert wecom.gateway.opened == 4
        assert bot.listener.complaint() == ""


async def test_a_wrong_secret_is_no_loop_and_the_complaint_says_what_to_do(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house, connected=False, settings={"secret": "wrong"}) as bot:
        await until(lambda: "853000" in bot.listener.complaint(patience=600.0))
        await asyncio.sleep(0.2)
        assert wecom.calls.count(frames.SUBSCRIBE) == 1
        assert "wecom.aibot" in bot.listener.complaint()
        with pytest.raises(Unconfigured, match="853000"):
            bot.channel._reach.check()


async def test_where_nothing_listens_it_goes_on_trying(wecom: WecomSimulator, house: House) -> None:
    settings = {"ws_url": "ws://127.0.0.1:9"}
    async with running(wecom, house, connected=False, settings=settings) as bot:
        await until(lambda: "cannot be reached" in bot.listener.complaint())
        assert bot.listener.complaint(patience=60.0) == ""
        with pytest.raises(Elsewhere):
            bot.channel._reach.check()


# --- one connection ---------------------------------------------------------------------------------------------


async def test_trap_12_a_displaced_robot_is_not_taken_back(
    wecom: WecomSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    wecom.gateway.displaced_seconds = 60.0  # WeCom itself closes it minutes later
    async with running(wecom, house) as bot:
        other = Connection(
            WecomAibot.model_validate(wecom.aibot_settings), lambda frame: None, lambda: None, patience=SOON
        )
        task = asyncio.create_task(other.run())
        await until(lambda: other.connected and len(wecom.gateway.links) == 1)
        assert "another program" in bot.listener.complaint(patience=600.0)
        assert not bot.listener.connected
        await asyncio.sleep(0.5)  # many times as long as it takes to come back
        assert other.connected
        assert wecom.calls.count(frames.SUBSCRIBE) == 2
        with pytest.raises(Unconfigured, match="another program"):
            bot.channel._reach.check()
        await other.stop()
        await task
    assert "another program" in caplog.text


async def test_two_processes_share_a_robot_without_a_fight(wecom: WecomSimulator, house: House) -> None:
    async with running(wecom, house) as first, running(wecom, house, connected=False) as second:
        await asyncio.sleep(0.3)
        assert (first.listener.connected, second.listener.connected) == (True, False)
        assert second.listener.complaint() == ""
        with pytest.raises(Elsewhere):
            second.channel._reach.check()
        first.listener.stop()
        await until(lambda: second.listener.connected)
        assert not any("disconnected_event" in str(asked.body) for asked in wecom.side.asked.values())


async def test_a_robot_that_another_of_our_processes_took_is_taken_up_after_a_pause(
    wecom: WecomSimulator, house: House
) -> None:
    async with running(wecom, house) as bot:
        bot.listener._pause = 1.5
        other = Connection(
            WecomAibot.model_validate(wecom.aibot_settings), lambda frame: None, lambda: None, patience=SOON
        )
        task = asyncio.create_task(other.run())
        await until(lambda: bot.listener.complaint())
        await house.db.run(_lend, "thief", utcnow() + timedelta(hours=1))
        await until(lambda: not bot.listener.complaint())  # it is another's now, and that is in order
        await other.stop()
        await task
        await house.db.run(_lend, "thief", utcnow())
        await until(lambda: bot.listener.connected)
        assert asking(bot)._wait > 0


def _lend(conn: Transaction, owner: str, until: datetime) -> None:
    conn.execute(leases_table.update().values(owner=owner, until=until))


# --- asking -----------------------------------------------------------------------------------------------------


async def test_an_answer_that_never_comes_is_unsure(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("hello")
    await bot.asked()
    body = {"chatid": "alice", "chat_type": 1, **frames.markdown("1")}
    wecom.fail("drop", frames.SEND)
    with pytest.raises(Unsure):
        await asking(bot).ask(frames.SEND, body, patience=0.2)
    for opened, fault in ((1, "cut"), (2, "bye")):
        await until(lambda opened=opened: wecom.gateway.opened == opened and bot.listener.connected)  # type: ignore[misc]
        wecom.fail(fault, frames.SEND)
        with pytest.raises(Unsure):
            await asking(bot).ask(frames.SEND, body)


async def test_without_a_connection_nothing_was_written(wecom: WecomSimulator, bot: Bot) -> None:
    connection = asking(bot)
    connection._patience = Patience(retry=5.0)
    wecom.gateway.cut()
    await until(lambda: not bot.listener.connected)
    with pytest.raises(Elsewhere):
        await connection.ask(frames.SEND, {})
    assert frames.SEND not in wecom.calls


async def test_the_secret_stands_in_no_log(
    wecom: WecomSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(wecom, house) as bot:
        wecom.say("hello")
        await bot.asked()
        assert wecom.robot.secret not in repr(vars(bot.listener))
    assert wecom.robot.secret not in caplog.text


async def test_how_long_it_is_away_can_be_measured(wecom: WecomSimulator, bot: Bot) -> None:
    before = time.monotonic()
    wecom.gateway.cut()
    await until(lambda: wecom.gateway.opened == 2 and bot.listener.connected)
    assert before < bot.listener.changed <= time.monotonic()
