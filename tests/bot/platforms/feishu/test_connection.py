"""The long connection against the simulated gateway: acknowledged after the commit, alive, back after every error."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bot.context import Pressed
from bot.events import ChatEvent
from bot.platforms.feishu import connection, frames
from bot.platforms.feishu.connection import Patience, pause
from bot.platforms.feishu.endpoint import Wishes, explain
from bot.platforms.feishu.listener import Listener
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.holding import Rhythm
from storage import inbox, leases
from storage.database import Database
from storage.records import utcnow
from storage.tables import inbox as inbox_table
from storage.tables import leases as leases_table
from tests.blank import blank
from tests.simulators import feishu_events as events
from tests.simulators.feishu import FeishuSimulator, Pushed
from tests.simulators.feishu_gateway import Gateway

SOON = Patience(address=0.5, pong=0.4, retry=0.02, work=2.0)
QUICK = Rhythm(hold=0.8, renew=0.1, look=0.1, again=0.05)
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 1, "ReconnectNonce": 0, "PingInterval": 1}


class House:
    """What stands behind the platform: a real inbox, and whatever shall go wrong."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.fails = 0  # so many of the next events are not kept
        self.open = asyncio.Event()  # events wait for it
        self.open.set()
        self.pressed: list[ChatEvent] = []
        self.waiting = 0

    async def accept(self, event: ChatEvent) -> None:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is full")
        await self.db.run(inbox.accept, event.platform, event.key, event.to_json(), utcnow())

    async def act(self, event: ChatEvent) -> Pressed:
        if self.fails:
            self.fails -= 1
            raise OSError("the disk is full")
        self.pressed.append(event)
        return Pressed("success", "好")

    def texts(self) -> list[str]:
        """What was kept, in its order."""

        def look(conn: Transaction) -> list[str]:
            rows = conn.execute(select(inbox_table.c.event).order_by(inbox_table.c.id)).scalars()
            return [event["text"] for event in rows]

        return self.db.read_sync(look)


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        simulator.gateway.config = dict(CONFIG)
        yield simulator


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def house(db: Database) -> House:
    return House(db)


@asynccontextmanager
async def listening(
    feishu: FeishuSimulator, house: House, *, connected: bool = True, name: str = "feishu", **more: Any
) -> AsyncIterator[Listener]:
    """A running listener, stopped in order at the end."""
    platform = FeishuPlatform(FeishuSettings.model_validate(feishu.dialled), name=name)
    listener = Listener(platform, house.db, house.accept, house.act, **{"rhythm": QUICK, "patience": SOON, **more})
    task = asyncio.create_task(listener.run())
    try:
        if connected:
            await asyncio.to_thread(feishu.gateway.connected)
        yield listener
    finally:
        listener.stop()
        await task
        await platform.close()


async def push(feishu: FeishuSimulator, text: str, **more: Any) -> Pushed:
    return await asyncio.to_thread(feishu.push, events.message(feishu.app, text, **more))


async def advance(feishu: FeishuSimulator, seconds: float, **more: Any) -> None:
    await asyncio.to_thread(feishu.advance, seconds, **more)


async def when(gateway: Gateway, what: Callable[[Gateway], bool]) -> None:
    await asyncio.to_thread(gateway.wait, what)


async def until(look: Callable[[], Any], patience: float = 20.0) -> None:
    """Wait for something in this process."""
    end = time.monotonic() + patience
    while not look():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


# --- events in --------------------------------------------------------------------------------------------------


async def test_trap_1_an_event_is_acknowledged_when_it_is_kept_and_not_before(
    feishu: FeishuSimulator, house: House
) -> None:
    async with listening(feishu, house):
        house.open.clear()
        sending = feishu.gateway.send(events.message(feishu.app, "/draw 猫"))
        assert sending is not None
        await until(lambda: house.waiting)
        assert not sending.done.is_set()
        assert house.texts() == []
        house.open.set()
        assert await asyncio.to_thread(sending.wait) == 200
        assert house.texts() == ["/draw 猫"]
    assert feishu.gateway.strange == []


