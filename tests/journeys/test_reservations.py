"""Reservations by the whole program: booked in a chat, killed at every point, and each fired exactly once."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest

from storage.faults import POINTS
from tests.journeys.moqi import Moqi, Person, until

#: Point -> at which passage the process dies: what the round before left behind passes the later ones first.
DEATHS = {
    "reservation-confirmed": 1,
    "reservation-due": 2,
    "reservation-firing": 2,
    "reservation-fired": 2,
}


def booked(person: Person, number: int, text: str) -> None:
    """Book something and confirm it: reservation `number`."""
    person.say(text)
    # What was left of an earlier round may be told in between.
    until(lambda: f"请确认预约 r{number}" in [reply["title"] for reply in person.replies()], "the card")
    with suppress(httpx.TransportError):  # it dies while it answers
        assert person.push("确认")["kind"] == "success"


def reservations_drawn(person: Person) -> list[str]:
    """Which reservations the finished pictures belong to."""
    done = [dict(map(tuple, body["fields"])) for body in person.replies() if body["state"] == "done"]
    return sorted(fields["预约"].split(" · ")[0] for fields in done if "预约" in fields)


@pytest.mark.timeout(300)
def test_kill_9_at_every_point_fires_each_reservation_once(moqi: Moqi) -> None:
    assert set(DEATHS) == {point for point in POINTS if point.startswith("reservation-")}
    moqi.start()
    anna = Person(moqi, "anna")
    moqi.kill()
    for number, (point, count) in enumerate(DEATHS.items(), 1):
        moqi.start(faults=f"{point}:{count}")
        anna = anna.again(moqi)
        booked(anna, number, f"/draw 第{number}只猫 --at 5秒后 --size 64x64 --seed {number}")
        moqi.died()
    moqi.start()
    anna = anna.again(moqi)
    wanted = [f"r{number}" for number in range(1, len(DEATHS) + 1)]
    until(lambda: reservations_drawn(anna) == wanted, "a picture of each reservation")
    assert [reply["title"] for reply in anna.replies() if "r1" in reply["title"]] == ["已预约 · r1"]
    assert moqi.stop() == 0
    moqi.verify()
    fates = [moqi.command("reservations", "show", str(n), "--json", check=True).stdout for n in range(1, 5)]
    assert all(shown.count('"fate": "fired"') == 1 for shown in fates), fates


def test_a_reservation_from_the_first_word_to_the_picture(moqi: Moqi) -> None:
    moqi.start()
    moqi.ready()
    anna, bert = Person(moqi, "anna"), Person(moqi, "bert")
    booked(anna, 1, "/draw 一只狗 --at 2小时后")
    assert "r1 已预约" in anna.told("/jobs")["text"]
    assert "别人的" in bert.told("/cancel r1")["text"]
    booked(anna, 2, "/reserve 每天9:00 早安图")
    assert "已取消预约 r2" in anna.told("/cancel r2")["text"]
    until(lambda: "预约已取消 · r2" in [reply["title"] for reply in anna.replies()], "the card to say so")
    booked(anna, 3, "/draw 一只猫 --at 5秒后 --size 64x64")
    until(lambda: reservations_drawn(anna) == ["r3"], "the picture")
    assert reservations_drawn(bert) == []
    moqi.verify()
