"""What a question is answered with of what was said before: per person and thread, while it may still be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from inference.grounding.search import index_terms
from inference.requests import Turn
from inference.text.extractive import ExtractiveModel
from inference.text.smalltalk import SmallTalk
from scheduler.history import CHAT, ROOM, TURNS, open_turns, small_talk
from scheduler.progress import ProgressFeed
from scheduler.runners.ask import SOURCES, STANDALONE, AskRunner
from scheduler.work import Outcome, Stop, Success, Task
from storage import conversations, documents, jobs, users
from storage.database import Database
from storage.records import ChatType, Identity, Job, JobState, Kind, NewPassage, Origin
from storage.tables import jobs as table
from tests.blank import blank
from tests.inference.text.scripted import Scripted

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
GROUP = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="m", sender="anna")
ALONE = Origin(platform="feishu", chat_id="oc_9", chat_type=ChatType.DIRECT, message_id="m", sender="anna")
ALL = frozenset({"everyone"})


class Room:
    """Questions that were asked and answered, one after another."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = NOW

    def ask(self, question: str, answer: str | None = None, origin: Origin = GROUP, **more: Any) -> Job:
        """A question; with `answer` it is done."""
        self.now += timedelta(seconds=1)
        return self.db.run_sync(self._ask, question, answer, origin, more)

    def _ask(self, conn: Connection, question: str, answer: str | None, origin: Origin, more: dict[str, Any]) -> Job:
        who = Identity(platform="feishu", external_id=origin.sender)
        user = users.resolve(conn, who, origin.sender, self.now)
        result = {"text": answer, "citations": more.get("citations", []), **more.get("result", {})}
        job = jobs.add(
            conn,
            key=f"k{self.now.timestamp()}",
            kind=Kind.ASK,
            user_id=user.id,
            params={"question": question, **more.get("params", {})},
            origin=origin,
            cost=1,
            weight=1.0,
            vtag=0.0,
            parent_id=more.get("parent_id"),
            now=self.now,
        )
        assert job is not None
        if answer is not None:
            done = {"state": JobState.DONE, "result": result, "finished_at": self.now}
            conn.execute(update(table).where(table.c.id == job.id).values(**done))
        return job

    def before(self, job: Job, find: Callable[..., tuple[Turn, ...]] = open_turns) -> list[str]:
        turns = self.db.read_sync(find, job, ALL) if find is open_turns else self.db.read_sync(find, job)
        return [turn.question for turn in turns]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


@pytest.fixture
def room(db: Database) -> Room:
    return Room(db)


def origin(**changes: Any) -> Origin:
    return Origin(**{**{name: getattr(GROUP, name) for name in Origin.__dataclass_fields__}, **changes})


def test_a_conversation_is_one_persons_in_one_chat_and_thread(room: Room) -> None:
    room.ask("年假几天？", "十天")
    room.ask("别人的", "答", origin(sender="ben"))
    room.ask("别的群", "答", origin(chat_id="oc_2"))
    room.ask("别的话题", "答", origin(thread_id="t1"))
    room.ask("单聊", "答", ALONE)
    room.ask("没答成")
    assert room.before(room.ask("那病假呢？")) == ["年假几天？"]
    assert room.before(room.ask("那病假呢？", origin=origin(thread_id="t1"))) == ["别的话题"]


def test_new_forgets(room: Room) -> None:
    room.ask("年假几天？", "十天")
    room.db.run_sync(conversations.restart, conversations.key(GROUP), room.now)
    room.ask("病假几天？", "看病历")
    assert room.before(room.ask("那婚假呢？")) == ["病假几天？"]


