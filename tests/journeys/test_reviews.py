"""A held picture over a real server: a word holds it, nobody else sees it, a kill loses nothing, each decision arrives
once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.light import Light
from tests.journeys.moqi import Person, until

RULES = {"moderation": {"rules": [{"name": "人物", "words": ["某人"], "action": "review"}]}}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Light]:
    house = Light(tmp_path, settings={"policy": RULES})
    house.start()
    yield house
    assert house.stop() == 0
    house.verify()


def cards(person: Person, state: str, title: str) -> list[dict[str, Any]]:
    """The person's messages of this state whose title has these words."""
    return [body for body in person.replies() if body["state"] == state and title in body["title"]]


def case(person: Person, title: str) -> dict[str, Any]:
    """The newest open case a reviewer was told of."""
    return until(lambda: cards(person, "review", title), f"{title} to reach {person.name}")[-1]


def send(person: Person, form: dict[str, Any], reason: str) -> dict[str, str]:
    """Send a form of the person's newest message that has it; returns the toast."""
    message = next(
        one["id"] for one in reversed(person.history()) if one["author"] == "bot" and one["body"].get("form") == form
    )
    body = {"id": uuid.uuid4().hex, "action": form["action"], "value": form["value"], "message": message}
    return dict(person.http.post("/api/actions", json={**body, "form": {"reason": reason}}).json()["toast"])


def test_held_pictures_reach_their_owner_by_a_decision_only(house: Light) -> None:
    boss, rita, anna = Person(house, "老板"), Person(house, "丽塔"), Person(house, "安娜")
    assert "审核员" in boss.told("/role 丽塔 reviewer")["text"]
    house.ready()
    before = anna.left()
    first, second = anna.ordered("/draw 某 人的画像 --seed 7"), anna.ordered("/draw 某人在海边")
    until(lambda: len(cards(anna, "review", "等待审核")) == 2, "both to be held")
    held = case(rita, f"#{first}")
    assert "用词触及规则“人物”" in dict(map(tuple, held["fields"])).values()
    file = f"/api/assets/{held['pictures'][0]['asset']}"
    assert [one.http.get(file).status_code for one in (anna, rita, boss)] == [404, 200, 200]
    assert "moqi_reviews_open 2.0" in anna.http.get("/metrics").text

    house.kill()  # between the holding and the decision
    house.start()
    house.ready()
    boss, rita, anna = (one.again(house) for one in (boss, rita, anna))
    until(lambda: cards(rita, "review", f"#{second}"), "the cases to be there still")
    assert rita.told("/review")["text"].count("安娜") == 2
    assert anna.left() == before - 2, "both prices are held"

    button = {"id": uuid.uuid4().hex, "action": "approve", "value": held["buttons"][0]["value"], "message": 1}
    assert rita.http.post("/api/actions", json=button).json()["toast"]["kind"] == "success"
    done = anna.finished(first)
    assert done["state"] == "done"
    assert anna.http.get(file).status_code == 200
    assert rita.http.get(file).status_code == 404, "it is no case any more"
    until(lambda: cards(boss, "done", f"#{first} 已由 丽塔 通过"), "the other reviewer's card to say so")

    assert send(rita, case(rita, f"#{second}")["form"], "肖像")["kind"] == "success"
    rejected = anna.finished(second)
    assert "审核员说：“肖像”" in rejected["text"]
    assert anna.left() == before - 1, "it was given back"
    assert send(anna, rejected["form"], "本人同意")["kind"] == "success"
    appeal = case(boss, "请复审")
    assert dict(map(tuple, appeal["fields"]))["申诉"] == "本人同意"
    assert "已通过" in boss.told(f"/review approve {second}")["text"]
    until(lambda: len(cards(anna, "done", "画好了")) == 2, "the picture after the appeal")
    assert [body["job"] for body in cards(anna, "done", "画好了")] == [first, second], "each once"
    assert anna.left() == before - 1, "what was wrongly rejected is free"
