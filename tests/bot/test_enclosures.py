"""What messages point to: fetched in the background, once, by those who may; what goes wrong is told."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from bot import enclosures
from bot.commands import Rules, parse
from bot.enclosures import REASONS, Enclosures, needed, reason
from bot.events import ChatEvent
from bot.inbox import BATCH, Inbox, NotYet
from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.feishu.decode import decode
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings
from bot.replies.zh import TABLE
from scheduler.progress import Signal
from storage import assets, documents, inbox, outbox, users
from storage.database import Database
from storage.errors import DiskFull
from storage.files import Files
from storage.records import ChatType, Identity, InboxEntry, Origin, Role, utcnow
from storage.tables import outbox as outbox_table
from storage.tables import sources
from tests.blank import blank
from tests.bot.test_reserve import house
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import BOT_OPEN_ID, message


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


class Desk:
    """A bot's inbox with its enclosures, connected to the simulated platform."""

    def __init__(self, feishu: FeishuSimulator, db: Database, folder: Path) -> None:
        self.feishu = feishu
        self.db = db
        self.files = Files(folder / "files")
        self.platform = FeishuPlatform(FeishuSettings.model_validate(feishu.settings))
        self.woken = asyncio.Event()
        self.signal = Signal()
        self.enclosures = self.opened()

    def opened(self) -> Enclosures:
        return Enclosures(self.db, self.files, {"feishu": self.platform}, house, self.woken.set)

    def written(self, text: str, content: dict[str, Any] | None = None, kind: str = "image", **more: Any) -> ChatEvent:
        """A message, in answer to one with this content."""
        parent = more.pop("parent_id", "")
        if content is not None:
            answered = message(self.feishu.app, content, kind=kind)["event"]["message"]
            self.feishu.resources.keep(answered)
            parent = answered["message_id"]
        envelope = message(self.feishu.app, text, parent_id=parent, **more)
        self.feishu.resources.keep(envelope["event"]["message"])
        decoded = decode(envelope, BOT_OPEN_ID, utcnow())
        assert isinstance(decoded, ChatEvent)
        return decoded

    async def completed(self, event: ChatEvent, number: int = 1) -> ChatEvent:
        """The event once everything is there."""
        entry = entry_of(event, number)
        self.woken.clear()
        with pytest.raises(NotYet):
            await self.enclosures.complete(entry, event)
        with pytest.raises(NotYet):
            await self.enclosures.complete(entry, event)
        await asyncio.wait_for(self.woken.wait(), 20)
        return await self.enclosures.complete(entry, event)

    @property
    def fetched(self) -> int:
        return len([call for call in self.feishu.calls if "/resources/" in call])


def entry_of(event: ChatEvent, number: int = 1) -> InboxEntry:
    return InboxEntry(id=number, platform="feishu", key=event.key, event=event.to_json(), received_at=utcnow())


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "moqi.db"
    blank(path)
    with Database.open(f"sqlite:///{path}") as opened:
        yield opened


@pytest.fixture
async def desk(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(enclosures, "PAUSES", (0.01, 0.01, 0.01))
    with FeishuSimulator() as feishu:
        made = Desk(feishu, db, tmp_path)
        yield made
        await made.enclosures.close()
        await made.platform.close()


# --- what is needed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/draw 猫 --from", "picture"),
        ("画一只猫 --from", "picture"),
        ("/draw 猫 --from --dry-run", "picture"),
        ("/draw 猫 --from --at 22:00", "picture"),
        ("/draw 猫 --from 17", ""),
        ("/draw 猫", ""),
        ("/kb add", "file"),
        ("/kb", ""),
        ("/kb remove x", ""),
        ("/redo 17", ""),
        ("年假怎么休", ""),
        ("/draw 猫 --from --strength 9", ""),
    ],
)
def test_what_a_command_looks_for(text: str, kind: str) -> None:
    assert needed(parse(text, Rules())) == kind


def coded(error: PlatformError, code: int | None) -> PlatformError:
    error.code = code
    return error


@pytest.mark.parametrize("code", list(REASONS))
def test_every_reason_has_its_sentence(code: int | None) -> None:
    assert f"refusal.{reason(coded(Undelivered('x'), code))}" in TABLE


