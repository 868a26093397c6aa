"""Reservations as people make them: what is written, the card that answers, the buttons that are pressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from bot import router
from bot.booking import Booker
from bot.commands import Rules
from bot.context import Handled, House, Shown
from bot.engine import Engine
from bot.events import ChatEvent
from bot.render import Renderer
from bot.replies import Words, job_reply
from bot.reply import Reply
from bot.reshow import reshow
from inference.images.model import ModelCard
from scheduler import firing, queue
from scheduler.calendar import known_until
from scheduler.policy import BATCH, Policy
from storage import inbox, jobs, outbox, reservations, users
from storage.database import Database
from storage.records import (
    Allowance,
    ChatType,
    Delivery,
    Identity,
    Kind,
    Origin,
    Reservation,
    ReservationState,
    Role,
    Unit,
)
from tests.blank import blank

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)  # Saturday noon in Shanghai
GOLDEN = Path(__file__).parent / "golden"
CARD = ModelCard(name="builtin", path="", builtin=True, device="cpu", dtype="float32")


def house(
    language: str = "zh", *, zone: str = "Asia/Shanghai", card: ModelCard | None = CARD, units: int = 50
) -> House:
    amount = Allowance(amount=units, period="day")
    return House(
        words=Words(language),
        policy=Policy(timezone=ZoneInfo(zone), allowances=dict.fromkeys(Unit, (amount,))),
        rules=Rules(),
        card=card,
        engines={kind: Engine(name="builtin", state="ready") for kind in Kind},
        started_at=NOW,
        first_is_admin=False,
    )


class Chat:
    """Somebody in a chat, by way of the router and a real database."""

    def __init__(self, db: Database, home: House) -> None:
        self.db = db
        self.house = home
        self.now = NOW
        self.number = 0

    def event(self, kind: str, who: str, **values: Any) -> ChatEvent:
        self.number += 1
        platform = values.pop("platform", "feishu")
        origin = Origin(
            platform=platform,
            chat_id="oc_team",
            chat_type=ChatType.GROUP,
            message_id=f"om_{self.number}",
            sender=who,
        )
        return ChatEvent(
            platform=platform,
            key=f"k{self.number}",
            kind=kind,
            sender=Identity(platform=platform, external_id=who),
            sender_name=who,
            origin=origin,
            at=self.now,
            mentioned=True,
            **values,
        )

    def say(self, text: str, who: str = "anna", **values: Any) -> Handled:
        return self.tell(self.event("message", who, text=text, **values))

    def tell(self, event: ChatEvent) -> Handled:
        def work(conn: Connection) -> Handled:
            entry = inbox.accept(conn, event.platform, event.key, event.to_json(), self.now)
            assert entry is not None
            return router.handle(conn, self.house, entry, event, self.now)

        return self.db.run_sync(work)

    def press(self, action: str, who: str = "anna", **value: Any) -> tuple[str, str]:
        event = self.event("action", who, action=action, value=value)
        return self.db.run_sync(router.press, self.house, event, self.now).toast

    def push(self, label: str, who: str = "anna") -> tuple[str, str]:
        """Press a button of the newest card by its label."""
        button = next(button for button in self.card().buttons if button.label == label)
        return self.press(button.action, who, **button.value)

    def sent(self) -> list[Delivery]:
        later = self.now + timedelta(days=999)
        return self.db.run_sync(outbox.claim, later, timedelta(days=-1), 1000)

    def card(self) -> Reply:
        """The newest card of a reservation."""
        return Reply.from_json([one for one in self.sent() if one.key.startswith("res-")][-1].body)

    def notice(self) -> Reply:
        """What was last told of a reservation, beside its card."""
        told = [one for one in self.sent() if one.key.startswith("res-") and one.slot == "reply"]
        return Reply.from_json(told[-1].body)

    def said(self) -> str:
        """The newest message."""
        return Reply.from_json(self.sent()[-1].body).text

    def kept(self, number: int = 1) -> Reservation:
        found = self.db.read_sync(reservations.get, number)
        assert found is not None
        return found

    def fire(self, number: int = 1) -> None:
        assert self.db.run_sync(firing.fire, number, Booker(self.house), self.house.policy, self.now) is not None


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    return Chat(db, house())


def shown(reply: Reply) -> str:
    """A reply as text, all of it."""
    lines = [f"# {reply.title}", reply.text, *(f"{label}: {value}" for label, value in reply.fields)]
    buttons = " ".join(f"[{button.label}]" for button in reply.buttons)
    return "\n".join(line for line in (*lines, buttons, f"({reply.note})" if reply.note else "") if line) + "\n"


#: Name of the golden text -> what was written.
CARDS = {
    "tonight": "/draw 月度海报 --at 今晚10点 --size 1536x1024",
    "bare": "/draw 猫 --at 明天",
    "workdays": "/draw 每日早安图 --every 工作日9:00 --late 30",
    "months": "/reserve 每月1号和月底 9:00 月报封面 --n 2",
    "minutes": "/draw 云 --every 每90分钟",
    "window": "/reserve 22:00-06:00 一只猫",
    "ambiguous": "/reserve 明天5点 画 一只猫",
    "past": "/draw 猫 --at 今天9:00",
    "rules": "/draw 猫 --every 每周3点",
    "cron": "/draw 猫 --every 30 8 1 * *",
}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", CARDS)
def test_the_card(db: Database, name: str, language: str) -> None:
    chat = Chat(db, house(language))
    chat.say(CARDS[name])
    golden = GOLDEN / f"reservation_{name}.{language}.txt"
    assert shown(chat.card()) == golden.read_text(encoding="utf-8"), f"if this is meant, write it into {golden.name}"


def test_a_confirmed_one_fires_into_its_chat(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00 --seed 7")
    assert chat.kept().state is ReservationState.PROPOSED
    assert chat.push("确认") == ("success", "已预约 r1：11月22日 周日 09:00")
    assert [button.label for button in chat.card().buttons] == ["改时间", "取消"]
    assert chat.card().title == "已预约 · r1"
    first, second = (one for one in chat.sent() if one.key.startswith("res-"))
    assert (second.slot, second.replaces) == ("revision", first.key), "the card changes in its place"
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    [job] = chat.db.read_sync(jobs.recent)
    assert job.origin == chat.kept().origin
    assert job.params["seed"] == 7
    fields = dict(job_reply(job, chat.house.words, card=CARD).fields)
    assert fields["预约"] == "r1"


def test_a_late_one_says_so_and_every_firing_has_a_seed_of_its_own(chat: Chat) -> None:
    chat.say("/draw 猫 --every 每天9:00")
    chat.push("确认")
    for day in (22, 23):
        chat.now = datetime(2026, 11, day, 1, 12, tzinfo=UTC)
        chat.fire()
    late, first = chat.db.read_sync(jobs.recent)
    assert first.params["seed"] != late.params["seed"]
    assert dict(job_reply(first, chat.house.words).fields)["预约"] == "r1 · 晚了 12 分钟"
    chat.now = datetime(2026, 11, 26, 3, 12, tzinfo=UTC)
    chat.fire()
    [job, *_] = chat.db.read_sync(jobs.recent)
    assert dict(job_reply(job, Words("en")).fields)["Reservation"] == (
        "r1 · late by 2 h 12 min · 2 earlier ones were missed and are left out"
    )
    chat.say(f"/redo {job.id}")
    [again, *_] = chat.db.read_sync(jobs.recent)
    assert "预约" not in dict(job_reply(again, chat.house.words).fields), "it is ordered now"


def test_refused_when_it_fires_it_says_why_and_when_next(db: Database) -> None:
    chat = Chat(db, house(units=0))
    chat.say("/draw 猫 --every 每天9:00")
    chat.push("确认")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    assert shown(chat.card()) == (
        "# 预约 r1 这次没有画\n"
        "猫\n11月22日 周日 09:00：你的画图额度不够：这次需要 1，还剩 0（每天 0）。这里没有开放，需要的话请联系管理员。"
        " 没有计额度。\n下一次：11月23日 周一 09:00\n"
    )
    assert chat.db.read_sync(jobs.recent) == []


def test_too_late_it_says_so(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00 --late 30")
    chat.push("确认")
    chat.now = datetime(2026, 11, 22, 2, tzinfo=UTC)
    chat.fire()
    assert "晚了 1 小时，按你的设定跳过。 没有计额度。" in chat.notice().text


def test_what_has_fired_for_the_last_time_says_so_on_its_card(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    chat.push("确认")
    shown_last = chat.kept().card
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    [over] = [one for one in chat.sent() if one.replaces == shown_last]
    assert over.slot == "revision"
    assert chat.card().title == "预约已结束 · r1"
    [drawing] = [one for one in chat.sent() if one.slot == "card"]
    assert drawing.body == {}, "it says how things stand when it is sent, not when it fired"
    assert chat.card().buttons == ()
    chat.say("/draw 狗 --every 每天9:00")
    chat.push("确认")
    chat.now = datetime(2026, 11, 23, 1, tzinfo=UTC)
    chat.fire(2)
    assert chat.card().title == "已预约 · r2", "it fires again"


def test_only_the_owner_and_admins_may_press(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    kind, text = chat.push("确认", "bert")
    assert (kind, "别人的" in text) == ("warning", True)
    assert chat.kept().state is ReservationState.PROPOSED
    admin = chat.db.run_sync(users.resolve, Identity(platform="feishu", external_id="boss"), "boss", NOW)
    chat.db.run_sync(users.set_role, admin.id, Role.ADMIN)
    assert chat.push("确认", "boss")[0] == "success"


def test_a_reading_is_chosen_by_its_button(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天5点")
    assert [button.label for button in chat.card().buttons] == [
        "11月22日 周日 05:00",
        "11月22日 周日 17:00",
        "改时间",
        "取消",
    ]
    assert chat.push("11月22日 周日 17:00") == ("success", "选好了：11月22日 周日 17:00，请再确认")
    assert chat.push("确认")[0] == "success"
    assert chat.kept().next_at == datetime(2026, 11, 22, 9, tzinfo=UTC)


def test_another_time_by_command_makes_the_old_card_stale(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    old = chat.card().buttons[0]
    assert chat.push("改时间") == ("info", "发新的时间给我：`/reserve r1 明天9:00`")
    chat.say("/reserve r1 后天9:00")
    assert "过时" in chat.press(old.action, **old.value)[1]
    assert chat.push("确认")[1] == "已预约 r1：11月23日 周一 09:00"
    chat.say("/reserve 1 每天8:00")
    assert (chat.kept().state, chat.card().title) == (ReservationState.ACTIVE, "已预约 · r1")
    assert chat.kept().next_at == datetime(2026, 11, 22, 0, tzinfo=UTC)


def test_pausing_resuming_and_cancelling_by_command_move_the_card(chat: Chat) -> None:
    chat.say("/draw 猫 --every 每天9:00")
    chat.push("确认")
    for text, said, title in (
        ("/pause r1", "已暂停预约 r1", "预约已暂停 · r1"),
        ("/resume r1", "已恢复预约 r1：每天 09:00", "已预约 · r1"),
        ("/cancel r1", "已取消预约 r1", "预约已取消 · r1"),
        ("/cancel r1", "已经结束", "预约已取消 · r1"),
        ("/cancel r9", "没有预约 r9", "预约已取消 · r1"),
    ):
        handled = chat.say(text)
        assert handled.reply is not None
        assert said in handled.reply.text
        assert chat.card().title == title
    assert chat.card().buttons == ()


def test_a_press_comes_twice(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    button = chat.card().buttons[0]
    assert chat.press(button.action, **button.value)[0] == "success"
    assert chat.press(button.action, **button.value) == ("info", "已经处理过了。")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"reservation": 0},
        {"reservation": True},
        {"reservation": "1"},
        {"reservation": 2**31},
        {"reservation": 1.0},
        {"reservation": 1, "version": "x"},
        {"reservation": 1, "version": 1, "choice": -1},
    ],
)
def test_what_a_button_carries_is_not_trusted(chat: Chat, value: dict[str, Any]) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    assert "失效" in chat.press("res_confirm", **value)[1]
    assert chat.kept().state is ReservationState.PROPOSED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/draw 猫 --at blah", "没看懂时间“blah”"),
        ("/draw 猫 --at 每天9:00", "请用 --every"),
        ("/draw 猫 --every 明天9:00", "请用 --at"),
        ("/draw 猫 --every 每分钟", "太密了"),
        ("/draw 猫 --at 2月30日9点", "没有“2月30日9点”这一天"),
        ("/draw 猫 --at 2029-01-01 9:00", "最多提前 400 天"),
        ("/reserve r1", "没有预约 r1"),
    ],
)
def test_what_cannot_be_booked_is_explained(chat: Chat, text: str, said: str) -> None:
    handled = chat.say(text)
    assert handled.reply is not None
    assert said in handled.reply.text
    assert chat.db.read_sync(reservations.recent) == []


def test_a_full_window_says_so_and_offers_the_next(chat: Chat) -> None:
    chat.db.run_sync(queue.learn, Kind.DRAW, 3600.0)  # an hour a unit: eight hours have room for six
    chat.say("/draw 猫 --at 22:00-06:00 --steps 6", "bert")
    chat.push("确认", "bert")
    chat.say("/draw 猫 --at 22:00-06:00 --steps 6")
    assert "11月21日 周六 22:00 开始的时段已订满，这是下一个有空的" in chat.card().note
    assert dict(chat.card().fields)["时间"] == "11月22日 周日 22:00 到 11月23日 周一 06:00 之间"
    assert chat.push("确认")[0] == "success"


def test_a_window_that_fills_up_before_the_press(chat: Chat) -> None:
    chat.db.run_sync(queue.learn, Kind.DRAW, 3600.0)
    chat.say("/draw 猫 --at 22:00-06:00 --steps 6")
    mine = chat.card().buttons[0]
    chat.say("/draw 猫 --at 22:00-06:00 --steps 6", "bert")
    chat.push("确认", "bert")
    kind, text = chat.press(mine.action, **mine.value)
    assert (kind, "刚订满" in text) == ("warning", True)
    assert "下一个有空的" in chat.card().note
    assert chat.push("确认")[0] == "success"
    assert chat.kept().next_at == datetime(2026, 11, 22, 14, tzinfo=UTC)


def test_the_list_shows_what_is_to_come(chat: Chat) -> None:
    chat.say("/draw 猫 --every 工作日9:00")
    chat.push("确认")
    chat.say("/draw 狗 --at 明天8点")
    chat.say("/draw 鸟 --at 明天5点")
    handled = chat.say("/jobs")
    assert handled.reply is not None
    assert handled.reply.text.splitlines() == [
        "预约：",
        "r2 待确认 · 11月22日 周日 08:00 · 狗",
        "r1 已预约 · 11月23日 周一 09:00 · 猫",
        "r3 待选时间 · 11月22日 周日 05:00 / 11月22日 周日 17:00 · 鸟",
        "取消预约：/cancel r号 · 改时间：/reserve r号 时间",
    ]


def test_taking_the_message_back_takes_the_reservation_back(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    chat.push("确认")
    chat.tell(chat.event("recall", "anna", value={"message_id": "k1"}))
    assert chat.kept().state is ReservationState.CANCELLED


def test_without_a_model_it_can_be_booked_and_is_refused_when_it_fires(db: Database) -> None:
    home = house(card=None)
    chat = Chat(db, home)
    chat.say("/draw 猫 --at 明天9:00")
    assert dict(chat.card().fields)["价格"] == "到时按当时的模型计"
    chat.push("确认")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    assert "画图模型现在用不了" in chat.notice().text


def test_a_terminal_cannot_book(chat: Chat) -> None:
    handled = chat.say("/draw 猫 --at 明天9:00", platform="terminal")
    assert handled.reply is not None
    assert "终端里不能预约" in handled.reply.text


def test_the_zone_is_the_teams(db: Database) -> None:
    """The night of 29 March 2026 in Berlin has no 2:30."""
    chat = Chat(db, house("en", zone="Europe/Berlin"))
    chat.now = datetime(2026, 3, 28, 12, tzinfo=UTC)
    chat.say("/draw a cat --at tomorrow 2:30am")
    assert dict(chat.card().fields)["When"] == "Sun 29 Mar 03:00"
    assert "skips that time" in chat.card().note
    assert dict(chat.card().fields)["Time zone"] == "Europe/Berlin"


def test_firings_beyond_the_known_holidays_are_marked_as_a_guess(chat: Chat) -> None:
    last = known_until("cn")
    assert last is not None
    chat.say("/draw 猫 --every 工作日9:00")
    assert "法定节假日" not in chat.card().note
    chat.now = datetime(last, 12, 30, tzinfo=UTC)
    chat.say("/draw 猫 --every 工作日9:00")
    assert f"{last} 年以后的法定节假日还没公布" in chat.card().note


def test_what_went_to_its_owner_instead_of_its_group_says_so(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    chat.push("确认")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    [card] = [one for one in chat.sent() if one.slot == "card"]
    render = Renderer(lambda: chat.house).delivery
    plain = chat.db.read_sync(render, card)
    moved = chat.db.read_sync(render, replace(card, receipt={"redirected": "the group is dissolved"}))
    assert "直接发给你" not in plain.note
    assert "原来的群收不到消息了，直接发给你" in moved.note
    [job] = chat.db.read_sync(jobs.recent)
    chat.db.run_sync(queue.cancel, job, "user:1", chat.now)
    chat.db.run_sync(outbox.sent, card.id, {"redirected": "the group is dissolved"}, chat.now)
    [outcome] = [one for one in chat.sent() if one.slot == "outcome"]
    assert "直接发给你" in chat.db.read_sync(render, outcome).note, "it takes the place of the card"


def test_a_proposal_can_be_given_a_window_instead(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    chat.say("/reserve r1 22:00-06:00")
    assert dict(chat.card().fields)["时间"] == "11月21日 周六 22:00 到 11月22日 周日 06:00 之间"
    chat.push("确认")
    chat.now = datetime(2026, 11, 21, 14, tzinfo=UTC)
    chat.fire()
    [job] = chat.db.read_sync(jobs.recent)
    assert (job.priority, job.not_after) == (BATCH, datetime(2026, 11, 21, 22, tzinfo=UTC))


# --- platforms that answer a press with the card ----------------------------------------------------------------


def test_a_pressed_card_is_shown_as_it_stands_after_the_press_and_not_sent_as_well(chat: Chat) -> None:
    chat.say("/draw 猫 --at 明天9:00")
    [proposal] = chat.sent()
    chat.db.run_sync(outbox.sent, proposal.id, {"message_id": "task-1"}, chat.now)

    def press(action: str) -> Shown:
        button = next(one for one in latest.buttons if one.action == action)
        event = chat.event("action", "anna", action=action, value=button.value)
        event = replace(event, origin=replace(event.origin, message_id="task-1"))

        def work(conn: Connection) -> Shown | None:
            router.press(conn, chat.house, event, chat.now)
            return reshow(conn, chat.house, event)

        found = chat.db.run_sync(work)
        assert found is not None
        return found

    latest = Reply.from_json(proposal.body)
    latest = press("res_confirm").reply
    assert latest.title == "已预约 · r1"
    latest = press("res_cancel").reply
    assert latest.buttons == ()
    assert chat.sent() == [], "what was shown with the answer is not sent a second time"


def test_a_card_that_nobody_knows_is_not_shown(chat: Chat) -> None:
    event = chat.event("action", "mallory", action="res_confirm", value={"reservation": 1})
    for message_id in ("task-9", ""):
        forged = replace(event, origin=replace(event.origin, message_id=message_id))
        assert chat.db.run_sync(reshow, chat.house, forged) is None
