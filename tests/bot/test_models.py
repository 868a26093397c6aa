"""The models there are by their names, and /model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import access
from bot.commands import Command, ModelList, ModelUse
from bot.context import Context, Handled
from bot.engine import Engine
from bot.handlers import TABLE
from bot.models import Shelf, UnknownModel
from bot.replies import Words
from bot.settings import load
from scheduler import switching
from storage import jobs, models, users
from storage.database import Database
from storage.records import ChatType, Identity, Kind, Origin, Role, utcnow
from tests.blank import blank
from tests.inference.images import versions

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
HERE = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="boss")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two models in its store, and one that is still being brought in."""
    store = tmp_path / "data" / "models"
    store.mkdir(parents=True)
    for name in ("Z-Image-Turbo", "sketch", ".half.part"):
        versions.hollow(store / name)
    return tmp_path / "data"


def settings(path: Path | None = None, name: str = "Z-Image-Turbo") -> Any:
    found = load(ROOT / "deploy" / "config", {})
    image = found.model.image.model_copy(update={"path": str(path), "id": name} if path else {})
    return replace(found, model=found.model.model_copy(update={"image": image}))


def test_the_shelf_knows_what_is_built_in_configured_and_stored(data: Path, tmp_path: Path) -> None:
    shelf = Shelf(settings(), data)
    assert [one.name for one in shelf.choices()] == ["builtin", "Z-Image-Turbo", "sketch"]
    assert [one.default for one in shelf.models()] == [True, False, False]
    assert {one.dtype for one in shelf.models()} == {"BF16"}
    configured = Shelf(settings(tmp_path / "elsewhere" / "Z-Image-Turbo", "Tongyi-MAI/Z-Image-Turbo"), data)
    assert [one.name for one in configured.choices()] == [
        "Tongyi-MAI/Z-Image-Turbo", "builtin", "Z-Image-Turbo", "sketch"
    ]  # fmt: skip
    assert configured.default().path == tmp_path / "elsewhere" / "Z-Image-Turbo"


def test_of_two_with_one_name_the_one_of_the_settings_is_meant(data: Path, tmp_path: Path) -> None:
    shelf = Shelf(settings(tmp_path / "here", "sketch"), data)
    assert [one.name for one in shelf.choices()] == ["sketch", "builtin", "Z-Image-Turbo"]
    assert shelf.choice("sketch").path == tmp_path / "here"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("default", ""), ("默认", ""), ("sketch", "sketch"), ("SKETCH", "sketch"), ("builtin", "builtin"),
     ("z-image-turbo", "Z-Image-Turbo"), ("Tongyi-MAI/Base", "Tongyi-MAI/Base"), ("base", "Tongyi-MAI/Base")],
)  # fmt: skip
def test_a_name_is_found_as_people_write_it(data: Path, tmp_path: Path, written: str, meant: str) -> None:
    assert Shelf(settings(tmp_path / "x", "Tongyi-MAI/Base"), data).find(written) == meant


@pytest.mark.parametrize(
    ("written", "near"),
    [("sktch", ["sketch"]), ("turbo", ["Z-Image-Turbo"]), ("Z-Image-Turob", ["Z-Image-Turbo"]), ("flux", [])],
)
def test_an_unknown_name_gets_the_near_one(data: Path, written: str, near: list[str]) -> None:
    with pytest.raises(UnknownModel) as unknown:
        Shelf(settings(), data).find(written)
    assert list(unknown.value.near) == near


def test_a_version_of_the_practice_model_is_one(data: Path) -> None:
    shelf = Shelf(settings(), data)
    versions_of = data / "models" / "Z-Image-Turbo" / "transformer" / "config.json"
    versions_of.write_text(versions_of.read_text().replace('"n_layers": ', '"n_layers": 1'))
    assert [one.builtin for one in shelf.choices()] == [True, False, True]


# --- /model -----------------------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


def say(db: Database, data: Path, command: Command, *, problem: str = "") -> Handled:
    """Handle a command of an admin."""

    def handle(conn: Any) -> Handled:
        boss = users.resolve(conn, Identity(platform="web", external_id="boss"), "老板", NOW, first_is_admin=True)
        house: Any = SimpleNamespace(
            words=Words("zh"),
            shelf=Shelf(settings(), data),
            policy=SimpleNamespace(timezone=UTC),
            engines={Kind.DRAW: Engine(name="builtin", state="ready", problem=problem)},
        )
        event: Any = SimpleNamespace(origin=HERE)
        return TABLE[type(command)](Context(conn=conn, house=house, event=event, user=boss, now=NOW), command)

    return db.run_sync(handle)


def text(handled: Handled) -> str:
    assert handled.reply is not None
    return handled.reply.text


