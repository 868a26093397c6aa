"""What leaves Moqi: copies with the visible mark, by a policy whose changes are in the audit log."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageChops
from sqlalchemy import Connection

from bot import doctor, showing
from bot.delivery import LazyImages
from bot.export import Export, written
from bot.reply import Picture, Reply
from bot.services import Services
from bot.settings import SettingsError, load
from bot.settings.policy import Labels
from bot.showing import Showing, noted
from inference.images.finish import finish
from inference.results import ImageResult
from storage import assets, audit, jobs, users
from storage.database import Database
from storage.files import Files
from storage.gallery import Found
from storage.records import Asset, AuditEntry, ChatType, Origin, Role
from tests.blank import blank
from tests.bot.test_reserve import NOW, Chat, house
from tests.inference.images.test_finish import labels as implicit

GROUP = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture
def asset(db: Database, files: Files) -> Asset:
    """A picture of a job, as it is kept."""
    chat = Chat(db, house())
    job = int(chat.say("/draw 一只猫").outcome.removeprefix("job:"))
    result = ImageResult(image=Image.new("RGB", (200, 100), "teal"), seed=7, seconds=0.1, batch_size=1)
    made = finish(result, job=f"{job}-1", recipe=None)
    kept: dict[str, Any] = {"media_type": "image/png", "size": len(made.data), "width": 200, "height": 100}
    number = db.run_sync(assets.add, sha256=files.put(made.data), job_id=job, index=0, now=NOW, **kept)
    found = db.read_sync(assets.get, number)
    assert found is not None
    return found


def changed(data: bytes, master: bytes) -> bool:
    one, other = (Image.open(io.BytesIO(each)).convert("RGB") for each in (data, master))
    assert one.size == other.size
    return ImageChops.difference(one, other).getbbox() is not None


def entries(db: Database) -> list[AuditEntry]:
    return db.read_sync(audit.entries, action=showing.CHANGED)


def test_a_chat_is_shown_a_marked_copy_and_the_master_stays_without(db: Database, files: Files, asset: Asset) -> None:
    shown = Showing(db, files)
    reply = Reply(text="", pictures=(Picture(asset=asset.id, width=200, height=100, alt=""),))
    (data,) = LazyImages(reply, GROUP, shown.read).values()
    master = files.read(asset.sha256)
    assert changed(data, master)
    assert implicit(data) == implicit(master)
    assert len(implicit(data)) == 1
    assert files.check(asset.sha256) == ""
    small, media_type = shown.small(asset, "web:1")
    assert (media_type, changed(small, master), len(implicit(small))) == ("image/webp", True, 1)


def test_a_picture_in_an_archive_is_marked_and_carries_one_label(db: Database, files: Files, asset: Asset) -> None:
    job = db.read_sync(jobs.get, asset.job_id)
    assert job is not None
    read = partial(Showing(db, files).picture, space="")
    how = Export(read=read, name=lambda asset, job, ending: f"a.{ending}", zone=UTC)
    packed = b"".join(written([Found(asset=asset, job=job, owner="anna")], how))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        data = archive.read("a.png")
    assert changed(data, files.read(asset.sha256))
    assert len(implicit(data)) == 1


def test_a_copy_is_made_once_for_all_who_see_it(
    db: Database, files: Files, asset: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Showing(db, files)
    first = shown.picture(asset, "feishu:oc_1")
    files.delete(asset.sha256)
    assert shown.picture(asset, "wecom:x") is first
    monkeypatch.setattr(showing, "CACHED", 10)
    shown.small(replace(asset, sha256=files.put(first)), "web:1")
    assert len(shown._copies) == 1, "the oldest copy leaves when there is no room"


async def test_a_space_may_be_without_and_its_copy_is_the_master(db: Database, files: Files, asset: Asset) -> None:
    shown = Showing(db, files)
    await shown.note(Labels(spaces={"feishu:oc_1": False}), "hash")
    master = files.read(asset.sha256)
    assert shown.read(asset.id, GROUP) == master
    assert changed(shown.read(asset.id, replace(GROUP, chat_id="oc_2")), master)
    reply = Reply(text="", pictures=(Picture(asset=asset.id, width=200, height=100, alt=""),))
    for chat_id, differs in (("oc_1", False), ("oc_2", True)):
        (data,) = LazyImages(reply, replace(GROUP, chat_id=chat_id), shown.read).values()
        assert changed(data, master) == differs
    assert shown.etag(asset, "feishu:oc_1") != shown.etag(asset, "feishu:oc_2"), "another file has another tag"


@pytest.mark.parametrize(
    ("policy", "space", "mark"),
    [
        ({}, "feishu:oc_1", "AI生成"),
        ({}, "", "AI生成"),
        ({"visible": False}, "feishu:oc_1", ""),
        ({"visible": False, "spaces": {"feishu": True}}, "feishu:oc_1", "AI生成"),
        ({"visible": False, "spaces": {"feishu": True}}, "web:1", ""),
        ({"spaces": {"feishu": False, "feishu:oc_1": True}}, "feishu:oc_1", "AI生成"),
        ({"spaces": {"feishu": False, "feishu:oc_1": True}}, "feishu:oc_2", ""),
        ({"spaces": {"feishu": False}}, "feishu-shop:oc_2", "AI生成"),
        ({"text": "AI 合成"}, "web:1", "AI 合成"),
    ],
)
def test_what_the_policy_says_of_a_chat(policy: dict[str, Any], space: str, mark: str) -> None:
    assert Labels.model_validate(policy).mark(space) == mark


# --- the audit log ------------------------------------------------------------------------------------------------


async def test_a_change_of_the_policy_is_audited_once_before_it_holds(db: Database, files: Files) -> None:
    shown = Showing(db, files)
    await shown.note(Labels(), "hash0")
    assert entries(db) == [], "what was never changed is no change"
    off = Labels(visible=False)
    await shown.note(off, "hash1")
    await shown.note(off, "hash1")
    await Showing(db, files).note(off, "hash2")  # the next start
    await shown.note(Labels(visible=False, spaces={"web": True}), "hash3")
    last, first = entries(db)
    assert (first.actor, first.detail["settings"]) == ("settings", "hash1")
    assert (first.detail["before"]["visible"], first.detail["after"]["visible"]) == (True, False)
    assert last.detail["after"]["spaces"] == {"web": True}
    db.run_sync(audit.seal)
    assert db.read_sync(audit.verify) == []


async def test_until_a_change_is_in_the_audit_log_the_mark_stays(
    db: Database, files: Files, asset: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(conn: Connection, *given: Any) -> bool:
        raise OSError("the disk is full")

    shown = Showing(db, files)
    monkeypatch.setattr(showing, "noted", refuse)
    with pytest.raises(OSError, match="full"):
        await shown.note(Labels(visible=False), "hash")
    assert changed(shown.read(asset.id, GROUP), files.read(asset.sha256))


async def test_a_reload_puts_what_changed_in_force(db: Database, files: Files) -> None:
    async def reload() -> list[str]:
        started.current.settings = SimpleNamespace(policy=SimpleNamespace(labels=Labels(visible=False)), hash="hash1")
        return []

    settings = SimpleNamespace(policy=SimpleNamespace(labels=Labels()), hash="hash0")
    started: Any = SimpleNamespace(
        current=SimpleNamespace(settings=settings, reload=reload), showing=Showing(db, files), _labels_noted=None
    )
    started.note_labels = lambda: Services.note_labels(started)
    await started.note_labels()
    assert started.showing.labels.mark("web:1")
    await Services._reload(started)
    assert not started.showing.labels.mark("web:1")
    assert [one.detail["settings"] for one in entries(db)] == ["hash1"]


def test_the_default_of_an_earlier_version_is_not_told_as_a_change(db: Database) -> None:
    assert not db.run_sync(noted, Labels(), "hash")


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("text: AI绘制生成", "'绘'"),
        ("text: AI", "生成"),
        ("text: 这张图片由人工智能生成合成内容", "'这'"),
        ("spaces: {'telegram:1': false}", "feishu, wecom, web, terminal"),
        ("spaces: {web: perhaps}", "must be true or false"),
        ("producer: 墨契", "ASCII"),
        ("producer: two words", "ASCII"),
        ("hidden: false", "hidden"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"labels:\n  {written}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {})
    assert said in str(caught.value)
    assert "policy.yaml:2" in str(caught.value)


def test_the_settings_that_are_shipped_mark_every_picture() -> None:
    assert Labels().off() == ()
    assert Labels(visible=False, spaces={"web": True, "terminal": False}).off() == ("*", "terminal")


def test_where_it_is_off_is_said_to_admins_and_by_the_doctor(db: Database, tmp_path: Path) -> None:
    chat = Chat(db, replace(house(), unmarked=("*", "feishu:oc_1")))
    assert _status(chat, "anna") == ""
    db.run_sync(users.set_role, 1, Role.ADMIN)
    assert _status(chat, "anna") == "已关闭：默认、feishu:oc_1（policy.yaml 的 labels）"
    assert "every picture bears AI生成" in doctor.labels(load(tmp_path, {})).detail
    (tmp_path / "policy.yaml").write_text("labels: {spaces: {web: false}}\n", encoding="utf-8")
    found = doctor.labels(load(tmp_path, {}))
    assert (found.ok, found.detail) == (True, "the visible mark is off: web")


def _status(chat: Chat, who: str) -> str:
    reply = chat.say("/status", who).reply
    assert reply is not None
    return dict(reply.fields).get("可见标识", "")
