"""/gallery in chat: what the words mean, what is found, what is shown to whom; and --from what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bot import router
from bot.commands import Gallery, Rules, UsageError, parse
from bot.commands.gallery import people, span
from bot.commands.values import Days
from bot.events import ChatEvent
from bot.reply import Reply
from storage import attendance, jobs, joining, users
from storage.database import Database
from storage.records import ChatType, Identity, JobState, Origin, Role
from tests.blank import blank
from tests.bot.test_reserve import NOW, Chat, house
from tests.pictured import ordered

TODAY = date(2026, 11, 22)  # a Sunday

LOOKED_FOR = [
    ("/gallery", Gallery()),
    ("/图库", Gallery()),
    ("／图库 金毛 本周", Gallery(words="金毛", days=Days(named="week"))),
    ("/gallery lighthouse this week", Gallery(words="lighthouse", days=Days(named="week"))),
    ("/gallery 今天的 早餐", Gallery(words="早餐", days=Days(named="today"))),
    ("/gallery 今天早餐", Gallery(words="今天早餐")),
    (
        "/gallery @小墨 上个月 猫 １０２４ｘ７６８",
        Gallery(words="@小墨 猫", days=Days(named="last_month"), size=(1024, 768)),
    ),
    ("/gallery 最近7天", Gallery(days=Days(back=7))),
    ("/gallery cat last 30 days", Gallery(words="cat", days=Days(back=30))),
    ("/gallery 2026-11-01..2026-11-20", Gallery(days=Days(first=(2026, 11, 1), last=(2026, 11, 20)))),
    ("/gallery 11月1日到11月20日 猫", Gallery(words="猫", days=Days(first=(0, 11, 1), last=(0, 11, 20)))),
    ("/gallery 2026-11-01..", Gallery(days=Days(first=(2026, 11, 1)))),
    ("/gallery ..2026/11/20", Gallery(days=Days(last=(2026, 11, 20)))),
    ("/gallery 2026-11", Gallery(days=Days(first=(2026, 11), last=(2026, 11)))),
    ("/gallery 11-05", Gallery(days=Days(first=(0, 11, 5), last=(0, 11, 5)))),
    ("/gallery model:Z-Image-Turbo 猫", Gallery(words="猫", model="Z-Image-Turbo")),
    ("/gallery 1.5倍 3D", Gallery(words="1.5倍 3D")),
    ("/找图 金毛", Gallery(words="金毛")),
]


@pytest.mark.parametrize(("text", "expected"), LOOKED_FOR, ids=[text for text, _ in LOOKED_FOR])
def test_what_is_looked_for(text: str, expected: Gallery) -> None:
    assert parse(text, Rules()) == expected


SPANS = [
    (None, (None, None)),
    (Days(named="today"), (TODAY, TODAY)),
    (Days(named="yesterday"), (date(2026, 11, 21), date(2026, 11, 21))),
    (Days(named="week"), (date(2026, 11, 16), TODAY)),
    (Days(named="last_week"), (date(2026, 11, 9), date(2026, 11, 15))),
    (Days(named="month"), (date(2026, 11, 1), date(2026, 11, 30))),
    (Days(named="last_month"), (date(2026, 10, 1), date(2026, 10, 31))),
    (Days(back=7), (date(2026, 11, 16), TODAY)),
    (Days(first=(0, 11, 22), last=(0, 11, 22)), (TODAY, TODAY)),
    (Days(first=(0, 12, 24)), (date(2025, 12, 24), None)),
    (Days(first=(0, 2, 29)), (date(2024, 2, 29), None)),
    (Days(first=(2024, 2), last=(2024, 2)), (date(2024, 2, 1), date(2024, 2, 29))),
]


@pytest.mark.parametrize(("days", "expected"), SPANS, ids=str)
def test_which_days_are_meant(days: Days | None, expected: tuple[date | None, date | None]) -> None:
    assert span(days, TODAY) == expected


@pytest.mark.parametrize(
    "days",
    [Days(first=(2026, 2, 30)), Days(first=(0, 13, 1)), Days(first=(0, 2, 30)), Days(first=(2026, 2), last=(2026, 1))],
    ids=str,
)
def test_days_that_do_not_exist_are_refused(days: Days) -> None:
    with pytest.raises(ValueError, match=r"day|month|after"):
        span(days, TODAY)


def test_people_are_known_by_their_mention_and_by_an_at() -> None:
    assert people("@Anna Schmidt 猫 @小墨", ["Anna Schmidt"]) == ("猫", ("Anna Schmidt", "小墨"))
    assert people("a@b 猫", []) == ("a 猫", ("b",))


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with Database.open(blank(tmp_path / "moqi.db")) as db:
        yield Chat(db, replace(house(), page="https://moqi.example"))


def direct(chat: Chat, who: str, text: str) -> ChatEvent:
    event = chat.event("message", who, text=text)
    return replace(event, origin=replace(event.origin, chat_id=f"ou_{who}", chat_type=ChatType.DIRECT))


def alone(chat: Chat, who: str, text: str) -> Reply:
    """What somebody is answered in their own chat."""
    chat.tell(direct(chat, who, text))
    return Reply.from_json(chat.sent()[-1].body)


def known(chat: Chat, who: str) -> int:
    return chat.db.run_sync(users.resolve, Identity(platform="feishu", external_id=who), who, NOW).id


def drawn(chat: Chat, who: str, prompt: str, **values: object) -> int:
    owner = known(chat, who)
    return chat.db.run_sync(lambda conn: ordered(conn, owner, prompt, at=NOW, **values))  # type: ignore[arg-type]


def test_found_pictures_are_a_card_with_numbers_that_go_on(chat: Chat) -> None:
    two = drawn(chat, "anna", "一只金毛犬在海边", shas=("", ""))
    reply = alone(chat, "anna", "/gallery 金毛 @anna 本月")
    assert reply.title.startswith("图库 · 金毛 · @anna · 2026年11月1日 到")
    assert [picture.alt for picture in reply.pictures] == [f"{two}.2 一只金毛犬在海边", f"{two}.1 一只金毛犬在海边"]
    first, _, link = reply.text.splitlines()
    assert first.startswith(f"1. `{two}.2` 一只金毛犬在海边 · anna · 11月")
    by = known(chat, "anna")
    assert f"https://moqi.example/gallery?q=%E9%87%91%E6%AF%9B&by={by}&first=2026-11-01&last=2026-11-30" in link
    assert "内容由 AI 生成" in reply.note
    handled = chat.tell(direct(chat, "anna", f"/draw 一只狗 --from {two}.2"))
    assert handled.outcome.startswith("job:")
    for number in range(7):
        drawn(chat, "anna", f"第{number}只猫")
    many = alone(chat, "anna", "/gallery")
    assert (len(many.pictures), many.title) == (6, "图库 · 最新的")
    assert "还有更多" in many.note
    assert "第6只猫" in many.text


def test_nothing_found_says_what_could_be_tried(chat: Chat) -> None:
    assert "没有找到“恐龙”的图" in alone(chat, "anna", "/gallery 恐龙").text
    assert "没有这样的日期" in alone(chat, "anna", "/gallery 2026-02-30").text
    chat.say("/gallery 恐龙")
    assert "在群里只找本群画过的" in chat.said()
    chat.house = replace(house("en"), page="")
    assert "No picture for “dino” found" in alone(chat, "anna", "/gallery dino").text
    assert isinstance(parse("/gallery ~", Rules()), UsageError)


def test_each_sees_their_own_and_their_groups_and_a_group_only_its_own(chat: Chat) -> None:
    """Every way to somebody else's picture: lists, names, words, numbers, buttons, the job itself."""
    group = drawn(chat, "anna", "群里的猫", group="oc_team")
    elsewhere = drawn(chat, "anna", "别群的猫", group="oc_other")
    own = drawn(chat, "anna", "自己的猫")
    secret = drawn(chat, "anna", "私密的猫", group="oc_team", private=True)
    held = drawn(chat, "anna", "待审的猫", group="oc_team", state=JobState.RUNNING)
    mine = drawn(chat, "ben", "本的猫")

    def shown(who: str, text: str = "/gallery 猫") -> set[str]:
        return {picture.alt.split()[0] for picture in alone(chat, who, text).pictures}

    def here(who: str) -> set[str]:
        chat.say("/gallery 猫", who)
        return {picture.alt.split()[0] for picture in Reply.from_json(chat.sent()[-1].body).pictures}

    def taken(who: str, job: int) -> str:
        return chat.tell(direct(chat, who, f"/draw 狗 --from {job}")).outcome.split(":")[1]

    assert shown("ben") == {str(mine)}
    assert taken("ben", group) == "not_yours"
    for name in ("anna", "nobody", "ann"):
        assert shown("ben", f"/gallery @{name}") == set()
        assert alone(chat, "ben", f"/gallery @{name}").text.replace(name, "x") == alone(
            chat, "ben", "/gallery @zoe"
        ).text.replace("zoe", "x"), "somebody known is found as little as somebody who is not"
    assert here("ben") == {str(group)} == here("anna"), "and now ben has spoken there"
    assert shown("ben") == {str(mine), str(group)}
    assert shown("anna") == {str(group), str(elsewhere), str(own), str(secret)}
    assert taken("ben", group).isdigit()
    assert [taken("ben", job) for job in (elsewhere, own, secret, held)] == ["not_yours"] * 3 + ["no_picture"]
    assert taken("anna", secret).isdigit()
    assert taken("anna", held) == "no_picture"
    pressed = chat.press("variation", "ben", job=secret, index=1)
    assert pressed == ("warning", f"任务 #{secret} 是别人的，只有本人和管理员能操作。")

    def promote(conn: Connection) -> None:
        users.set_role(conn, known_ben, Role.ADMIN)

    known_ben = known(chat, "ben")
    chat.db.run_sync(promote)
    assert shown("ben") == {str(mine), str(group), str(elsewhere), str(own)}
    assert here("ben") == {str(group)}, "an admin's answer is read by everybody, too"
    assert taken("ben", secret) == "not_yours"
    assert "只有本人" in alone(chat, "ben", f"/jobs {secret}").text
    assert alone(chat, "ben", f"/jobs {own}").pictures