def test_it_is_bounded_by_tokens_and_by_turns(room: Room) -> None:
    for number in range(3):
        room.ask(f"长问题{number}", "字" * (ROOM // 2 - 50))
    assert room.before(room.ask("那呢？")) == ["长问题1", "长问题2"]
    for number in range(TURNS + 5):
        room.ask(f"短问题{number}", "短")
    assert room.before(room.ask("那呢？")) == [f"短问题{number}" for number in range(5, TURNS + 5)]


def test_many_pictures_in_between_forget_nothing(room: Room) -> None:
    room.ask("年假几天？", "十天")
    for _ in range(30):
        drawn = room.ask("猫", "")
        room.db.run_sync(
            lambda conn, id_: conn.execute(update(table).where(table.c.id == id_).values(kind=Kind.DRAW)), drawn.id
        )
    assert room.before(room.ask("那病假呢？")) == ["年假几天？"]


def test_small_talk_and_answers_do_not_hear_of_each_other(room: Room) -> None:
    """Small talk is checked against no source: it must not know what answers said."""
    room.ask("年假几天？", "十天")
    room.ask("谢谢", "不客气！", result={CHAT: True})
    later = room.ask("那病假呢？")
    assert room.before(later) == ["年假几天？"]
    assert room.before(later, small_talk) == ["谢谢"]


def test_what_was_cleared_is_not_told_again(room: Room) -> None:
    old = room.ask("年假几天？", "十天")
    room.db.run_sync(lambda conn: conn.execute(update(table).where(table.c.id == old.id).values(cleared=90)))
    assert room.before(room.ask("那病假呢？")) == []


def test_a_private_answer_knows_what_its_question_leant_on(room: Room) -> None:
    """Of the group as it was then; what came later in the group or stands in the own chat is no part of it."""
    room.ask("单聊", "答", ALONE)
    room.ask("年假几天？", "十天")
    asked = room.ask("那病假呢？", "看病历")
    room.ask("群里后来的", "答")
    alone = Origin(platform="feishu", chat_id="", chat_type=ChatType.DIRECT, message_id="", sender="anna")
    assert room.before(room.ask("那病假呢？", origin=alone, parent_id=asked.id)) == ["年假几天？"]
    theirs = Origin(platform="feishu", chat_id="", chat_type=ChatType.DIRECT, message_id="", sender="ben")
    assert room.before(room.ask("那病假呢？", origin=theirs, parent_id=asked.id)) == []


def test_a_private_answer_is_a_turn_of_the_own_chat(room: Room) -> None:
    alone = Origin(platform="feishu", chat_id="", chat_type=ChatType.DIRECT, message_id="", sender="anna")
    room.ask("那病假呢？", "看病历", alone)
    assert room.before(room.ask("要交病历吗？", origin=ALONE)) == ["那病假呢？"]


# --- small talk through the runner ----------------------------------------------------------------------------------


def put(conn: Connection, name: str, text: str, collection: str = "") -> None:
    piece = NewPassage(heading="", start=0, end=len(text), text=text, terms=index_terms(text))
    documents.put_document(conn, name=name, title=name, sha256="", recipe="", pieces=[piece], principals=ALL)
    documents.collect(conn, {name: collection})


async def run(room: Room, model: Scripted | None, question: str, **params: Any) -> dict[str, Any]:
    talk = SmallTalk(model) if model else None
    runner = AskRunner(room.db, ExtractiveModel(), ProgressFeed(), lambda: "zh", talk=talk)
    job = await asyncio.to_thread(room.ask, question, params=params)
    [outcome] = await runner.run([Task(job, Stop())])
    return kept(outcome)


def kept(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Success)
    assert outcome.tokens == outcome.result["tokens"]
    return outcome.result


@pytest.mark.parametrize("opinion", ["rules", "model"])
async def test_small_talk_is_answered_without_documents(room: Room, opinion: str) -> None:
    await room.db.run(put, "手册", "年假十天，当年有效。")
    model = Scripted("今天也辛苦啦！")
    result = await run(room, model, "好累啊", **{CHAT: opinion})
    assert (result["text"], result["citations"], result[CHAT]) == ("今天也辛苦啦！", [], True)
    assert "grounded" not in result  # nothing that the documents lack
    assert result["tokens"] == 120
    assert "年假" not in str(model.asked)


async def test_what_the_documents_speak_of_is_no_small_talk_whatever_the_model_says(room: Room) -> None:
    await room.db.run(put, "手册", "年假十天，当年有效。")
    model = Scripted("年假挺好的！")
    result = await run(room, model, "年假规定", **{CHAT: "model"})
    assert result["citations"][0]["document"] == "手册"
    assert CHAT not in result
    assert model.asked == []


@pytest.mark.parametrize("script", ["年假有 10 天。", None])
async def test_what_it_may_not_say_or_cannot_is_left_to_the_card(room: Room, script: str | None) -> None:
    result = await run(room, Scripted(script) if script else None, "你好", **{CHAT: "rules"})
    assert (result["text"], result[CHAT]) == ("", True)


async def test_a_question_asked_again_is_searched_for_as_it_was(room: Room) -> None:
    await room.db.run(put, "手册", "年假十天，当年有效。")
    result = await run(room, None, "那呢？", **{STANDALONE: "年假几天？ 那呢？"})
    assert [one["document"] for one in result["citations"]] == ["手册"]
    assert result[STANDALONE] == "年假几天？ 那呢？"


async def test_only_the_named_sources_are_asked(room: Room) -> None:
    for name, collection in (("人事", "hr"), ("其他", "")):
        await room.db.run(put, name, "年假十天，当年有效。", collection)
    result = await run(room, None, "年假几天？", **{SOURCES: ["hr"]})
    assert [one["document"] for one in result["citations"]] == ["人事"]
    assert not (await run(room, None, "年假几天？", **{SOURCES: []}))["grounded"]