def test_only_admins_change_models() -> None:
    person: Any = SimpleNamespace(role=Role.REVIEWER, banned=False, banned_until=None)
    for command in (ModelList(), ModelUse(name="sketch")):
        refusal = access.allowed(person, command)
        assert refusal is not None
        assert refusal.code == "not_admin"


def test_a_list_says_which_one_draws_and_who_chose_it(db: Database, data: Path) -> None:
    said = text(say(db, data, ModelList()))
    assert "`builtin` 13.7 MB · bfloat16 · 练习模型 · model.yaml 指定 · **使用中**" in said
    assert "按 model.yaml 使用" in said
    chosen = say(db, data, ModelUse(name="Sketch"))
    assert (chosen.switch, "正在换成 sketch" in text(chosen)) == (True, True)
    said = text(say(db, data, ModelList()))
    assert "`sketch`" in said
    assert "**正在换上**" in said
    assert "老板 于" in said
    db.run_sync(switching.settle, 1)
    assert text(say(db, data, ModelList())).count("**使用中**") == 1
    back = say(db, data, ModelUse(name="default"))
    assert "换回 model.yaml 指定的 builtin" in text(back)
    assert "换回 model.yaml" in text(say(db, data, ModelList()))


@pytest.mark.parametrize(
    ("name", "outcome", "says"),
    [
        ("sktch", "refused:unknown_model", "/model use sketch"),
        ("flux", "refused:no_such_model", "发 /model"),
        ("builtin", "refused:model_in_use", ""),
        ("default", "refused:model_in_use", "现在用的就是 builtin"),
        ("torn", "refused:model_broken", "git-lfs"),
    ],
)
def test_what_cannot_be_chosen_says_why_and_changes_nothing(
    db: Database, data: Path, name: str, outcome: str, says: str
) -> None:
    versions.hollow(data / "models" / "torn")
    (data / "models" / "torn" / versions.VAE).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    if name == "builtin":
        db.run_sync(switching.choose, "builtin", "user:1", NOW)
        db.run_sync(switching.settle, 1)
    before = db.read_sync(models.chosen, Kind.DRAW)
    handled = say(db, data, ModelUse(name=name))
    assert (handled.outcome, handled.switch) == (outcome, False)
    assert says in text(handled)
    assert db.read_sync(models.chosen, Kind.DRAW) == before


def test_an_engine_that_failed_may_be_given_its_model_again(db: Database, data: Path) -> None:
    assert say(db, data, ModelUse(name="default"), problem="illegal address").switch


# --- the rows ---------------------------------------------------------------------------------------------------


def test_a_choice_is_settled_once_and_only_the_newest_counts(migrated_url: str) -> None:
    with Database.open(migrated_url) as db:
        first = db.run_sync(switching.choose, "a", "user:1", utcnow(), origin=HERE)
        assert db.read_sync(jobs.peek_lane, Kind.DRAW).switching
        second = db.run_sync(switching.choose, "b", "user:2", utcnow())
        assert (second.before, second.version) == ("", 2), "a never drew"
        assert db.run_sync(switching.settle, first.version) is None
        assert db.read_sync(jobs.peek_lane, Kind.DRAW).switching
        assert db.run_sync(switching.take_back, first.version, "broken", utcnow()) is None
        settled = db.run_sync(switching.settle, second.version)
        assert settled is not None
        assert (settled.name, settled.origin, settled.settled) == ("b", None, True)
        assert db.run_sync(switching.settle, second.version) is None
        assert not db.read_sync(jobs.peek_lane, Kind.DRAW).switching


def test_going_back_ends_at_the_settings_and_never_turns_in_a_circle(migrated_url: str) -> None:
    with Database.open(migrated_url) as db:
        db.run_sync(switching.choose, "a", "user:1", utcnow())
        db.run_sync(switching.settle, 1)
        db.run_sync(switching.choose, "b", "user:1", utcnow(), origin=HERE)
        for version, name in ((2, "a"), (3, "")):
            failed = db.run_sync(switching.take_back, version, "broken", utcnow())
            assert failed is not None
            assert failed.version == version
            found = db.read_sync(models.chosen, Kind.DRAW)
            assert (found.version, found.name, found.settled) == (version + 1, name, False)
        db.run_sync(switching.settle, 4)
        db.run_sync(switching.choose, "a", "user:1", utcnow())
        db.run_sync(switching.settle, 5)
        db.run_sync(switching.choose, "a", "user:1", utcnow())  # once more, and now it cannot be loaded
        db.run_sync(switching.take_back, 6, "broken", utcnow())
        assert db.read_sync(models.chosen, Kind.DRAW).name == ""
        assert db.run_sync(switching.take_back, 7, "broken", utcnow()) is not None
        found = db.read_sync(models.chosen, Kind.DRAW)
        assert (found.version, found.settled) == (7, True), "the engine says what is wrong with model.yaml's own"
        assert not db.read_sync(jobs.peek_lane, Kind.DRAW).switching
