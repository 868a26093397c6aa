"""What becomes of finished pictures by the settings: in the order of the policy, and when the check itself fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.doctor import Check, moderation
from bot.judging import HouseJudge
from bot.ordering import HELD_BY
from bot.settings import Environment, SettingsError, load
from inference.device import ImageDevice
from inference.errors import PictureCheckFailed
from inference.images.classifier import Classifier
from inference.moderation import By, Decision, ImageCheck, Limits, Verdict, weigh
from inference.text.chat import ChatModel, Ended
from scheduler.progress import ProgressFeed
from scheduler.queue import Failure
from scheduler.runners.draw import DrawRunner, PassWatch, _members
from scheduler.work import Success
from storage import users
from storage.database import Database
from storage.files import Files
from storage.records import Identity, Role, utcnow
from tests.blank import blank
from tests.inference.text.scripted import Scripted
from tests.scheduler.test_draw import CARD, ScriptedModel, task

CHECKED = "pictures: {path: ../check, review: {red: 0.4}, refuse: {red: 0.9}}"


class Redness:
    """An ImageCheck without a model: a picture is as bad as it is red. Black ones it cannot judge."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.limits = limits

    def check(self, image: Image.Image) -> Verdict:
        red = image.getpixel((0, 0))
        assert isinstance(red, tuple)
        if not red[0]:
            raise PictureCheckFailed("too dark")
        return weigh({"red": red[0] / 255}, self.limits)


def judge(folder: Path, said: str, chat: ChatModel | None = None) -> HouseJudge:
    (folder / "policy.yaml").write_text(f"moderation: {{{said}}}\n", encoding="utf-8")
    settings = load(folder, {})
    return HouseJudge(lambda: settings, Redness, chat)


def drawing(seed: int, *, count: int = 1, **params: Any) -> Any:
    found = task(1, seed=seed, count=count)
    found.job.params.update(params)
    return found


@pytest.mark.parametrize(
    ("said", "params", "red", "wanted"),
    [
        ("review: false", {}, 255, []),
        ("review: true", {}, 1, [("review", "house", "", 0)]),
        ("review: false", {HELD_BY: ["人物"]}, 1, [("review", "words", "人物", 0)]),
        (CHECKED, {}, 51, []),
        (CHECKED, {}, 153, [("review", "picture", "red", 1)]),
        (CHECKED, {}, 255, [("refuse", "picture", "red", 1)]),
        (CHECKED, {HELD_BY: ["人物"]}, 153, [("review", "words", "人物", 0), ("review", "picture", "red", 1)]),
        (CHECKED, {}, 0, [("review", "failure", "", 1)]),
        (CHECKED.replace("}}", "}, on_failure: refuse}"), {}, 0, [("refuse", "failure", "", 1)]),
        (CHECKED.replace("}}", "}, on_failure: allow}"), {}, 0, []),
    ],
)
async def test_what_becomes_of_a_picture(
    tmp_path: Path, said: str, params: dict[str, Any], red: int, wanted: list[tuple[str, str, str, int]]
) -> None:
    made = judge(tmp_path, said)
    job = drawing(1, **params).job
    found = await made.verdicts(job, [Image.new("RGB", (8, 8), (red, 0, 0))])
    assert [(one.decision, one.by, one.label, one.picture) for one in found] == wanted
    assert made.unseen(job) is (said != "review: false" or bool(params))


async def test_a_changed_setting_opens_another_check(tmp_path: Path) -> None:
    settings = [load(tmp_path, {})]
    opened: list[Limits] = []

    def open_one(folder: Path, limits: Limits) -> ImageCheck:
        opened.append(limits)
        return Redness(folder, limits)

    made = HouseJudge(lambda: settings[0], open_one)
    for score in (0.4, 0.4, 0.8):
        (tmp_path / "policy.yaml").write_text(f"moderation: {{pictures: {{path: x, review: {{red: {score}}}}}}}\n")
        settings[0] = load(tmp_path, {})
        await made.verdicts(drawing(1).job, [Image.new("RGB", (8, 8), (9, 0, 0))])
    assert [one.review for one in opened] == [{"red": 0.4}, {"red": 0.8}]


async def outcomes(folder: Path, said: str, seeds: Sequence[int]) -> tuple[list[Any], Files]:
    device, files = ImageDevice(lambda: ScriptedModel(lambda batch: None), CARD), Files(folder / "files")
    runner = DrawRunner(device, files, ProgressFeed(), judge=judge(folder, said))
    try:
        return [(await runner.run([drawing(seed)]))[0] for seed in seeds], files
    finally:
        await device.close()


async def test_a_refused_picture_is_a_failed_job_and_is_not_kept(tmp_path: Path) -> None:
    [refused, held, free], files = await outcomes(tmp_path, CHECKED, (255, 153, 51))
    assert isinstance(refused, Failure)
    assert (refused.error, refused.engine, refused.transient) == ("picture_refused", False, False)
    assert refused.cause == "refused by the check of pictures: red 1.00 (picture 1)"
    assert isinstance(held, Success)
    assert isinstance(free, Success)
    assert [len(one.held) for one in (held, free)] == [1, 0]
    assert len(await asyncio.to_thread(lambda: list(files.iterate()))) == 2


