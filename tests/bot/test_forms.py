"""What a form says, by the same rules as /redo, and what becomes of it: pressed once, twice, by others, elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import commands, router
from bot.commands import Redo, Rules, UsageError
from bot.context import Handled
from bot.events import ChatEvent
from scheduler import queue
from scheduler.verify import verify
from storage import inbox, jobs, outbox
from storage.database import Database
from storage.files import Files
from storage.records import Job, JobState, Kind
from tests.blank import blank
from tests.bot.test_reserve import NOW, Chat, house

BEFORE = {"prompt": "一只猫", "width": 1024, "height": 768, "seed": 7}
STOOD = {"prompt": "一只猫", "size": "1024x768", "seed": "7"}


@pytest.mark.parametrize(
    ("filled", "wanted"),
    [
        (STOOD, Redo(job=17)),
        ({}, Redo(job=17)),
        ({"prompt": " 一只猫 \r\n"}, Redo(job=17)),
        ({"prompt": "一只狗"}, Redo(job=17, prompt="一只狗")),
        ({"prompt": "一只狗\n在窗台上"}, Redo(job=17, prompt="一只狗 在窗台上")),
        ({"prompt": "一只狗 --steps 12"}, Redo(job=17, prompt="一只狗", steps=12)),
        ({"size": "512x512"}, Redo(job=17, width=512, height=512)),
        ({"size": "５１２×５１２"}, Redo(job=17, width=512, height=512)),
        ({"size": "512"}, Redo(job=17, width=512, height=512)),
        ({"size": "1:1"}, Redo(job=17, width=1024, height=1024)),
        ({"size": ""}, Redo(job=17)),
        ({"seed": "8"}, Redo(job=17, seed=8)),
        ({"seed": ""}, Redo(job=17, reseed=True)),
        ({"seed": "随机"}, Redo(job=17, reseed=True)),
        ({"prompt": "狗", "size": "512x256", "seed": "9"}, Redo(job=17, prompt="狗", width=512, height=256, seed=9)),
        ({"prompt": "狗 --seed 3", "size": "512x256"}, Redo(job=17, prompt="狗", width=512, height=256, seed=3)),
        ({"prompt": "狗", "model": "other", "steps": "99"}, Redo(job=17, prompt="狗")),
    ],
)
def test_what_a_form_orders(filled: dict[str, str], wanted: Redo) -> None:
    assert commands.redo_form(17, BEFORE, filled, Rules()) == wanted


@pytest.mark.parametrize(
    ("filled", "code"),
    [
        ({"prompt": ""}, "empty_prompt"),
        ({"prompt": "　\n "}, "empty_prompt"),
        ({"prompt": "猫" * 2001}, "too_long"),
        ({"prompt": "猫" * 9999}, "too_long"),
        ({"prompt": "狗 --szie 3"}, "unknown_flag"),
        ({"prompt": "狗 --at 22:00"}, "redo_later"),
        ({"size": "big"}, "size_form"),
        ({"size": "7x7"}, "size_range"),
        ({"size": "513x512"}, "size_multiple"),
        ({"size": "99999999999999999999x1"}, "size_range"),
        ({"size": "0:1"}, "ratio_form"),
        ({"seed": "seven"}, "not_a_number"),
        ({"seed": "-1"}, "out_of_range"),
        ({"seed": str(2**32)}, "out_of_range"),
    ],
)
def test_what_a_form_cannot_order(filled: dict[str, str], code: str) -> None:
    found = commands.redo_form(17, BEFORE, filled, Rules())
    assert isinstance(found, UsageError)
    assert found.code == code


def test_what_was_left_as_it_stood_is_not_checked_again() -> None:
    """As after /redo: flags that are part of a description stay so, and a size that is too large by now is refused
    with the order, with the nearest one."""
    before = {**BEFORE, "prompt": "the --flag of a program", "width": 8, "height": 8}
    stood = {"prompt": "the --flag of a program", "size": "8x8", "seed": "8"}
    assert commands.redo_form(17, before, stood, Rules()) == Redo(job=17, seed=8)


# --- pressed ------------------------------------------------------------------------------------------------------


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        yield Chat(opened, house())


def finished(chat: Chat) -> Job:
    """A picture of anna's whose card has been delivered as message om_card."""
    assert chat.say("/draw 一只猫 --seed 7 --size 1024x768").outcome == "job:1"
    return chat.db.run_sync(_finish, chat.house.policy)