@pytest.mark.parametrize("error", [Retry("x"), Unconfigured("x")])
def test_what_may_pass_and_what_the_operator_must_mend_is_told_so(error: PlatformError) -> None:
    assert reason(error) == "enclosed_failed"


# --- fetching ---------------------------------------------------------------------------------------------------


async def test_a_picture_is_fetched_kept_and_named_by_its_content(desk: Desk) -> None:
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    found = await desk.completed(event)
    sha = found.value["picture"]
    kept = desk.db.read_sync(assets.given, sha)
    assert kept is not None
    assert (kept.width, kept.height, kept.media_type) == (64, 48, "image/png")
    assert desk.files.check(sha) == ""
    assert found.value["parent"], "what it said stays"
    assert desk.fetched == 1


async def test_after_a_crash_it_is_fetched_again_and_is_the_same_one(desk: Desk) -> None:
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    first = await desk.completed(event)
    await desk.enclosures.close()
    desk.enclosures = desk.opened()  # nothing is remembered but what is on disk
    assert (await desk.completed(event)).value == first.value
    assert len(list(desk.files.iterate())) == 1
    assert desk.db.read_sync(lambda conn: len(conn.execute(select(sources)).all())) == 1


async def test_what_is_dealt_with_is_forgotten(desk: Desk) -> None:
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    await desk.completed(event)
    desk.enclosures.forget(entry_of(event))
    assert desk.enclosures._ready == {}


async def test_nothing_is_fetched_for_what_needs_nothing(desk: Desk) -> None:
    picture = desk.feishu.resources.image(png())
    for text in ("/draw 猫", "/draw 猫 --from 17", "/quota", "好看吗"):
        event = desk.written(text, picture)
        assert await desk.enclosures.complete(entry_of(event), event) is event
    others = desk.written("画一只猫 --from", picture, group=True)
    assert await desk.enclosures.complete(entry_of(others), others) is others, "talk of others in a group"
    alone = desk.written("/draw 猫 --from")
    assert await desk.enclosures.complete(entry_of(alone), alone) is alone
    assert desk.feishu.calls == []


async def test_who_may_not_makes_us_fetch_nothing(desk: Desk) -> None:
    event = desk.written("/kb add", desk.feishu.resources.file(b"text", "a.md"), "file", sender="ou_nobody")
    assert await desk.enclosures.complete(entry_of(event), event) is event, "somebody unknown"

    def known(conn: Any) -> int:
        return users.resolve(conn, Identity(platform="feishu", external_id="ou_nobody"), "", utcnow()).id

    user = desk.db.run_sync(known)
    assert await desk.enclosures.complete(entry_of(event), event) is event, "no admin"
    desk.db.run_sync(users.set_role, user, Role.ADMIN)
    given = (await desk.completed(event)).value["document"]
    assert (given.name, given.problem) == ("a.md", "")
    assert desk.db.read_sync(documents.holdings) == [], "kept only by the one who asks again whether it may"
    picture = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()), sender="ou_nobody")
    desk.db.run_sync(users.set_banned, user, True)
    before = desk.fetched
    assert await desk.enclosures.complete(entry_of(picture, 2), picture) is picture, "banned"
    assert desk.fetched == before


async def test_a_bad_moment_passes_and_a_bad_day_is_told(desk: Desk) -> None:
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    desk.feishu.fail("500", on="/resources/")
    desk.feishu.fail("torn", on="/resources/")
    assert "picture" in (await desk.completed(event)).value
    desk.feishu.fail("500", on="/resources/", times=99)
    assert (await desk.completed(event, 2)).value["trouble"] == "enclosed_failed"


async def test_an_endless_answer_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosures, "PATIENCE", 0.2)
    desk.feishu.fail("slow", on="/resources/", seconds=1.0)
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    assert (await desk.completed(event)).value["trouble"] == "enclosed_failed"


async def test_what_will_never_come_is_told_at_once(desk: Desk) -> None:
    event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
    desk.feishu.recalled.add(str(event.value["parent"]))
    assert (await desk.completed(event)).value["trouble"] == "enclosed_gone"


