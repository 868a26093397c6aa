"""The same line on PostgreSQL: only the URL differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blank import postgres_database
from tests.journeys.moqi import Moqi, Person, paused


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """An empty database of our own."""
    with postgres_database(postgres_url) as url:
        yield url


def test_the_line_on_postgresql(tmp_path: Path, url: str) -> None:
    house = Moqi(tmp_path, database_url=url)
    house.start()
    house.ready()
    admin, anna = Person(house, "管理员"), Person(house, "anna")
    assert (admin.role, anna.role) == ("admin", "user")
    with paused(admin):
        stopped = anna.ordered("/draw 不要了 --size 64x64")
        waiting = anna.ordered("/draw 一只猫 --size 64x64 --seed 7")
        assert anna.press("cancel", stopped)["kind"] == "success"
    card = anna.finished(waiting)
    assert card["state"] == "done"
    assert anna.picture(card).startswith(b"\x89PNG")
    assert anna.finished(anna.ordered("/ask 年假怎么休?"))["sources"][0]["document"] == "请假与年假制度.md"
    assert "现在共剩 52" in admin.told("/quota grant @anna 3")["text"]
    assert anna.left() == 52
    house.verify()
    later = [anna.ordered(f"/draw 第{n}只 --size 64x64") for n in range(6)]
    assert house.stop() == 0
    assert not (house.data / "moqi.db").exists()
    house.start()
    anna = anna.again(house)
    assert [anna.finished(job)["state"] for job in later] == ["done"] * 6
    assert len([body for body in anna.replies() if body["job"]]) == 9
    assert anna.left() == 46
    assert house.stop() == 0
    house.verify()
