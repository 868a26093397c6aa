"""--private: nobody else is shown the picture, its file says nothing, and who orders in a group gets it alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.commands import Reserve, Rules, UsageError, parse
from bot.groups import Groups
from bot.render import Renderer
from bot.replies import Words
from bot.reply import Reply
from bot.settings import Platforms
from storage import jobs
from storage.database import Database
from storage.records import ChatType, Job
from tests.blank import blank
from tests.bot.test_reserve import Chat, house


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    return Chat(db, replace(house(), writes_first=frozenset({"feishu"})))


def job(chat: Chat, outcome: str) -> Job:
    found = chat.db.read_sync(jobs.get, int(outcome.removeprefix("job:")))
    assert found is not None
    return found


def test_ordered_in_a_group_it_goes_on_in_the_owners_own_chat(chat: Chat) -> None:
    handled = chat.say("/draw 秘密海报 --private")
    made = job(chat, handled.outcome)
    assert (made.origin.chat_type, made.origin.chat_id, made.origin.sender) == (ChatType.DIRECT, "", "anna")
    by_key = {one.key: one for one in chat.sent()}
    card = by_key[handled.card]
    assert card.origin == made.origin
    answer = next(one for one in by_key.values() if one.key.startswith("event-"))
    assert answer.origin.chat_id == "oc_team"
    assert "单聊" in Reply.from_json(answer.body).text
    assert "秘密海报" not in str(answer.body)
    assert ("私密", Words("zh").say("private.said")) in chat.db.read_sync(
        Renderer(lambda: chat.house).job, made, None
    ).fields


def test_where_nobody_can_be_written_to_it_is_refused_with_what_to_do(chat: Chat) -> None:
    handled = chat.say("/draw 秘密海报 --private", platform="wecom")
    assert handled.outcome == "refused:private_here"
    assert handled.reply is not None
    assert "单聊" in handled.reply.text


def test_what_goes_back_to_a_private_one_is_private_and_stays_out_of_the_group(chat: Chat) -> None:
    first = job(chat, chat.say("/draw 秘密海报 --private").outcome)
    again = job(chat, chat.say(f"/redo {first.id} --seed 9").outcome)
    assert again.params["private"]
    assert again.origin.chat_type is ChatType.DIRECT
    assert chat.say(f"/draw 猫 --from {first.id}", "ben").outcome == "refused:not_yours"


def test_a_group_is_not_shown_it_again(chat: Chat) -> None:
    private, plain = (job(chat, chat.say(text).outcome) for text in ("/draw 秘密海报 --private", "/draw 猫"))
    assert chat.say(f"/jobs {private.id}").outcome == "refused:private_job"
    listed = chat.say("/jobs").reply
    assert listed is not None
    assert "秘密海报" not in listed.text
    assert f"#{plain.id}" in listed.text


def test_a_reservation_for_one_is_shown_to_its_owner_alone(chat: Chat) -> None:
    handled = chat.say("/draw 秘密海报 --at 明天9:00 --private")
    assert handled.outcome == "reservation:1"
    for one in chat.sent():
        assert ("秘密海报" in str(one.body)) == (one.origin.chat_type is ChatType.DIRECT)
    assert chat.kept().origin.chat_type is ChatType.DIRECT
    listed = chat.say("/jobs").reply
    assert listed is not None
    assert "秘密海报" not in listed.text
    again = chat.say("/reserve r1 后天9:00")
    assert "秘密海报" not in str(again.reply)
    assert all("秘密海报" not in str(one.body) for one in chat.sent() if one.origin.chat_type is ChatType.GROUP)


def test_no_group_is_given_one() -> None:
    every = Groups(named=("设计群",), every=("设计群",))
    assert every.given({}) == ("设计群",)
    assert every.given({"private": True}) == ()
    found = parse("/draw 猫 --at 22:00 --to 设计群 --private", Rules(groups=("设计群",)))
    assert isinstance(found, UsageError)
    assert found.code == "private_to"
    assert "设计群" in Words("zh").usage(found).text
    assert isinstance(parse("/draw 猫 --at 22:00 --private", Rules()), Reserve)


APP = {"enabled": True, "corp_id": "ww1", "agent_id": 1, "secret": "s", "token": "t", "encoding_aes_key": "k" * 43}
ROBOT = {"enabled": True, "bot_id": "b", "secret": "s", "token": "t", "encoding_aes_key": "k" * 43}


@pytest.mark.parametrize(
    ("wecom", "writes"),
    [({}, False), ({"app": APP}, True), ({"aibot": ROBOT}, True), ({"aibot": ROBOT | {"mode": "callback"}}, False)],
)
def test_who_can_write_first(wecom: dict[str, Any], writes: bool) -> None:
    feishu = {"enabled": True, "app_id": "cli_1", "app_secret": "s"}
    settings = Platforms.model_validate({"wecom": wecom, "feishu": feishu})
    assert settings.writes_first == ({"feishu", "wecom"} if writes else {"feishu"})
