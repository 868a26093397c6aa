"""Which of WeCom's products an answer takes, and what happens where that one is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bot.platforms.base import Blocked, Enclosed, Outgoing, PlatformError, Retry, Undelivered
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.people import People
from bot.platforms.wecom.places import Place, Way, chat_id, place_of
from bot.platforms.wecom.platform import WAY, WecomPlatform, ways
from bot.reply import Reply
from storage.database import Database
from storage.migrations import migrate
from storage.records import ChatType, Origin


class Line:
    """A way that takes what it is given, or says why not."""

    def __init__(self, error: PlatformError | None = None) -> None:
        self.error = error
        self.taken: list[tuple[str, Place, str]] = []

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        return self._take("post", place, message)

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        return self._take("update", place, message)

    async def close(self) -> None:
        self.taken.append(("close", Place(way=Way.ANY, target=""), ""))

    def _take(self, verb: str, place: Place, message: Outgoing) -> dict[str, Any]:
        self.taken.append((verb, place, message.key))
        if self.error is not None:
            raise self.error
        return {"message_id": f"{place.way}-1"}


async def nothing(*_: object) -> Enclosed | None:
    return None


def origin(chat: str, kind: ChatType = ChatType.DIRECT) -> Origin:
    return Origin(platform="wecom", chat_id=chat, chat_type=kind, message_id="m1", sender="zhangsan")


def message(chat: str = "wrGroup", receipt: Mapping[str, Any] | None = None, **reply: Any) -> Outgoing:
    return Outgoing(key="job-1-card", origin=origin(chat), reply=Reply(**reply), receipt=receipt or {})


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Nobody whom the robot calls by another id."""
    url = f"sqlite:///{tmp_path_factory.mktemp('people') / 'moqi.db'}"
    migrate(url)
    with Database.open(url) as db:
        yield People(None, db)


EVERYTHING = {Way.ROBOT: 1, Way.APP: 1, Way.WEBHOOK: 1}
APP, ROBOT = Place(way=Way.APP, target="zhangsan"), Place(way=Way.ROBOT, target="zhangsan")
GROUP = Place(way=Way.ROBOT, target="wrGroup", group=True)


@pytest.mark.parametrize(
    ("chat", "enabled", "wanted"),
    [
        ("wrGroup", EVERYTHING, [GROUP, APP]),
        ("wrGroup", {Way.ROBOT: 1}, [GROUP]),
        ("wrGroup", {Way.APP: 1}, [APP]),  # the robot was switched off meanwhile
        ("robot:woEncrypted", EVERYTHING, [Place(way=Way.ROBOT, target="woEncrypted"), APP]),
        ("app:zhangsan", EVERYTHING, [APP, ROBOT]),
        ("app:zhangsan", {Way.ROBOT: 1}, [ROBOT]),
        ("", EVERYTHING, [APP, ROBOT]),
        ("", {Way.ROBOT: 1}, [ROBOT]),
        ("webhook:设计群", EVERYTHING, [Place(way=Way.WEBHOOK, target="设计群", group=True)]),
        ("webhook:设计群", {Way.APP: 1}, []),
    ],
)
def test_where_an_answer_can_go(chat: str, enabled: dict[Way, int], wanted: list[Place]) -> None:
    assert list(ways(origin(chat), enabled)) == wanted


@pytest.mark.parametrize("chat", ["wrGroup", "robot:woEncrypted", "app:zhangsan", "webhook:设计群", ""])
def test_a_place_is_found_again_by_its_chat(chat: str) -> None:
    assert chat_id(place_of(origin(chat))) == chat


async def test_the_next_way_only_when_the_one_before_is_provably_gone(people: People) -> None:
    robot, app = Line(Undelivered("the robot is no longer in the group")), Line()
    wecom = WecomPlatform({Way.ROBOT: robot, Way.APP: app}, people, nothing)
    assert await wecom.post(message(), {}) == {"message_id": "app-1", WAY: "app"}
    robot.error = Retry("no answer: perhaps it is there")
    with pytest.raises(Retry) as unclear:
        await wecom.post(message(), {})
    assert unclear.value.receipt == {WAY: "robot"}
    robot.error = Blocked("not under these words")
    with pytest.raises(Blocked):
        await wecom.post(message(), {})
    assert len(app.taken) == 1


async def test_which_way_is_tried_is_kept_before_anything_is_there(people: People) -> None:
    """A try after a crash between two ways must not begin with the first one again."""
    kept: list[Mapping[str, Any]] = []

    async def keep(receipt: Mapping[str, Any]) -> None:
        kept.append(receipt)

    app = Line(Retry("cut off while sending"))
    wecom = WecomPlatform({Way.ROBOT: Line(Undelivered("gone")), Way.APP: app}, people, nothing)
    sent = Outgoing(key="job-1", origin=origin("wrGroup"), reply=Reply(), receipt={}, keep=keep)
    with pytest.raises(Retry):
        await wecom.post(sent, {})
    assert kept == [{WAY: "app"}]


async def test_a_later_try_begins_where_the_last_one_was(people: People) -> None:
    robot, app = Line(), Line(Retry("busy"))
    wecom = WecomPlatform({Way.ROBOT: robot, Way.APP: app}, people, nothing)
    with pytest.raises(Retry):
        await wecom.post(message(receipt={WAY: "app"}), {})
    assert not robot.taken


async def test_a_message_changes_where_it_is_and_an_outcome_finds_another_way(people: People) -> None:
    robot, app = Line(), Line()
    wecom = WecomPlatform({Way.ROBOT: robot, Way.APP: app}, people, nothing)
    shown = {"message_id": "robot-1", WAY: "robot"}
    assert (await wecom.update(shown, message(state="running"), {}))[WAY] == "robot"
    robot.error = Undelivered("the stream is over and the group is gone")
    with pytest.raises(Undelivered):
        await wecom.update(shown, message(state="running"), {})
    assert not app.taken, "progress is not worth a message of its own"
    assert (await wecom.update(shown, message(state="done"), {}))[WAY] == "app"
    assert [verb for verb, _, _ in app.taken] == ["post"]
    robot.error = None
    await wecom.update(shown, message(state="done", receipt={WAY: "app"}), {})  # the app may have sent half of it
    assert [verb for verb, _, _ in app.taken] == ["post", "post"]


async def test_a_chat_that_nothing_reaches_says_so(people: People) -> None:
    wecom = WecomPlatform({Way.APP: Line()}, people, nothing)
    with pytest.raises(Undelivered, match="nothing that is enabled"):
        await wecom.post(message("webhook:设计群"), {})


async def test_a_channel_for_two_ways_is_closed_once(people: People) -> None:
    line = Line()
    await WecomPlatform({Way.ROBOT: line, Way.APP: line}, people, nothing).close()
    assert len(line.taken) == 1