@pytest.mark.parametrize(
    ("script", "wanted", "unseen"),
    [
        ('{"verdict": "allow", "reason": ""}', ("allow", "model", ""), False),
        ('{"verdict": "review", "reason": "像\\n真人"}', ("review", "model", "像 真人"), True),
        ('{"verdict": "refuse", "reason": "裸露"}', ("refuse", "model", "裸露"), True),
        ('{"verdict": "maybe", "reason": ""}', ("review", "failure", ""), True),
        ("可以画。", ("review", "failure", ""), True),
        ('{"verdict": "allow", "rea', ("review", "failure", ""), True),
    ],
)
async def test_what_a_language_model_says_of_an_order(
    tmp_path: Path, script: str, wanted: tuple[str, str, str], unseen: bool
) -> None:
    model = Scripted(script)
    made = judge(tmp_path, "orders: {model: true, unwanted: 竞品商标}", model)
    job = drawing(1).job
    assert made.unseen(job)  # nobody knows yet
    found = await made.order(job)
    assert found is not None
    assert (found.decision, found.by, found.label) == wanted
    assert made.unseen(job) is unseen
    await made.order(job)
    assert len(model.asked) == (1 if found.by is By.MODEL else 2)  # an opinion is kept, a failure is not
    rules, order = model.asked[0].messages
    assert "竞品商标" in rules.text
    assert job.params["prompt"] in order.text


async def test_an_opinion_that_was_cut_off_is_none(tmp_path: Path) -> None:
    model = Scripted('{"verdict": "allow", "reason": ""}', ending=Ended(reason="length"))
    found = await judge(tmp_path, "orders: {model: true}", model).order(drawing(1).job)
    assert found is not None
    assert found.by is By.FAILURE


async def test_where_no_model_is_there_the_policy_says_what_becomes_of_orders(tmp_path: Path) -> None:
    for said, wanted in (("", "review"), (", on_failure: allow", "allow"), (", on_failure: refuse", "refuse")):
        found = await judge(tmp_path, f"orders: {{model: true{said}}}").order(drawing(1).job)
        assert found is not None
        assert (found.decision, found.by) == (wanted, By.FAILURE)
    assert await judge(tmp_path, "orders: {model: false}", Scripted("")).order(drawing(1).job) is None


async def test_an_order_that_is_refused_is_not_drawn_and_one_in_doubt_is_held(tmp_path: Path) -> None:
    drawn: list[int] = []
    device = ImageDevice(lambda: ScriptedModel(lambda batch: drawn.append(len(batch))), CARD)
    ends = {}
    for verdict in ("refuse", "review", "allow"):
        says = Scripted(f'{{"verdict": "{verdict}", "reason": "x"}}')
        made = judge(tmp_path, "orders: {model: true}", says)
        runner = DrawRunner(device, Files(tmp_path / "files"), ProgressFeed(), judge=made)
        [ends[verdict]] = await runner.run([drawing(1)])
    await device.close()
    refused, held, free = ends.values()
    assert isinstance(refused, Failure)
    assert (refused.error, refused.engine) == ("order_refused", False)
    assert isinstance(held, Success)
    assert [(one.by, one.label) for one in held.held] == [(By.MODEL, "x")]
    assert isinstance(free, Success)
    assert not free.held
    assert len(drawn) == 2


def test_what_is_to_be_judged_has_no_preview(tmp_path: Path) -> None:
    made = judge(tmp_path, "review: false")
    cases: list[tuple[dict[str, Any], bool]] = [({}, True), ({HELD_BY: ["x"]}, False)]
    for params, shown in cases:
        members = _members(drawing(1, **params), None)
        times = iter((0.0, 99.0))
        watch = PassWatch(members, ProgressFeed(), previews=True, unseen=made.unseen, clock=times.__next__)
        assert (watch.preview(0) is not None) is shown


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("pictures: true", "name the checkpoint: {path: ../../models/NAME, review: {LABEL: 0.5}}"),
        ("pictures: {path: x}", "name at least one label"),
        ("pictures: {review: {red: 0.5}}", "path is missing"),
        ("pictures: {path: x, review: {red: 0.9}, refuse: {red: 0.5}}", "red is refused before it would be reviewed"),
        ("pictures: {path: x, review: {red: 2}}", "must be 1.0 or less"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        judge(tmp_path, said)
    assert not judge(tmp_path, "pictures: false").unseen(drawing(1).job)


def test_doctor_names_a_missing_check_and_that_nobody_may_decide(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    judge(config, f"review: true, orders: {{model: true}}, {CHECKED}")
    environment = Environment(config=config, data=tmp_path, database_url="")
    blank(tmp_path / "moqi.db")

    def looked() -> dict[str, Check]:
        return {one.name: one for one in moderation(load(config, {}), environment)}

    found = looked()
    assert "has no config.json" in found["picture check"].problem
    assert "there is none" in found["order check"].problem
    assert (found["reviewers"].ok, found["reviewers"].next_step.split(": ")[1]) == (
        False,
        "moqi role set <platform>:<user id> reviewer",
    )
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as db:
        person = db.run_sync(users.resolve, Identity(platform="web", external_id="rita"), "rita", utcnow())
        db.run_sync(users.set_role, person.id, Role.REVIEWER)
    assert looked()["reviewers"].ok


def test_the_shipped_judge_opens_a_classifier(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    assert isinstance(HouseJudge(lambda: settings)._open(tmp_path, Limits(review={"a": 1.0})), Classifier)
    assert Decision.REVIEW.value == "review"
