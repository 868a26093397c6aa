"""Orders that begin with a picture: --from, 变体, 放大; who may, what it costs, what the card says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.commands.rules import Rules, SizeRule
from bot.context import Handled
from bot.moderation import Rule, Screen, words
from bot.replies import job_reply
from scheduler import queue
from storage import assets, jobs, users
from storage.database import Database
from storage.records import Identity, Job, JobState, Kind, Role
from tests.blank import blank
from tests.bot.test_reserve import CARD, NOW, Chat, house

SENT = "ab" * 32


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    path = tmp_path / "moqi.db"
    blank(path)
    with Database.open(f"sqlite:///{path}") as db:
        yield Chat(db, house())


def done(chat: Chat, text: str = "/draw 一只猫 --seed 7 --size 512x512 --n 2", who: str = "anna") -> Job:
    """A finished job of somebody's."""
    handled = chat.say(text, who)
    number = int(handled.outcome.removeprefix("job:"))

    def finish(conn: Connection) -> Job:
        claim = queue.claim(conn, Kind.DRAW, lambda job: 1, chat.house.policy, chat.now)
        assert claim is not None
        (job,) = claim.jobs
        count, size = job.params["count"], {"width": job.params["width"], "height": job.params["height"]}
        for index in range(count):
            sha = f"{job.id:062d}{index:02d}"
            made: dict[str, Any] = {
                "sha256": sha,
                "media_type": "image/png",
                "size": 1,
                "job_id": job.id,
                "index": index,
            }
            assets.add(conn, **made, **size, now=chat.now)
        seeds = [job.params["seed"] + index for index in range(count)]
        assert queue.succeed(conn, job, {"seeds": seeds, "seconds": 1.0}, 1.0, chat.now)
        found = jobs.get(conn, number)
        assert found is not None
        return found

    return chat.db.run_sync(finish)


def ordered(chat: Chat, handled: Handled | None = None) -> Job:
    """The job that was ordered last."""
    if handled is not None:
        assert handled.outcome.startswith("job:"), handled.reply
    return chat.db.read_sync(jobs.recent)[0]


def refused(chat: Chat, text: str, who: str = "anna", **value: Any) -> str:
    handled = chat.say(text, who, **({"value": value} if value else {}))
    assert handled.outcome.startswith("refused:"), handled.outcome
    assert handled.reply is not None
    return handled.reply.text


def give(chat: Chat, width: int = 600, height: int = 300, sha: str = SENT) -> str:
    """A picture somebody sent."""
    size: dict[str, Any] = {"media_type": "image/png", "size": 9, "width": width, "height": height}
    chat.db.run_sync(lambda conn: assets.take(conn, sha256=sha, now=NOW, **size))
    return sha


# --- --from -----------------------------------------------------------------------------------------------------


def test_a_picture_that_was_sent_is_begun_with_in_its_own_shape(chat: Chat) -> None:
    job = ordered(chat, chat.say("/draw 水彩的猫 --from", value={"picture": give(chat)}))
    assert job.params["source"] == {"sha256": SENT}
    assert job.params["strength"] == 0.6
    assert (job.params["width"], job.params["height"]) == (608, 304)
    fields = dict(job_reply(job, chat.house.words, card=CARD).fields)
    assert fields["参考图"] == "发来的图片"
    assert fields["重画程度"] == "0.6（画 5 步）"


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4000, 3000), (1168, 880)),
        ((3000, 4000), (880, 1168)),
        ((100, 100), (1024, 1024)),
        ((600, 600), (608, 608)),
        ((8000, 500), (2048, 256)),
    ],
)
def test_the_shape_of_the_source_is_kept_within_the_bounds(size: tuple[int, int], shape: tuple[int, int]) -> None:
    rule = SizeRule()
    assert rule.like(*size) == shape
    assert not rule.problem(*shape)
    assert shape[0] * shape[1] <= 1024 * 1024, "it costs no more than is expected"


def test_a_size_that_is_named_counts_and_so_does_the_strength(chat: Chat) -> None:
    give(chat)
    chat.say("/draw 猫 --from --size 512x768 --strength 0.3 --n 2", value={"picture": SENT})
    job = ordered(chat)
    assert (job.params["width"], job.params["height"], job.params["count"]) == (512, 768, 2)
    assert job.params["strength"] == 0.3


