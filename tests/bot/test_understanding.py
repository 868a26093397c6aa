"""The model is asked what a message is before it is dealt with: in the background, when rules are not sure, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.events import ChatEvent
from bot.inbox import Inbox, NotYet
from bot.understanding import AT_ONCE, QUESTION, Understanding
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.routing import Meant, Purpose, Routing
from storage import inbox, users
from storage.database import Database
from storage.records import ChatType, Identity, InboxEntry
from tests.blank import blank
from tests.bot.test_reserve import NOW, Chat, house
from tests.inference.text.scripted import Scripted

DRAW = '{"kind": "draw", "prompt": "小猫", "when": ""}'
UNSURE = "来点小猫的图吧"


class Held(Scripted):
    """Writes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__(DRAW)
        self.go = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        self.asked.append(request)
        await self.go.wait()
        yield Piece(self.script)
        yield Ended(reason="stop")


class Door:
    """Messages that come in, and the model that is asked about them."""

    def __init__(self, db: Database, model: Scripted | None, patience: float = 5.0) -> None:
        self.chat = Chat(db, house())
        self.woken = asyncio.Event()
        routing = Routing(model, patience=patience) if model else None
        self.understanding = Understanding(db, routing, house, self.woken.set)

    def event(self, text: str, **values: Any) -> ChatEvent:
        return self.chat.event("message", "anna", text=text, **values)

    async def meant(self, event: ChatEvent, number: int = 1) -> Meant | None:
        """What it is taken for, however often one has to look."""
        entry = InboxEntry(id=number, platform="feishu", key=event.key, received_at=NOW)
        while True:
            self.woken.clear()
            try:
                return (await self.understanding.complete(entry, event)).meant
            except NotYet:
                await self.woken.wait()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


async def test_what_rules_are_not_sure_of_is_asked_once(db: Database) -> None:
    model = Scripted(DRAW)
    door = Door(db, model)
    event = door.event(UNSURE)
    assert await door.meant(event) == await door.meant(event) == Meant(purpose=Purpose.DRAW, prompt="小猫")
    assert len(model.asked) == 1


async def test_everything_else_is_left_to_the_rules(db: Database) -> None:
    def shut_out(conn: Connection) -> None:
        ben = users.resolve(conn, Identity(platform="feishu", external_id="ben"), "ben", NOW)
        users.set_banned(conn, ben.id, True)

    await db.run(shut_out)
    model = Scripted(DRAW)
    door = Door(db, model)
    others = replace(door.event(UNSURE), mentioned=False)
    assert others.origin.chat_type is ChatType.GROUP
    for event in (
        *(
            door.event(text)
            for text in ("年假几天？", "你好", "画一只猫", "/ask 来点小猫的图吧", "每天9点画一只猫", "")
        ),
        door.event(UNSURE, value={"quote": "这张"}),
        others,
        door.chat.event("action", "anna", action="redo", text=UNSURE),
        door.chat.event("message", "ben", text=UNSURE),
    ):
        assert await door.meant(event) is None
    assert model.asked == []
    assert await Door(db, None).meant(door.event(UNSURE)) is None


@pytest.mark.parametrize("model", [Scripted("no json"), Scripted(DRAW, ending=Ended(reason="length"))])
async def test_without_an_opinion_it_is_a_question(db: Database, model: Scripted) -> None:
    assert await Door(db, model).meant(Door(db, None).event(UNSURE)) == QUESTION


async def test_one_that_is_slow_is_not_waited_for(db: Database) -> None:
    door = Door(db, Held(), patience=0.01)
    assert await door.meant(door.event(UNSURE)) == QUESTION


async def test_too_many_at_once_are_questions_and_closing_ends_all(db: Database) -> None:
    model = Held()
    door = Door(db, model)
    for number in range(AT_ONCE):
        entry = InboxEntry(id=number, platform="feishu", key=str(number), received_at=NOW)
        with pytest.raises(NotYet):
            await door.understanding.complete(entry, door.event(f"{UNSURE}{number}"))
    assert await door.meant(door.event(UNSURE), AT_ONCE) is None
    await door.understanding.close()
    assert len(model.asked) <= AT_ONCE


async def test_a_senders_messages_keep_their_order_and_others_do_not_wait(db: Database) -> None:
    """/cancel behind what the model thinks about must not overtake it; another's question passes."""
    model, done, passed = Held(), list[str](), asyncio.Event()
    served: list[Inbox] = []
    understanding = Understanding(db, Routing(model), house, lambda: served[0].wake.give())

    async def handle(entry: InboxEntry, event: ChatEvent) -> None:
        event = await understanding.complete(entry, event)
        done.append(event.text)
        passed.set()
        await db.run(inbox.handled, entry.id, "reply", NOW)
        if event.text == "最后":
            served[0].stop()

    served.append(Inbox(db, handle))
    chat = Chat(db, house())
    for who, text in (("anna", UNSURE), ("anna", "/cancel 1"), ("ben", "年假几天？")):
        await served[0].accept(chat.event("message", who, text=text))
    running = asyncio.create_task(served[0].run())
    await passed.wait()
    assert done == ["年假几天？"]
    model.go.set()
    await served[0].accept(chat.event("message", "anna", text="最后"))
    await running
    assert done == ["年假几天？", UNSURE, "/cancel 1", "最后"]
