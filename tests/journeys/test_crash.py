"""kill -9 of the program as it is shipped, picture model included. At every named point: tests/chaos/test_chaos.py."""

from __future__ import annotations

from tests.journeys.moqi import Moqi, Person, until


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
