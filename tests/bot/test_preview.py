"""/draw … --dry-run by way of the router and a real database: it answers, and nothing else happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, func, select

from bot import router
from bot.commands import Rules
from bot.context import Handled, House
from bot.engine import Engine
from bot.events import ChatEvent
from bot.moderation import Rule, Screen, words
from bot.replies import Words
from inference.images.model import ModelCard
from scheduler import pausing
from scheduler.calendar import window_from_text
from scheduler.policy import Policy, Rate
from storage import inbox
from storage.database import Database
from storage.records import Allowance, ChatType, EntryKind, Identity, Kind, Origin, Unit
from storage.tables import audit, jobs, ledger, outbox, stretches
from tests.blank import blank

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
CARD = ModelCard(name="builtin", path="", builtin=True, device="cpu", dtype="float32")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as opened:
        yield opened


def house(card: ModelCard | None = CARD) -> House:
    return House(
        words=Words("zh"),
        policy=Policy(timezone=ZoneInfo("UTC"), allowances=dict.fromkeys(Unit, (Allowance(amount=3, period="day"),))),
        rules=Rules(),
        card=card,
        engines={kind: Engine(name="builtin", state="ready", problem="没有文件。") for kind in Kind},
        started_at=NOW,
        first_is_admin=False,
    )


def say(db: Database, text: str, *, platform: str = "web", home: House | None = None) -> Handled:
    key = f"{platform}-{text}"
    origin = Origin(platform=platform, chat_id="c", chat_type=ChatType.DIRECT, message_id=key, sender="anna")
    event = ChatEvent(
        platform=platform,
        key=key,
        kind="message",
        sender=Identity(platform=platform, external_id="anna"),
        sender_name="anna",
        origin=origin,
        at=NOW,
        text=text,
        mentioned=True,
    )

    def work(conn: Connection) -> Handled:
        entry = inbox.accept(conn, platform, key, event.to_json(), NOW)
        assert entry is not None
        return router.handle(conn, home or house(), entry, event, NOW)

    return db.run_sync(work)


def rows(db: Database) -> tuple[int, int, int]:
    """Jobs, stretches of the line, and entries of the ledger that somebody pays."""

    def count(conn: Connection) -> tuple[int, int, int]:
        paid = select(func.count()).select_from(ledger).where(ledger.c.kind != EntryKind.GRANT)
        return (
            conn.execute(select(func.count()).select_from(jobs)).scalar_one(),
            conn.execute(select(func.count()).select_from(stretches)).scalar_one(),
            conn.execute(paid).scalar_one(),
        )

    return db.read_sync(count)


@pytest.mark.parametrize("platform", ["web", "feishu", "terminal"])
def test_it_tells_and_orders_nothing(db: Database, platform: str) -> None:
    handled = say(db, "/draw 猫 --n 2 --dry-run", platform=platform)
    assert handled.reply is not None
    assert (handled.outcome, handled.work, handled.card) == ("reply", (), "")
    said = dict(handled.reply.fields)
    assert (said["价格"], said["排位"], said["张数"]) == ("2（还剩 3）", "第 1 位", "2")
    assert rows(db) == (0, 0, 0)
    kept = db.read_sync(lambda conn: conn.execute(select(outbox.c.slot)).scalars().all())
    assert list(kept) == ["reply"]


def test_it_tells_what_would_refuse_it_and_where_it_would_stand_behind_others(db: Database) -> None:
    assert say(db, "/draw 狗 --n 2").outcome == "job:1"
    before = rows(db)
    refused = say(db, "/draw 猫 --n 2 --dry-run")
    assert refused.reply is not None
    assert refused.outcome == "refused:quota"
    assert "现在下单会被拒绝：你的画图额度不够" in refused.reply.text
    assert dict(refused.reply.fields)["排位"] == "第 2 位"
    assert rows(db) == before


def test_without_a_model_it_says_so(db: Database) -> None:
    assert say(db, "/draw 猫 --dry-run", home=house(card=None)).outcome == "refused:image_model_unavailable"


def test_hours_and_words_that_would_refuse_the_order_are_told_and_not_noted(db: Database) -> None:
    closed = replace(house().policy, interactive=(window_from_text("mon-fri 09:00-18:00"),))
    refused = say(db, "/draw 猫 --dry-run", home=replace(house(), policy=closed))  # on a Saturday
    assert refused.outcome == "refused:closed"
    screen = Screen(rules=(Rule(name="竞品", words=frozenset(words(["某某牌"]))),))
    refused = say(db, "/draw 某某牌的海报 --dry-run", home=replace(house(), screen=screen))
    assert refused.outcome == "refused:moderated"
    assert rows(db) == (0, 0, 0)
    assert not db.read_sync(lambda conn: conn.execute(select(audit.c.action)).scalars().all())


def test_who_orders_too_fast_is_told_so_and_asking_does_not_count(db: Database) -> None:
    slow = replace(house(), policy=replace(house().policy, rates={"draw": Rate(count=2, name="hour")}))
    for text in ("/draw 猫 --dry-run", "/draw 狗 --dry-run", "/draw 鸟 --dry-run"):
        assert say(db, text, home=slow).outcome == "reply"
    for text in ("/draw 猫", "/draw 狗"):
        assert say(db, text, home=slow).outcome.startswith("job:")
    refused = say(db, "/draw 鱼 --dry-run", home=slow)
    assert refused.outcome == "refused:too_fast"
    assert refused.reply is not None
    assert "30 分钟" in refused.reply.text


def test_while_drawing_is_paused_it_says_so(db: Database) -> None:
    db.run_sync(pausing.pause, (Kind.DRAW,), "user:1", NOW, at_once=False)
    handled = say(db, "/draw 猫 --dry-run")
    assert handled.reply is not None
    assert dict(handled.reply.fields)["预计"] == "管理员已暂停，恢复后继续"
