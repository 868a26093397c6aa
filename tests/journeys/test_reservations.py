"""Reservations by the whole program, from the first word to the picture."""

from __future__ import annotations

from contextlib import suppress

import httpx

from tests.journeys.moqi import Moqi, Person, until


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