def test_the_picture_of_a_job_is_begun_with_by_its_number(chat: Chat) -> None:
    parent = done(chat)
    job = ordered(chat, chat.say(f"/draw 一只狗 --from {parent.id}.2"))
    assert job.params["source"] == {"sha256": f"{parent.id:062d}01", "job": parent.id, "picture": 2}
    assert (job.params["width"], job.params["height"]) == (512, 512)
    assert dict(job_reply(job, chat.house.words, card=CARD).fields)["参考图"] == f"#{parent.id} 第 2 张"


def test_a_card_of_ours_that_is_answered_gives_its_picture(chat: Chat) -> None:
    parent = done(chat)
    job = ordered(chat, chat.say("/draw 一只狗 --from", value={"parent": "om_card", "job": parent.id}))
    assert job.params["source"]["job"] == parent.id


def test_without_a_picture_it_is_said_how_to_give_one(chat: Chat) -> None:
    parent = done(chat)
    assert "只有 2 张图，没有第 3 张" in refused(chat, f"/draw 狗 --from {parent.id}.3")
    assert "请回复一张图片" in refused(chat, "/draw 猫 --from")
    assert "请回复一张图片" in refused(chat, "/draw 猫 --from", picture="cd" * 32), "a file that nobody gave"
    assert "附上图片" in refused_on(chat, "web")
    assert "图片文件" in refused_on(chat, "terminal")
    waiting = chat.say("/draw 猫")
    number = waiting.outcome.removeprefix("job:")
    assert "没有可用的图" in refused(chat, f"/draw 狗 --from {number}")
    assert "没有任务 #999" in refused(chat, "/draw 狗 --from 999")
    chat.say("/ask 年假怎么休")
    assert "没有可用的图" in refused(chat, f"/draw 狗 --from {ordered_kind(chat, Kind.ASK).id}")


def refused_on(chat: Chat, platform: str) -> str:
    return refused(replace_platform(chat, platform), "/draw 猫 --from")


def replace_platform(chat: Chat, platform: str) -> Chat:
    """The same house, spoken to elsewhere."""
    other = Chat(chat.db, chat.house)
    other.number = chat.number + 1000
    event = other.event
    other.event = lambda kind, who, **values: event(kind, who, platform=platform, **values)  # type: ignore[method-assign]
    return other


def ordered_kind(chat: Chat, kind: Kind) -> Job:
    return next(job for job in chat.db.read_sync(jobs.recent) if job.kind is kind)


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ("enclosed_large", "最多 20 MB"),
        ("enclosed_gone", "撤回"),
        ("enclosed_not_in_chat", "不在那个会话"),
        ("enclosed_restricted", "防泄密"),
        ("enclosed_kind", "直接发原图"),
        ("enclosed_failed", "稍后再发"),
    ],
)
def test_what_could_not_be_fetched_is_said_in_plain_words(chat: Chat, trouble: str, says: str) -> None:
    assert says in refused(chat, "/draw 猫 --from", trouble=trouble, detail={"limit": 20})


@pytest.mark.parametrize("reason", ["format", "large", "small", "broken"])
def test_a_picture_that_cannot_be_used_is_said_in_plain_words(chat: Chat, reason: str) -> None:
    detail = {"megabytes": 20, "megapixels": 50}
    assert "请" in refused(chat, "/draw 猫 --from", trouble=f"source_{reason}", detail=detail)


def test_a_dry_run_and_a_reservation_know_the_picture(chat: Chat) -> None:
    give(chat)
    shown = chat.say("/draw 猫 --from --dry-run", value={"picture": SENT}).reply
    assert shown is not None
    assert dict(shown.fields)["参考图"] == "发来的图片"
    assert dict(shown.fields)["尺寸"] == "608x304"
    chat.say("/draw 猫 --from --at 明天9:00", value={"picture": SENT})
    assert dict(chat.card().fields)["参考图"] == "发来的图片"
    chat.push("确认")
    chat.now = chat.kept().next_at or chat.now
    chat.fire()
    job = ordered(chat)
    assert (job.params["source"], job.params["strength"]) == ({"sha256": SENT}, 0.6)
    assert chat.say("/draw 猫 --from --at 明天9:00").outcome == "refused:no_source"