async def test_what_was_not_kept_comes_again_and_is_kept_once(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        house.fails = 2
        pushed = await push(feishu, "一")
        await advance(feishu, 400, new_event_id=True)  # trap 2: another event id, the same message
        assert pushed.statuses == [500, 500, 200]
        feishu.gateway.doubled = True
        again = await asyncio.to_thread(feishu.push, pushed.envelope)
        assert again.acknowledged
        assert house.texts() == ["一"]


async def test_trap_3_old_and_reordered_messages_are_kept(feishu: FeishuSimulator, house: House) -> None:
    late, early = events.message(feishu.app, "晚"), events.message(feishu.app, "早")
    early["event"]["message"]["create_time"] = str(int((time.time() - 6 * 3600) * 1000))
    async with listening(feishu, house):
        for envelope in (late, early):
            assert (await asyncio.to_thread(feishu.push, envelope)).acknowledged
    assert house.texts() == ["晚", "早"]


@pytest.mark.parametrize("name", ["unknown", "v1", "no object", "empty", "another app", "card", "new kind", "bot"])
async def test_trap_4_what_nobody_listens_to_is_acknowledged(
    feishu: FeishuSimulator, house: House, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, kind = feishu.app, {"card": "card", "new kind": "hologram"}.get(name, "event")
    envelope: Any = {
        "unknown": events.envelope(app, "im.message.message_read_v1", {"x": 1}),
        "v1": {"uuid": "u", "type": "event_callback", "event": {"type": "app_open"}},
        "no object": ["x"],
        "empty": {},
        "another app": events.message(events.App(app_id="cli_other"), "/draw"),
        "card": {"action": {}},
        "new kind": {"a": 1},
        "bot": events.message(app, "hi", sender_type="app"),
    }[name]
    async with listening(feishu, house):
        sending = feishu.gateway.send(envelope, kind)
        assert sending is not None
        assert await asyncio.to_thread(sending.wait) == 200
        assert sending.data is None
    assert house.texts() == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_broken_frames_are_passed_over(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        for raw in (b"\xff\xff", b"", frames.encode(frames.Frame(method=1, service=1, headers={"sum": "x"}))):
            feishu.gateway.send_raw(raw)
        feishu.gateway.send_raw(frames.encode(frames.Frame(method=0, service=1, headers={"type": "news"})))
        assert (await push(feishu, "一")).acknowledged
        assert feishu.gateway.opened == 1


async def test_events_in_pieces_shuffled_and_doubled(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        feishu.gateway.pieces, feishu.gateway.shuffled = 5, True
        for number in range(5):
            assert (await push(feishu, f"/draw {number} {'猫' * 500}")).acknowledged
        assert [text[:7] for text in house.texts()] == [f"/draw {number}" for number in range(5)]


async def test_trap_23_a_press_is_answered_while_messages_wait(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        house.open.clear()
        sendings = [feishu.gateway.send(events.message(feishu.app, f"{number}")) for number in range(100)]
        pressed = await asyncio.to_thread(feishu.push, events.click(feishu.app, {"action": "redo", "job": 17}))
        assert pressed.statuses == [200]
        assert pressed.answer == {"toast": {"type": "success", "content": "好"}}
        (event,) = house.pressed
        assert (event.action, event.value, event.sender.external_id) == ("redo", {"job": 17}, "ou_alice")
        house.open.set()
        for sending in sendings:
            assert sending is not None
            assert await asyncio.to_thread(sending.wait) == 200
        assert len(house.texts()) == 100
        house.fails = 1
        broken = await asyncio.to_thread(feishu.push, events.click(feishu.app, {"action": "redo", "job": 17}))
        assert (broken.statuses, broken.due) == ([500], None)
        nothing = await asyncio.to_thread(feishu.push, events.click(feishu.app, "a string"))
        assert nothing.statuses == [200]


async def test_more_than_can_be_held_comes_again(
    feishu: FeishuSimulator, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AT_ONCE", 3)
    async with listening(feishu, house):
        house.open.clear()
        held = [feishu.gateway.send(events.message(feishu.app, f"{number}")) for number in range(3)]
        await until(lambda: house.waiting == 3)
        pushed = await push(feishu, "3")
        assert pushed.statuses == [500]
        house.open.set()
        for sending in held:
            assert sending is not None
            await asyncio.to_thread(sending.wait)
        await advance(feishu, 15)
        assert pushed.statuses == [500, 200]
        assert len(house.texts()) == 4


# --- alive ------------------------------------------------------------------------------------------------------


async def test_trap_11_pings_go_on_while_work_is_slow(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        house.open.clear()
        feishu.gateway.send(events.message(feishu.app, "langsam"))
        await when(feishu.gateway, lambda gateway: gateway.links[0].pings >= 3)
        assert house.waiting == 1
        house.open.set()
        await until(lambda: house.texts() == ["langsam"])


async def test_trap_10_a_silent_connection_is_cut_and_opened_again(
    feishu: FeishuSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(feishu, house):
        feishu.gateway.mute = True
        await when(feishu.gateway, lambda gateway: gateway.opened >= 2)
        feishu.gateway.mute = False
        await asyncio.to_thread(feishu.gateway.connected)
        pushed = await push(feishu, "一")
        await advance(feishu, 400)
        assert pushed.acknowledged
    assert "no answer to a ping" in caplog.text


async def test_feishu_may_change_its_wishes_with_a_pong(feishu: FeishuSimulator, house: House) -> None:
    feishu.gateway.config = CONFIG | {"PingInterval": 3600}
    async with listening(feishu, house) as listener:
        await when(feishu.gateway, lambda gateway: gateway.links[0].pings == 1)
        feishu.gateway.news = CONFIG | {"PingInterval": 1, "ReconnectInterval": 7}
        feishu.gateway.cut()  # its first ping takes the news
        await when(feishu.gateway, lambda gateway: gateway.opened == 2 and bool(gateway.links))
        await when(feishu.gateway, lambda gateway: gateway.links[0].pings >= 2)
        held = listener._connection
        assert held is not None
        assert held._wishes == Wishes(ping=1.0, again=7.0, spread=0.0)


@pytest.mark.parametrize("end", ["kick", "cut"])
async def test_an_ended_connection_is_opened_again(feishu: FeishuSimulator, house: House, end: str) -> None:
    async with listening(feishu, house) as listener:
        for number in range(2, 5):
            getattr(feishu.gateway, end)()
            await when(feishu.gateway, lambda gateway, count=number: gateway.opened >= count)  # type: ignore[misc]
        await asyncio.to_thread(feishu.gateway.connected)
        assert (await push(feishu, "一")).acknowledged
        await until(lambda: listener.connected)
        assert listener.complaint() == ""


FAULTS: dict[str, tuple[Callable[[FeishuSimulator], None], str]] = {
    "busy": (lambda f: f.fail("code", on="/callback/", code=1, status=200), "Feishu is busy"),
    "internal": (lambda f: f.fail("code", on="/callback/", code=1000040343, status=200), "internal error"),
    "forbidden": (lambda f: f.fail("code", on="/callback/", code=403, status=200), "published self-built app"),
    "secret": (lambda f: f.fail("code", on="/callback/", code=1000040345), "feishu.app_secret again"),
    "domain": (
        lambda f: f.fail("code", on="/callback/", code=1000040351, status=200),
        "set feishu.domain to https://open.larksuite.com",
    ),
    "too many": (lambda f: f.fail("code", on="/callback/", code=1000040350, status=200), "stop the other programs"),
    "unknown": (lambda f: f.fail("code", on="/callback/", code=77, status=200), "Feishu 77: see the app's page"),
    "html": (lambda f: f.fail("html", on="/callback/"), "HTTP 502 without Feishu's JSON"),
    "500": (lambda f: f.fail("500", on="/callback/"), "Feishu 2200"),
    "garbage": (lambda f: f.fail("garbage", on="/callback/"), "without Feishu's JSON"),
    "empty": (lambda f: f.fail("empty", on="/callback/"), "without Feishu's JSON"),
    "no data": (lambda f: f.fail("code", on="/callback/", code=0, status=200), "no encrypted address"),
    "close": (lambda f: f.fail("close", on="/callback/"), "does not answer"),
    "hung": (lambda f: f.fail("slow", on="/callback/", seconds=1.2), "does not answer"),
    "door 403": (lambda f: f.gateway.refuse(403), "Feishu 403"),
    "door 514": (lambda f: f.gateway.refuse(514, code=1000040344), "feishu.app_secret again"),
    "51st": (lambda f: f.gateway.refuse(514, code=1000040350), "(50): stop the other programs"),
}


async def test_trap_10_it_comes_back_after_every_error_and_says_what_to_do(
    feishu: FeishuSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(feishu, house):
        for name, (fault, said) in FAULTS.items():
            caplog.clear()
            opened = feishu.gateway.opened
            fault(feishu)
            feishu.gateway.cut()
            await when(feishu.gateway, lambda gateway, before=opened: gateway.opened > before)  # type: ignore[misc]
            await asyncio.to_thread(feishu.gateway.connected)
            assert said in caplog.text, name
    assert house.texts() == []


async def test_traps_12_and_32_no_log_shows_the_address_or_the_secret(
    feishu: FeishuSimulator, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(feishu, house) as listener:
        feishu.gateway.refuse(403)
        feishu.gateway.kick()
        await when(feishu.gateway, lambda gateway: gateway.opened == 2)
        assert (await push(feishu, "geheim")).acknowledged
        complaint = listener.complaint()
    shown = "\n".join([complaint, *(repr(record.__dict__) for record in caplog.records)])
    assert "refuses" in shown or "forbids" in shown
    for secret in ("ticket", "access_key", feishu.app.app_secret, "geheim"):
        assert secret not in shown


async def test_a_clean_stop_finishes_what_is_in_hand(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house) as listener:
        house.open.clear()
        first = feishu.gateway.send(events.message(feishu.app, "in hand"))
        await until(lambda: house.waiting)
        listener.stop()
        await until(lambda: listener._connection is not None and listener._connection._stopping.is_set())
        second = feishu.gateway.send(events.message(feishu.app, "too late"))
        house.open.set()
        assert first is not None
        assert second is not None
        assert await asyncio.to_thread(first.wait) == 200
        await asyncio.to_thread(feishu.gateway.connected, 0)
        assert not second.done.is_set()
        assert house.texts() == ["in hand"]


async def test_a_stop_does_not_wait_for_a_feishu_that_hangs(feishu: FeishuSimulator, house: House) -> None:
    feishu.fail("slow", on="/callback/", seconds=30)
    async with asyncio.timeout(20), listening(feishu, house, connected=False, patience=Patience(address=60)):
        await until(lambda: feishu.gateway.asked == 0 and not feishu._faults[0].times)
    assert feishu.gateway.opened == 0


async def test_while_nobody_answers_the_state_says_why(feishu: FeishuSimulator, house: House) -> None:
    feishu.secret = "rotated"
    async with listening(feishu, house, connected=False) as listener:
        await until(lambda: "app_secret" in listener.complaint())
        assert listener.complaint(patience=1000) == ""
        assert not listener.connected
        feishu.secret = feishu.app.app_secret
        await asyncio.to_thread(feishu.gateway.connected)
        await until(lambda: listener.connected)


# --- decisions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "wishes", "least", "most"),
    [
        (0, Wishes(), 0.0, 2.0),
        (0, Wishes(spread=0.5), 0.0, 0.5),
        (1, Wishes(), 0.5, 1.0),
        (3, Wishes(), 2.0, 4.0),
        (7, Wishes(), 30.0, 60.0),
        (99, Wishes(), 30.0, 60.0),
        (99, Wishes(again=5.0), 2.5, 5.0),
    ],
)
def test_the_pause_grows_and_is_spread(attempt: int, wishes: Wishes, least: float, most: float) -> None:
    assert (pause(attempt, wishes, 0.0), pause(attempt, wishes, 1.0)) == (least, most)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, Wishes()),
        (None, Wishes()),
        ({"PingInterval": 30, "ReconnectInterval": 10, "ReconnectNonce": 0}, Wishes(ping=30, again=10, spread=0)),
        ({"PingInterval": 0, "ReconnectInterval": -5, "ReconnectNonce": "x"}, Wishes(ping=1.0)),
        ({"PingInterval": None, "ReconnectInterval": True}, Wishes()),
        ({"PingInterval": 10**9}, Wishes(ping=3600.0)),
    ],
)
def test_wishes_are_taken_where_they_make_sense(given: Any, kept: Wishes) -> None:
    assert Wishes().updated(given) == kept


def test_a_refusal_names_the_settings_of_its_app() -> None:
    lark = explain(1000040351, "Incorrect domain name", "https://open.larksuite.com", "feishu_apps.design")
    assert "set feishu_apps.design.domain to https://open.feishu.cn" in lark
    assert "it said: no such app" in explain(1000040345, "no  such\napp", "https://open.feishu.cn")


# --- one owner --------------------------------------------------------------------------------------------------


async def test_trap_9_one_process_connects_and_another_takes_over_at_once(
    feishu: FeishuSimulator, house: House
) -> None:
    async with listening(feishu, house) as first, listening(feishu, house) as second:
        await asyncio.sleep(0.3)
        assert feishu.gateway.opened == 1
        assert (first.connected, second.connected) == (True, False)
        assert second.complaint() == ""
        first.stop()
        await when(feishu.gateway, lambda gateway: gateway.opened == 2)
        await until(lambda: second.connected)
        assert (await push(feishu, "一")).acknowledged


async def test_a_dead_owners_lease_ends_and_a_lost_one_closes_the_connection(
    feishu: FeishuSimulator, house: House
) -> None:
    name = f"long-connection:{feishu.app.app_id}"
    now = utcnow()
    await house.db.run(leases.take, name, "dead", now + timedelta(seconds=0.5), now)
    async with listening(feishu, house) as listener:
        assert utcnow() >= now + timedelta(seconds=0.5)
        await house.db.run(_steal, name)
        await asyncio.to_thread(feishu.gateway.connected, 0)
        await until(lambda: not listener.connected)
        await house.db.run(leases.release, name, "thief", utcnow())
        await asyncio.to_thread(feishu.gateway.connected, 1)


def _steal(conn: Transaction, name: str) -> None:
    conn.execute(leases_table.update().values(owner="thief", until=utcnow() + timedelta(hours=1)))


# --- missed messages --------------------------------------------------------------------------------------------


async def settled(feishu: FeishuSimulator, house: House, listener: Listener) -> None:
    """The listener has noted that nothing was missed until now."""
    now = utcnow()

    def noted(conn: Transaction) -> bool:
        return (leases.seen(conn, listener._lease) or now) > now

    await until(lambda: house.db.read_sync(noted))


def at_group(feishu: FeishuSimulator, text: str, open_id: str = events.BOT_OPEN_ID, **more: Any) -> dict[str, Any]:
    named = [events.mention(1, open_id, "谁")]
    return events.message(feishu.app, text, group=True, chat_id="oc_group", mentions=named, **more)


async def test_what_was_missed_is_fetched_once(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house) as listener:
        await push(feishu, "direct", chat_id="oc_1")
        await asyncio.to_thread(feishu.push, at_group(feishu, "@_user_1 group"))
        await settled(feishu, house, listener)
        listener.stop()
        await asyncio.to_thread(feishu.gateway.connected, 0)
    old = events.message(feishu.app, "long ago", chat_id="oc_1")
    old["event"]["message"]["create_time"] = str(int((time.time() - 3600) * 1000))
    missed = [
        old,
        *(events.message(feishu.app, f"missed {number}", chat_id="oc_1") for number in range(60)),  # two pages
        events.message(feishu.app, "taken back", chat_id="oc_1", message_id="om_recalled"),
        events.message(feishu.app, "from a bot", chat_id="oc_1", sender_type="app"),
        at_group(feishu, "@_user_1 for us"),
        at_group(feishu, "@_user_1 for another", "ou_other"),
        events.message(feishu.app, "/draw 猫", group=True, chat_id="oc_group"),
        events.message(feishu.app, "talk", group=True, chat_id="oc_group"),
        events.message(feishu.app, "unknown chat", chat_id="oc_unknown"),
    ]
    for envelope in missed:
        feishu.write(envelope)
    feishu.recalled.add("om_recalled")
    feishu.fail("500", on="/im/v1/messages")  # it is tried again
    async with listening(feishu, house):
        wanted = sorted(["direct", "group", "for us", "/draw 猫", *(f"missed {number}" for number in range(60))])
        await until(lambda: len(house.texts()) >= len(wanted))
        assert (await asyncio.to_thread(feishu.push, missed[1])).acknowledged  # the ladder brings it as well
        assert (await push(feishu, "now", chat_id="oc_1")).acknowledged
        assert sorted(house.texts()) == sorted([*wanted, "now"])


async def test_a_gap_between_two_connections_is_filled(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house):
        await push(feishu, "one", chat_id="oc_1")
        await until(lambda: house.texts() == ["one"])
        await asyncio.sleep(0.2)  # a turn of the lease
        feishu.fail("html", times=2, on="/callback/")
        feishu.gateway.cut()
        feishu.write(events.message(feishu.app, "two", chat_id="oc_1"))
        await until(lambda: house.texts() == ["one", "two"])


@pytest.mark.parametrize("why", ["unread", "unknown_chats"])
async def test_a_chat_that_cannot_be_read_does_no_harm(
    feishu: FeishuSimulator, house: House, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with listening(feishu, house) as listener:
        await push(feishu, "one", chat_id="oc_1")
        await settled(feishu, house, listener)
        getattr(feishu, why).add("oc_1")
        feishu.gateway.cut()
        await when(feishu.gateway, lambda gateway: gateway.opened == 2)
        await until(lambda: "230027" in caplog.text or "230002" in caplog.text)
        await settled(feishu, house, listener)
        assert (await push(feishu, "two", chat_id="oc_1")).acknowledged


async def test_the_first_connection_ever_fetches_nothing(feishu: FeishuSimulator, house: House) -> None:
    feishu.write(events.message(feishu.app, "before", chat_id="oc_1"))
    async with listening(feishu, house) as listener:
        await settled(feishu, house, listener)
    assert not [call for call in feishu.calls if "/im/v1/messages" in call]


async def test_further_apps_have_their_own_people(feishu: FeishuSimulator, house: House) -> None:
    async with listening(feishu, house, name="feishu-design"):
        assert (await asyncio.to_thread(feishu.push, at_group(feishu, "@_user_1 hi"))).acknowledged
        await asyncio.to_thread(feishu.push, events.click(feishu.app, {"action": "redo"}))

    def look(conn: Transaction) -> list[dict[str, Any]]:
        return list(conn.execute(select(inbox_table.c.event)).scalars())

    (event,) = (ChatEvent.from_json(row) for row in house.db.read_sync(look))
    assert {event.platform, event.sender.platform, event.origin.platform} == {"feishu-design"}
    assert house.pressed[0].origin.platform == "feishu-design"
