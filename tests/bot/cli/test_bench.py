"""`moqi bench` measures the real engine and keeps what it found for the next start."""

from __future__ import annotations

from bot.cli.common import Exit
from inference.images.notes import FILE
from storage.database import data_lock
from tests.bot.cli.installation import Installation


def test_it_says_and_keeps_what_it_measured(moqi: Installation) -> None:
    ran = moqi("bench", "--seconds", "1", "--json")
    assert ran.code == Exit.DONE
    assert (ran.json["model"], ran.json["device"], ran.json["tier"]) == ("builtin", "cpu", "high")
    (first, *_) = ran.json["sizes"]
    assert first["size"] == "64x64"
    assert first["pictures_per_second"]["1"] > 0
    assert first["at_once"] >= 1
    assert (moqi.data / "engine" / FILE).is_file()


def test_it_does_not_measure_beside_a_server(moqi: Installation) -> None:
    with data_lock(moqi.data, 8080):
        ran = moqi("bench")
    assert ran.code == Exit.UNAVAILABLE
    assert "Stop it first" in ran.err
