"""A question in a Feishu group: its answer types along in one card, and ends with its sources, whatever happens."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from storage.database import Database
from storage.tables import jobs
from tests.journeys.moqi import Moqi, Person, until
from tests.journeys.test_feishu import buttons
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_cardkit import Entity
from tests.simulators.feishu_events import BOT_OPEN_ID, click, mention, message

NUMBERS = itertools.count(1)
QUESTION = "年假怎么休?"
ANSWER = "满 1 年不满 10 年"


class Slow(Moqi):
    """An installation whose answers are written as slowly as it is told."""

    program = "tests.journeys.slow_answers"

    def __init__(self, folder: Path, *, settings: Mapping[str, Any]) -> None:
        super().__init__(folder, settings=settings)
        self.typing = folder / "typing"

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(MOQI_TYPING=str(self.typing), **more)

    def write(self, characters: int) -> None:
        """Let so many characters of an answer be written."""
        self.typing.write_text(str(characters), encoding="utf-8")

    def write_all(self) -> None:
        self.typing.unlink(missing_ok=True)


class Asked:
    """One question in a group of its own."""

    def __init__(self, feishu: FeishuSimulator, house: Slow, question: str = QUESTION, **more: Any) -> None:
        number = next(NUMBERS)
        self.feishu, self.house, self.chat = feishu, house, f"oc_{number:032d}"
        ours = mention(1, BOT_OPEN_ID, "墨契", "bot")
        given = {"sender": f"ou_{number:032d}", "chat_id": self.chat, "group": True, "mentions": [ours], **more}
        event = message(feishu.app, f"@_user_1 /ask {question}", **given)
        assert feishu.push(event).statuses == [200]
        self.message_id = str(event["event"]["message"]["message_id"])

    @property
    def answers(self) -> list[Sent]:
        return [sent for sent in self.feishu.visible() if sent.parent_id == self.message_id]

    @property
    def card(self) -> Sent:
        """The only answer there is."""
        (card,) = self.answers
        return card

    @property
    def entity(self) -> Entity:
        found = self.feishu.cardkit.of_message(self.card.message_id)
        assert found is not None
        return found

    @property
    def texts(self) -> list[str]:
        """What the card said, one after the other."""
        return [text_of(card) for card in self.card.updates]

    def until_typed(self, characters: int) -> str:
        """Wait until so much of the answer stands there; returns it."""

        def look() -> str:
            text = text_of(self.answers[0].shown) if self.answers else ""
            return text if "摘录" in text and len(plain(text)) >= characters else ""

        return until(look, f"{characters} characters of the answer")

    def ended(self) -> Sent:
        """The one card, once it has its sources: the whole answer, and nobody writes any more."""
        until(lambda: "摘自知识库" in "".join(sent.text for sent in self.answers), "the end of the answer")
        card = self.card
        assert ANSWER in plain(text_of(card.shown))
        assert "请假与年假制度" in element(card.shown, "sources")
        assert not card.generating
        assert not card.shown["config"].get("streaming_mode")
        assert "cancel" not in card.text
        return card


def element(card: Mapping[str, Any], element_id: str) -> str:
    found = (item for item in card["body"]["elements"] if item.get("element_id") == element_id)
    return str(next(found, {"content": ""})["content"])


def text_of(card: Mapping[str, Any]) -> str:
    return element(card, "text")


def plain(text: str) -> str:
    """As a person reads it."""
    return re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), text).replace("**", "")


@pytest.fixture(scope="module")
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, feishu: FeishuSimulator) -> Iterator[Slow]:
    settings = {"platforms": {"web": {"enabled": True}, "feishu": feishu.settings}}
    house = Slow(tmp_path_factory.mktemp("ask"), settings=settings)
    feishu.bot_url = f"{house.url}/feishu/events"
    house.start()
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture
def ask(house: Slow, feishu: FeishuSimulator) -> Iterator[Callable[..., Asked]]:
    """Ask in a new group; nothing of the answer is written yet."""
    house.write(0)
    yield lambda question=QUESTION, **more: Asked(feishu, house, question, **more)
    house.write_all()
    feishu.cardkit.granted = True
    feishu.banned.clear()


Ask = Callable[..., Asked]


def test_an_answer_types_along_and_ends_with_its_sources(house: Slow, ask: Ask) -> None:
    asked = ask()
    until(lambda: asked.answers, "the card")
    assert QUESTION in asked.card.text
    for characters in (24, 48, 72):
        house.write(characters)
        asked.until_typed(characters - 4)
    assert asked.card.generating
    typed = [plain(text) for text in asked.texts if "摘录" in text]
    assert all(after.startswith(before) for before, after in itertools.pairwise(typed)), "the whole text each time"
    house.write_all()
    asked.ended()
    sequences = [sequence for _, sequence in asked.entity.operations]
    assert sequences == sorted(set(sequences))
    times = asked.entity.at
    assert all(after - before > 0.15 for before, after in itertools.pairwise(times[1:-1])), "five a second at most"


def test_in_a_topic_the_answer_stays_there(house: Slow, ask: Ask) -> None:
    asked = ask(thread_id="omt_1")
    house.write_all()
    assert asked.ended().thread_id == "omt_1"


def test_somebody_else_in_the_group_gets_an_answer_of_their_own(house: Slow, feishu: FeishuSimulator, ask: Ask) -> None:
    asked = ask()
    house.write_all()
    shown = asked.ended().shown
    value = next(found for found in buttons(asked.card) if found["action"] == "ask_privately")
    ben = "ou_private_ben"
    pushed = feishu.push(click(feishu.app, value, presser=ben, chat_id=asked.chat, message_id=asked.card.message_id))
    assert "单聊" in pushed.answer["toast"]["content"]

    def theirs() -> list[Sent]:
        return [sent for sent in feishu.visible() if sent.chat_id == ben and "摘自知识库" in sent.text]

    alone = until(theirs, "the answer for one alone")
    assert ANSWER in plain(text_of(alone[0].shown))
    assert "ask_privately" not in alone[0].text
    assert asked.card.shown == shown, "the group sees nothing of it"
    assert len([sent for sent in feishu.visible() if sent.chat_id == asked.chat]) == 1


def test_trap_22_killed_half_way_and_right_after_a_first_card_everything_is_shown_once(house: Slow, ask: Ask) -> None:
    first = ask()
    house.write(24)
    first.until_typed(20)
    house.kill()
    assert first.card.generating
    house.write(12)
    house.start(faults="delivery-sent:1")
    until(lambda: 4 <= len(plain(text_of(first.card.shown))) <= 12, "the answer to begin anew, in the same card")
    second = ask()
    house.died()
    assert len(second.answers) == 1
    house.start()
    house.write(24)
    second.until_typed(20)
    house.write_all()
    first.ended()
    second.ended()


def test_cardkit_refused_half_way_and_a_sequence_somebody_else_has_used(
    house: Slow, feishu: FeishuSimulator, ask: Ask
) -> None:
    stale, refused = ask(), ask()
    house.write(24)
    stale.until_typed(20)
    refused.until_typed(20)
    stale.entity.sequence += 1_000_000
    feishu.fail("code", code=200740, times=99, on=f"/cards/{refused.entity.card_id}")
    house.write(48)
    stale.until_typed(44)
    refused.until_typed(44)
    house.write_all()
    stale.ended()
    refused.ended()


def test_trap_22_an_answer_slower_than_ten_minutes(house: Slow, feishu: FeishuSimulator, ask: Ask) -> None:
    asked = ask()
    house.write(24)
    asked.until_typed(20)
    feishu.advance(601)
    house.write(48)
    asked.until_typed(44)
    assert ("settings" in {what for what, _ in asked.entity.operations}) is True
    feishu.advance(601)
    house.write_all()
    asked.ended()


def test_trap_26_what_the_audit_refuses_is_said_in_other_words_and_costs_nothing(
    house: Slow, feishu: FeishuSimulator, ask: Ask
) -> None:
    feishu.banned.add(ANSWER)
    asked = ask()
    until(lambda: asked.answers, "the card")
    house.write_all()
    until(lambda: asked.answers and "这里不能显示" in asked.card.text, "the person to be told")
    assert ANSWER not in asked.card.text
    assert "没有计额度" in asked.card.text
    assert not asked.card.generating
    with Database.open(data=house.data) as db:
        assert any(ANSWER in answer for answer in db.read_sync(kept)), "the job keeps its result"
    assert len(feishu.audited) <= 2, "refused as an outcome once, and perhaps while it was typed"


def kept(conn: Connection) -> list[str]:
    return [str((row.result or {}).get("text")) for row in conn.execute(select(jobs))]


def test_without_cardkit_the_card_is_replaced_and_an_admin_is_told_once(
    house: Slow, feishu: FeishuSimulator, ask: Ask
) -> None:
    """Last on this page: for ten minutes CardKit is not tried again."""
    admin = Person(house, "管理员")
    feishu.cardkit.granted = False
    first, second = ask(), ask()
    house.write(24)
    for asked in (first, second):
        asked.until_typed(20)
        assert feishu.cardkit.of_message(asked.card.message_id) is None
    house.write_all()
    first.ended()
    second.ended()

    def alerts() -> list[dict[str, Any]]:
        return [body for body in admin.replies() if "飞书需要管理员处理" in body["title"]]

    (told,) = until(alerts, "the admin to be told")
    assert "cardkit:card:write" in told["text"]
    assert "消息照常送达" in told["text"]
    assert len(alerts()) == 1