def test_an_outsider_gets_nobody_elses_picture(chat: Chat) -> None:
    parent = done(chat)
    other = Chat(chat.db, chat.house)
    other.number = 500
    event = other.event

    def elsewhere(kind: str, who: str, **values: Any) -> Any:
        made = event(kind, who, **values)
        return replace(made, origin=replace(made.origin, chat_id="oc_other"))

    other.event = elsewhere  # type: ignore[method-assign]
    assert "是别人的" in refused(other, f"/draw 狗 --from {parent.id}", "ben")
    assert "转发来的" in other.press("variation", "ben", job=parent.id, index=1)[1]
    assert chat.say(f"/draw 狗 --from {parent.id}", "ben").outcome.startswith("job:"), "seen by all of its group"
    person = chat.db.read_sync(users.of_identity, Identity(platform="feishu", external_id="ben"))
    assert person is not None
    chat.db.run_sync(users.set_role, person.id, Role.ADMIN)
    assert other.say(f"/draw 狗 --from {parent.id}", "ben").outcome.startswith("job:")


# --- buttons ----------------------------------------------------------------------------------------------------


def test_a_finished_card_offers_both_for_each_picture(chat: Chat) -> None:
    parent = done(chat)
    made = chat.db.read_sync(assets.of_job, parent.id)
    reply = job_reply(parent, chat.house.words, assets=made, card=CARD)
    numbered = [one for one in reply.buttons if "index" in one.value]
    assert [(one.label, one.action, one.value["index"]) for one in numbered] == [
        ("变体 1", "variation", 1),
        ("变体 2", "variation", 2),
        ("放大 1", "upscale", 1),
        ("放大 2", "upscale", 2),
    ]
    alone = job_reply(parent, chat.house.words, assets=made[:1], card=CARD)
    assert [one.label for one in alone.buttons if "index" in one.value] == ["变体", "放大"]


def test_a_variation_is_one_picture_of_the_same_order_under_another_seed(chat: Chat) -> None:
    parent = done(chat)
    assert chat.press("variation", job=parent.id, index=2)[0] == "success"
    job = ordered(chat)
    assert job.parent_id == parent.id
    assert job.params["prompt"] == "一只猫"
    assert job.params["count"] == 1
    assert job.params["seed"] != parent.params["seed"]
    assert job.params["strength"] == 0.6
    assert job.params["source"] == {"sha256": f"{parent.id:062d}01", "job": parent.id, "picture": 2}
    assert job.origin == parent.origin, "it answers the message, not the card"


def test_an_enlargement_is_twice_as_large_under_the_same_seed(chat: Chat) -> None:
    parent = done(chat)
    assert chat.press("upscale", job=parent.id, index=2)[0] == "success"
    job = ordered(chat)
    assert (job.params["width"], job.params["height"], job.params["count"]) == (1024, 1024, 1)
    assert (job.params["seed"], job.params["strength"]) == (8, 0.3)


@pytest.mark.parametrize(
    ("size", "larger"),
    [
        ((512, 512), (1024, 1024)),
        ((1024, 1024), (2048, 2048)),
        ((1280, 720), (1920, 1072)),
        ((1536, 1024), None),
        ((2048, 2048), None),
        ((1040, 1040), (1552, 1552)),
        ((1360, 1360), (2032, 2032)),
    ],
)
def test_how_large_an_enlargement_is(size: tuple[int, int], larger: tuple[int, int] | None) -> None:
    found = SizeRule().enlarged(*size)
    assert found == larger
    if found:
        assert not SizeRule().problem(*found)


def test_with_a_list_of_sizes_only_these_are_offered() -> None:
    rule = SizeRule(choices=((512, 512), (768, 512), (1024, 1024), (1536, 1024)), default=(512, 512))
    assert (rule.enlarged(512, 512), rule.enlarged(768, 512)) == ((1024, 1024), (1536, 1024))
    assert rule.enlarged(1024, 1024) is None
    assert rule.like(3000, 2000) in rule.choices


def test_the_largest_picture_is_not_enlarged_and_the_bound_is_named(chat: Chat) -> None:
    chat.house = replace(chat.house, rules=Rules(size=SizeRule(max_side=512, default=(512, 512))))
    parent = done(chat)
    kind, text = chat.press("upscale", job=parent.id, index=1)
    assert kind == "warning"
    assert "512x512 不能再放大" in text
    assert "边长最多 512" in text