def test_what_is_ordered_on_the_page_comes_to_the_page(chat: Chat) -> None:
    """The gallery shows a picture of a group; what its owner draws from it there is theirs alone to see."""
    job, anna = drawn(chat, "anna", "群里的猫", group="oc_team"), known(chat, "anna")
    event = chat.event("action", "anna", action="variation", value={"job": job, "index": 1})
    mine = Origin(platform="web", chat_id=str(anna), chat_type=ChatType.DIRECT, message_id="", sender="anna")
    identity = Identity(platform="web", external_id="anna")
    assert chat.db.run_sync(users.also, anna, identity)
    event = replace(event, platform="web", sender=identity, origin=mine)
    handled = chat.db.run_sync(router.press, chat.house, event, chat.now)
    made = chat.db.read_sync(jobs.get, int(handled.outcome.removeprefix("job:")))
    assert made is not None
    assert (made.origin.platform, made.origin.chat_id, made.user_id) == ("web", str(anna), anna)


def test_who_turns_out_to_be_somebody_sees_what_both_have_seen(chat: Chat) -> None:
    drawn(chat, "anna", "群里的猫", group="oc_team")
    drawn(chat, "was_ben", "自己的猫")
    former, ben = known(chat, "was_ben"), known(chat, "ben")
    chat.db.run_sync(attendance.note, former, "feishu:oc_team")
    chat.db.run_sync(attendance.note, ben, "feishu:oc_team")
    chat.db.run_sync(attendance.note, former, "feishu:oc_other")
    chat.db.run_sync(joining.hand_over, former, ben)
    assert chat.db.read_sync(attendance.of, ben) == {"feishu:oc_team", "feishu:oc_other"}
    assert chat.db.read_sync(attendance.of, former) == set()
    assert len(alone(chat, "ben", "/gallery 猫").pictures) == 2


def test_a_removed_picture_is_told_of_everywhere(chat: Chat) -> None:
    from storage import retention

    job = drawn(chat, "anna", "旧的猫", shas=("", ""))
    later = drawn(chat, "anna", "参考旧猫", source={"sha256": "e" * 64, "job": job, "picture": 1}, strength=0.6)
    chat.db.run_sync(retention.retire, NOW + timedelta(days=1), 30, NOW, 10)
    assert alone(chat, "anna", "/gallery 旧的猫").pictures == ()
    shown = alone(chat, "anna", f"/jobs {job}")
    assert (shown.pictures, shown.title) == ((), "画好了")
    assert shown.note.startswith("图已按团队的保留规则在 30 天后删除")
    assert "第 2 张图已按团队的保留规则在 30 天后删除" in alone(chat, "anna", f"/draw 狗 --from {job}.2").text
    assert "参考图已按团队的保留规则删除" in alone(chat, "anna", f"/redo {later}").text
    assert chat.tell(direct(chat, "anna", f"/redo {job}")).outcome.startswith("job:")