@pytest.mark.parametrize(
    ("data", "trouble"),
    [(b"MZ\x90\x00 no picture", "source_format"), (b"\x89PNG\r\n\x1a\nbroken", "source_broken")],
)
async def test_what_is_no_picture_whatever_it_is_called_is_refused(desk: Desk, data: bytes, trouble: str) -> None:
    found = await desk.completed(desk.written("/draw 猫 --from", desk.feishu.resources.file(data, "cat.png"), "file"))
    assert found.value["trouble"] == trouble
    assert list(desk.files.iterate()) == []


async def test_a_card_of_ours_that_is_answered_is_its_job(desk: Desk) -> None:
    """The platform hands out no pictures of cards, and need not."""

    def sent(conn: Any) -> int:
        from storage import jobs
        from storage.records import Kind

        person = users.resolve(conn, Identity(platform="feishu", external_id="ou_alice"), "", utcnow())
        origin = Origin(
            platform="feishu", chat_id="oc_1", chat_type=ChatType.DIRECT, message_id="om_0", sender="ou_alice"
        )
        values: dict[str, Any] = {
            "user_id": person.id,
            "params": {},
            "cost": 1,
            "weight": 1.0,
            "vtag": 0.0,
            "origin": origin,
        }
        job = jobs.add(conn, key="k", kind=Kind.DRAW, now=utcnow(), **values)
        assert job is not None
        outbox.add(conn, "job-1-card", origin, slot="card", body={}, now=utcnow(), job_id=job.id)
        conn.execute(outbox_table.update().values(receipt={"message_id": "om_ours", "images": {}}))
        return job.id

    job = desk.db.run_sync(sent)
    event = desk.written("/draw 猫 --from", parent_id="om_ours")
    assert (await desk.completed(event)).value["job"] == job
    assert desk.feishu.calls == []
    assert desk.db.read_sync(outbox.job_of_message, "feishu", "om_our%") is None
    assert desk.db.read_sync(outbox.job_of_message, "web", "om_ours") is None


async def test_a_full_disk_leaves_the_event_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_data: bytes) -> str:
        raise DiskFull

    with monkeypatch.context() as patch:
        patch.setattr(desk.files, "put", full)
        event = desk.written("/draw 猫 --from", desk.feishu.resources.image(png()))
        with pytest.raises(NotYet):
            await desk.enclosures.complete(entry_of(event), event)
        await asyncio.gather(*desk.enclosures._under_way.values())
        assert desk.enclosures._ready == {}
        assert not desk.woken.is_set(), "it is looked at again in a while, not at once and again and again"
    assert "picture" in (await desk.completed(event)).value


# --- the inbox meanwhile ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [1, 2 * BATCH])
async def test_only_the_senders_own_messages_wait(db: Database, behind: int) -> None:
    """/draw --from, then /cancel: in their order. What others write in the group goes by, however much waits."""
    dealt: list[str] = []
    ready = asyncio.Event()

    async def handle(entry: InboxEntry, event: ChatEvent) -> None:
        if event.text == "slow" and not ready.is_set():
            raise NotYet
        dealt.append(event.text)
        await db.run(inbox.handled, entry.id, "reply", utcnow())

    box = Inbox(db, handle)
    running = asyncio.create_task(box.run())
    after = [f"after {number}" for number in range(behind)]
    mine = [("anna", text) for text in ("slow", *after)]
    for number, (who, text) in enumerate([*mine, ("ben", "by the way")]):
        await box.accept(said(number, who, text))
    async with asyncio.timeout(10):
        while dealt != ["by the way"]:
            await asyncio.sleep(0.01)
        ready.set()
        box.wake.give()
        while len(dealt) < behind + 2:
            await asyncio.sleep(0.01)
    assert dealt == ["by the way", "slow", *after]
    box.stop()
    await running


def said(number: int, who: str, text: str) -> ChatEvent:
    origin = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id=f"om_{number}", sender=who)
    return ChatEvent(
        platform="feishu",
        key=f"om_{number}",
        kind="message",
        sender=Identity(platform="feishu", external_id=who),
        sender_name=who,
        origin=origin,
        at=utcnow(),
        text=text,
    )