def test_two_quick_presses_of_one_button_are_one_and_of_two_buttons_two(chat: Chat) -> None:
    parent = done(chat)
    assert chat.press("variation", job=parent.id, index=1)[0] == "success"
    assert chat.press("variation", job=parent.id, index=1)[0] == "info"
    assert chat.press("variation", job=parent.id, index=2)[0] == "success"
    assert chat.press("upscale", job=parent.id, index=1)[0] == "success"
    assert chat.press("redo", job=parent.id)[0] == "success"
    assert chat.press("redo", job=parent.id)[0] == "info"
    assert len(chat.db.read_sync(jobs.recent)) == 5
    chat.now += timedelta(seconds=3)
    assert chat.press("variation", job=parent.id, index=1)[0] == "success"


@pytest.mark.parametrize(
    "value",
    [
        {"job": 1},
        {"job": 1, "index": 0},
        {"job": 1, "index": -1},
        {"job": 1, "index": "1"},
        {"job": 1, "index": True},
        {"job": 1, "index": 2**40},
        {"job": 2**40, "index": 1},
        {"index": 1},
    ],
)
@pytest.mark.parametrize("action", ["variation", "upscale"])
def test_a_button_that_means_nothing_says_so(chat: Chat, action: str, value: dict[str, Any]) -> None:
    assert chat.press(action, **value)[0] == "warning"
    assert chat.db.read_sync(jobs.recent) == []


def test_a_redo_of_such_a_job_begins_with_the_same_picture(chat: Chat) -> None:
    parent = done(chat)
    chat.press("variation", job=parent.id, index=1)
    first = ordered(chat)
    again = ordered(chat, chat.say(f"/redo {first.id}"))
    assert (again.params["source"], again.params["strength"]) == (first.params["source"], 0.6)
    assert again.params["seed"] == first.params["seed"]
    other = ordered(chat, chat.say(f"/redo {first.id} --strength 0.9 --seed random"))
    assert (other.params["source"], other.params["strength"]) == (first.params["source"], 0.9)
    assert "用不上 --strength" in refused(chat, f"/redo {parent.id} --strength 0.5")


def test_it_costs_the_steps_that_are_run(chat: Chat) -> None:
    """2048x2048 is four units at 8 steps; of 3 steps a unit and a half, rounded up."""
    parent = done(chat, "/draw 猫 --size 1024x1024")
    chat.press("upscale", job=parent.id, index=1)
    small = ordered(chat)
    assert (small.params["width"], small.cost) == (2048, 2)
    whole = ordered(chat, chat.say("/draw 猫 --size 2048x2048"))
    assert whole.cost == 4
    assert small.weight == pytest.approx(whole.weight * 3 / 8)
    assert small.batch_key != whole.batch_key


def test_of_a_picture_of_few_steps_something_is_left(chat: Chat) -> None:
    """Of one step all would be drawn anew."""
    parent = done(chat, "/draw 猫 --steps 1 --size 512x512")
    chat.press("upscale", job=parent.id, index=1)
    assert ordered(chat).params["steps"] == 8


def test_what_the_team_does_not_want_is_not_varied_either(chat: Chat) -> None:
    parent = done(chat)
    chat.house = replace(chat.house, screen=Screen(rules=(Rule(name="cats", words=frozenset(words(["猫"]))),)))
    assert chat.press("variation", job=parent.id, index=1)[0] == "warning"
    assert parent.state is JobState.DONE
    assert len(chat.db.read_sync(jobs.recent)) == 1


# --- /jobs 17 ---------------------------------------------------------------------------------------------------


def test_a_result_that_did_not_arrive_is_shown_again_and_costs_nothing(chat: Chat) -> None:
    job = done(chat)
    handled = chat.say(f"/jobs {job.id}")
    assert handled.reply is not None
    assert [picture.asset for picture in handled.reply.pictures] == [1, 2]
    assert {button.action for button in handled.reply.buttons} >= {"redo", "variation"}
    assert chat.db.read_sync(jobs.recent) == [job]  # nothing was ordered


def test_in_another_chat_its_buttons_would_do_nothing_and_are_left_out(chat: Chat) -> None:
    job = done(chat)
    event = chat.event("message", "anna", text=f"/jobs {job.id}")
    shown = chat.tell(replace(event, origin=replace(event.origin, chat_id="oc_elsewhere"))).reply
    assert shown is not None
    assert shown.pictures
    assert not shown.buttons
    assert shown.form is None


def test_what_others_drew_is_not_shown_by_its_number(chat: Chat) -> None:
    job = done(chat)
    assert refused(chat, f"/jobs {job.id}", "mallory") == chat.house.words.refusal("not_yours", {"job": job.id}).text
    assert refused(chat, "/jobs 999") == chat.house.words.refusal("unknown_job", {"job": 999}).text
