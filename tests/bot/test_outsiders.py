"""People of other organisations in a shared group: told once, given nothing, and never an admin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.tenancy import Standing, Tenancy, standing
from storage import jobs, profiles, users
from storage.database import Database
from storage.records import ChatType, Identity, Role
from tests.blank import blank
from tests.bot.test_reserve import Chat, house

OURS, THEIRS = "tenant", "other"
GUEST = Identity(platform="feishu", external_id="guest")


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        yield Chat(opened, replace(house(), tenancies={"feishu": Tenancy()}))


def rules(chat: Chat, **more: object) -> None:
    chat.house = replace(chat.house, tenancies={"feishu": replace(Tenancy(), **more)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tenant", "home", "known", "found"),
    [
        (OURS, OURS, Tenancy(), Standing.MEMBER),
        (THEIRS, OURS, Tenancy(), Standing.OUTSIDER),
        (THEIRS, OURS, Tenancy(own=OURS), Standing.OUTSIDER),
        (OURS, THEIRS, Tenancy(own=OURS), Standing.MEMBER),  # what Feishu said goes before the event
        (THEIRS, THEIRS, Tenancy(own=OURS), Standing.OUTSIDER),
        (THEIRS, OURS, Tenancy(allowed=frozenset({THEIRS})), Standing.MEMBER),
        ("third", OURS, Tenancy(allowed=frozenset({THEIRS})), Standing.OUTSIDER),
        (THEIRS, OURS, Tenancy(external=True), Standing.GUEST),
        ("", OURS, Tenancy(own=OURS), Standing.MEMBER),  # a menu event does not tell
        (THEIRS, "", Tenancy(), Standing.MEMBER),  # there is nothing to compare with
    ],
)
def test_what_somebody_is(tenant: str, home: str, known: Tenancy, found: Standing) -> None:
    assert standing(tenant, home, known) is found


def test_trap_29_an_outsider_is_told_once_an_hour_and_gets_nothing(chat: Chat) -> None:
    first = chat.say("/draw 猫", "guest", tenant=THEIRS, home=OURS)
    assert (first.outcome, first.reply and first.reply.text[:10]) == ("refused:outsider", "墨契只给本公司的人用")
    assert chat.say("/draw 猫", "guest", tenant=THEIRS, home=OURS).reply is None
    other = chat.say("/draw 猫", "second guest", tenant=THEIRS, home=OURS)
    assert other.outcome == "refused:outsider"  # each of them is told
    chat.now += timedelta(minutes=61)
    assert chat.say("你好", "guest", tenant=THEIRS, home=OURS).outcome == "refused:outsider"
    assert chat.db.read_sync(users.of_identity, GUEST) is None
    assert chat.db.read_sync(jobs.recent) == []
    assert chat.db.read_sync(profiles.is_external, "feishu", "oc_team")


def test_an_outsider_presses_a_button_in_vain(chat: Chat) -> None:
    event = chat.event("action", "guest", action="redo", value={"job": 1}, tenant=THEIRS, home=OURS)
    handled = chat.tell(event)
    assert handled.toast == ("warning", chat.house.words.refusal("outsider").text)
    assert chat.db.read_sync(users.of_identity, GUEST) is None


def test_what_outsiders_say_to_each_other_is_not_answered(chat: Chat) -> None:
    event = replace(chat.event("message", "guest", text="吃了吗", tenant=THEIRS, home=OURS), mentioned=False)
    assert chat.tell(event).outcome == "ignored:not addressed to us"
    assert chat.db.read_sync(profiles.is_external, "feishu", "oc_team")  # but they read along


def test_an_event_that_tells_no_organisation_goes_by_what_is_known(chat: Chat) -> None:
    chat.say("你好", "guest", tenant=THEIRS, home=OURS)
    assert chat.say("/help", "guest", home=OURS).outcome == "ignored:an outsider who was told"


def test_a_guest_may_draw_and_is_never_an_admin(chat: Chat) -> None:
    rules(chat, external=True)
    assert chat.say("/draw 猫", "guest", tenant=THEIRS, home=OURS).outcome.startswith("job:")
    person = chat.db.read_sync(users.of_identity, GUEST)
    assert person is not None
    chat.db.run_sync(users.set_role, person.id, Role.ADMIN)
    assert chat.say("/pause", "guest", tenant=THEIRS, home=OURS).outcome == "refused:not_admin"
    assert chat.db.read_sync(profiles.membership, person.id).guest
    rules(chat, allowed=frozenset({THEIRS}))  # an organisation that is treated as ours is ours altogether
    assert chat.say("/pause", "guest", tenant=THEIRS, home=OURS).outcome == "reply"
    assert not chat.db.read_sync(profiles.membership, person.id).guest


def test_a_group_that_the_bot_joins_may_be_external_from_the_start(chat: Chat) -> None:
    event = chat.event("chat", "anna", action="joined", value={"external": True})
    chat.tell(replace(event, mentioned=False))
    assert chat.db.read_sync(profiles.is_external, "feishu", "oc_team")


def test_a_message_that_was_missed_tells_no_home(chat: Chat) -> None:
    """What is read later from the list of messages names the sender's organisation only."""
    chat.db.run_sync(profiles.keep_tenant, "feishu", OURS)
    assert chat.say("/draw 猫", "guest", tenant=THEIRS).outcome == "refused:outsider"
    assert chat.say("/draw 猫", "anna", tenant=OURS).outcome.startswith("job:")


def test_our_own_people_notice_nothing(chat: Chat) -> None:
    assert chat.say("/draw 猫", "anna", tenant=OURS, home=OURS).outcome.startswith("job:")
    assert not chat.db.read_sync(profiles.is_external, "feishu", "oc_team")


def test_platforms_without_organisations_have_no_outsiders(chat: Chat) -> None:
    event = chat.event("message", "x", text="/help", platform="web", tenant=THEIRS, home=OURS)
    assert chat.tell(replace(event, origin=replace(event.origin, chat_type=ChatType.DIRECT))).outcome == "reply"
    assert chat.db.read_sync(profiles.get, event.sender) is None