def _finish(conn: Connection, policy: Any) -> Job:
    claimed = queue.claim(conn, Kind.DRAW, lambda job: 1, policy, NOW)
    assert claimed is not None
    (job,) = claimed.jobs
    assert queue.succeed(conn, job, {"seeds": [7], "seconds": 1.0, "model": "builtin"}, 1.0, NOW)
    receipt = {"message_id": "om_card", "type": "interactive", "images": {}}
    for delivery in outbox.of_job(conn, job.id).values():
        outbox.sent(conn, delivery.id, receipt, NOW)
    found = jobs.get(conn, job.id)
    assert found is not None
    return found


def press(
    chat: Chat, action: str, who: str = "anna", *, message: str = "om_card", room: str = "oc_team", **value: Any
) -> Handled:
    event = chat.event("action", who, action=action, value=value)
    return chat.db.run_sync(router.press, chat.house, _at(event, message, room), chat.now)


def _at(event: ChatEvent, message: str, room: str) -> ChatEvent:
    return replace(event, origin=replace(event.origin, message_id=message, chat_id=room))


def opened(chat: Chat, who: str = "anna") -> dict[str, Any]:
    """Open the form; returns what its button carries."""
    handled = press(chat, "form_open", who, job=1)
    assert handled.shown is not None
    form = handled.shown.reply.form
    assert form is not None
    assert form.open
    assert handled.toast[1] == ""
    return form.value


def newest(chat: Chat) -> Job:
    return chat.db.read_sync(jobs.recent, limit=1)[0]


def test_a_form_is_opened_filled_in_and_orders_once(chat: Chat) -> None:
    finished(chat)
    value = opened(chat)
    handled = press(chat, "redo_form", **value, form={"prompt": "一只狗", "size": "512x512", "seed": ""})
    assert handled.outcome == "job:2"
    assert handled.toast == ("success", "已排队，任务 #2")
    assert handled.shown is not None
    assert handled.shown.reply.form is not None
    assert not handled.shown.reply.form.open
    job = newest(chat)
    assert (job.id, job.parent_id, job.params["prompt"], job.params["width"]) == (2, 1, "一只狗", 512)
    assert job.params["seed"] != 7
    again = press(chat, "redo_form", **value, form={"prompt": "一只鸟"})  # a double click, or the same card elsewhere
    assert (again.outcome, again.toast) == ("ignored:repeated", ("info", "已经处理过了。"))
    assert newest(chat).id == 2
    other = press(chat, "redo_form", **opened(chat), form={"prompt": "一只鸟"})
    assert other.outcome == "ignored:pressed twice"  # within two seconds
    chat.now += 3 * timedelta(seconds=1)
    assert press(chat, "redo_form", **opened(chat), form={"prompt": "一只鸟"}).outcome == "job:3"


def test_a_form_that_is_wrong_loses_nothing(chat: Chat) -> None:
    finished(chat)
    value = opened(chat)
    handled = press(chat, "redo_form", **value, form={"prompt": "一只狗", "size": "7x7"})
    assert handled.outcome == "refused:size_range"
    assert handled.toast[0] == "warning"
    assert "256" in handled.toast[1]
    assert handled.shown is None  # the card stays as it is, with all that was filled in
    assert press(chat, "redo_form", **value, form={"prompt": "一只狗", "size": "7x7"}).outcome == "refused:size_range"
    assert press(chat, "redo_form", **value, form={"prompt": "一只狗", "size": "256x256"}).outcome == "job:2"
    assert chat.db.read_sync(jobs.recent, limit=9)[0].params["prompt"] == "一只狗"
    files = Files(Path("/nonexistent"))
    assert chat.db.read_sync(verify, files, chat.now)[0].ok


