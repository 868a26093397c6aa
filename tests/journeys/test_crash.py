"""kill -9 at every named point: no accepted message is lost, nothing is posted twice, nothing is charged wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.faults import POINTS
from tests.journeys.moqi import Moqi, Person, until
from tests.simulators.feishu import FeishuSimulator, Pushed
from tests.simulators.feishu_events import message

#: Points that only a picture passes; the others are passed by answers too, which need no model to be loaded.
PICTURE_POINTS = ("picture-drawn", "asset-written")
#: Points on the way of a reservation: see test_reservations.py.
BOOKED_POINTS = tuple(point for point in POINTS if point.startswith("reservation-"))


def test_six_pictures_queued_survive_kill_9_and_arrive_once(moqi: Moqi) -> None:
    moqi.start()
    anna = Person(moqi, "anna")
    for number in range(6):
        anna.say(f"/draw 第{number}只猫 --size 256x256 --seed {number}")
    until(lambda: len(anna.replies()) == 6, "six cards")
    moqi.kill()
    moqi.start()
    cards = [anna.finished(job) for job in range(1, 7)]
    assert [card["state"] for card in cards] == ["done"] * 6
    assert [dict(map(tuple, card["fields"]))["种子"] for card in cards] == [str(n) for n in range(6)]
    assert len(anna.replies()) == 6  # each once
    for card in cards:
        picture = anna.http.get(f"/api/assets/{card['pictures'][0]['asset']}")
        assert picture.content.startswith(b"\x89PNG")
    assert moqi.stop() == 0
    moqi.verify()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ask", "draw"])
def test_kill_9_at_every_point_loses_nothing_and_posts_nothing_twice(
    tmp_path: Path, feishu: FeishuSimulator, kind: str
) -> None:
    """One installation, killed at one point after the other while events keep coming in."""
    moqi = Moqi(tmp_path, settings={"platforms": {"feishu": feishu.settings}})
    feishu.bot_url = f"{moqi.url}/feishu/events"
    points = PICTURE_POINTS if kind == "draw" else tuple(p for p in POINTS if p not in PICTURE_POINTS + BOOKED_POINTS)
    said: list[Pushed] = []
    kills = 0
    try:
        for count in (1, 2):
            for point in points:
                moqi.start(faults=f"{point}:{count}")
                for _ in range(count):
                    number = len(said)
                    text = "/ask 年假怎么休?" if kind == "ask" else f"/draw 猫 --size 64x64 --seed {number}"
                    said.append(feishu.push(message(feishu.app, text, message_id=f"om_{kind}_{number}")))
                moqi.died()
                kills += 1
        moqi.start()
        feishu.advance(8 * 3600)  # what was never acknowledged is pushed again
        assert all(pushed.acknowledged for pushed in said)
        until(lambda: len(_ended(feishu)) == len(said), f"{len(said)} answers, one each")
    finally:
        moqi.stop()
    assert kills == 2 * len(points)
    parents = [sent.parent_id for sent in feishu.visible()]
    assert sorted(parents) == sorted({f"om_{kind}_{number}" for number in range(len(said))})
    moqi.verify()


def _ended(feishu: FeishuSimulator) -> list[str]:
    """The messages whose card shows the outcome."""
    return [sent.parent_id for sent in feishu.visible() if "画好了" in sent.text or "请假与年假制度" in sent.text]