def test_a_press_that_comes_twice_with_one_id_counts_once(chat: Chat) -> None:
    finished(chat)
    value = opened(chat)
    event = chat.event("action", "anna", action="redo_form", value={**value, "form": {"size": "7"}})
    event = _at(event, "om_card", "oc_team")
    first = chat.db.run_sync(router.press, chat.house, event, chat.now)
    second = chat.db.run_sync(router.press, chat.house, event, chat.now)
    assert (first.outcome, second.outcome) == ("refused:size_range", "ignored:repeated")
    assert chat.db.read_sync(inbox.find, "feishu", event.key) is not None


@pytest.mark.parametrize(
    ("action", "who", "where", "value", "code", "said"),
    [
        ("form_open", "ben", {}, {"job": 1}, "not_yours", "别人的"),
        ("redo_form", "ben", {}, {"job": 1, "nonce": "n", "form": {"prompt": "狗"}}, "not_yours", "别人的"),
        ("redo", "ben", {}, {"job": 1}, "not_yours", "别人的"),
        ("redo", "ben", {}, {"job": 1, "sender": "anna"}, "not_yours", "别人的"),  # the value names nobody
        ("form_open", "anna", {"room": "oc_other", "message": "om_copy"}, {"job": 1}, "elsewhere", "转发"),
        ("redo", "anna", {"room": "oc_other", "message": "om_copy"}, {"job": 1}, "elsewhere", "转发"),
        ("vote_up", "ben", {"room": "oc_other", "message": "om_copy"}, {"job": 1}, "elsewhere", "转发"),
        ("form_open", "anna", {"message": "om_old"}, {"job": 1}, "unknown_button", "失效"),
        ("form_open", "anna", {}, {"job": 99}, "unknown_job", "没有任务 #99"),
        ("redo_form", "anna", {}, {"job": 99, "form": {"prompt": "狗"}}, "unknown_job", "没有任务 #99"),
        ("vote_up", "anna", {}, {"job": 99}, "unknown_job", "没有任务 #99"),
        ("vote_up", "anna", {}, {}, "unknown_button", "失效"),
        ("redo_form", "anna", {}, {"job": "1"}, "unknown_button", "失效"),
        ("redo_form", "anna", {}, {"job": True}, "unknown_button", "失效"),
        ("redo_form", "anna", {}, {"job": 2**70}, "unknown_button", "失效"),
        ("", "anna", {}, {}, "unknown_button", "失效"),  # a value that was a text
        ("explode", "anna", {}, {"job": 1}, "unknown_button", "失效"),
        ("res_confirm", "anna", {}, {"reservation": 9, "version": 1}, "unknown_reservation", "没有预约 r9"),
    ],
)
def test_trap_24_every_press_that_does_nothing_says_why(
    chat: Chat, action: str, who: str, where: dict[str, str], value: dict[str, Any], code: str, said: str
) -> None:
    finished(chat)
    handled = press(chat, action, who, **where, **value)
    assert handled.outcome == f"refused:{code}"
    assert handled.toast[0] == "warning"
    assert said in handled.toast[1]
    assert handled.shown is None
    assert newest(chat).id == 1


def test_a_form_of_a_picture_that_still_waits_cannot_be_opened(chat: Chat) -> None:
    chat.say("/draw 一只猫")
    assert newest(chat).state is JobState.QUEUED
    assert press(chat, "form_open", job=1).outcome == "refused:unknown_button"


def test_a_card_that_went_to_its_owner_can_be_pressed_there(chat: Chat) -> None:
    """It is not in the chat of its order, but it is the message that is known to show it."""
    finished(chat)
    assert press(chat, "redo", room="oc_direct", job=1).outcome == "job:2"


def test_a_form_without_anything_filled_in_is_a_redo(chat: Chat) -> None:
    finished(chat)
    assert press(chat, "redo_form", job=1).outcome == "job:2"
    assert newest(chat).params == finished_params(chat)


def finished_params(chat: Chat) -> dict[str, Any]:
    found = chat.db.read_sync(jobs.get, 1)
    assert found is not None
    return found.params
