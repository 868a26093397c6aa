"""The whole program with the real vLLM and a tiny model: answers, a death in one of them, and what a crash leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inference.text.vllm_engine import installed
from tests import plugins
from tests.inference.text import handbook
from tests.inference.text.handbook import (
    ANSWERS,
    ASK_FAMILY,
    ASK_HOTEL,
    ASK_LEAVE,
    CITY,
    DOCUMENTS,
    FOLLOWING,
    HOTEL,
    OTHER,
    YEAR,
)
from tests.journeys.light import Light
from tests.journeys.moqi import Person, until

pytestmark = [
    pytest.mark.first,
    pytest.mark.skipif(not installed(), reason="vllm is not installed: there is none for this system"),
    pytest.mark.timeout(900),
]

STARTING = 400.0  # seconds; 15 on a quiet machine
ORPHANED = 60.0


class House(Light):
    """An installation whose questions are answered by vLLM from the handbook."""

    def __init__(self, folder: Path) -> None:
        text = {"engine": "vllm", "path": str(handbook.checkpoint()), "max_model_len": handbook.TOKENS}
        super().__init__(folder, settings={"model": {"text": text | {"kv_cache_gb": 0.064, "max_num_seqs": 8}}})
        knowledge = folder / "deploy" / "knowledge"
        shutil.rmtree(knowledge)
        knowledge.mkdir()
        for name, said in DOCUMENTS.items():
            (knowledge / name).write_text(said, encoding="utf-8")
        self._site = folder / "site"
        self._site.mkdir()
        plugins.installed(self._site)

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(PYTHONPATH=str(self._site), VLLM_CACHE_ROOT=str(handbook.CACHE), **more)

    def engine(self) -> psutil.Process:
        """The process that computes."""
        note = json.loads((self.data / "engine" / "text-engine.json").read_text())
        return psutil.Process(note["pid"])

    def runs(self, person: Person) -> None:
        """Wait until questions are answered by the engine."""
        until(lambda: "vllm · 就绪" in dict(person.told("/status")["fields"])["回答引擎"], "the engine", STARTING)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.start(cold=True)
    yield house
    house.stop()


def said(person: Person, question: str) -> str:
    """The text of the answer."""
    return str(person.finished(person.ordered(f"/ask {question}"))["text"])


def test_questions_are_answered_whatever_becomes_of_the_engine(house: House) -> None:
    anna, ben = Person(house, "anna"), Person(house, "ben")
    house.runs(anna)
    card = anna.finished(anna.ordered(f"/ask {ASK_HOTEL}"))
    assert card["text"] == handbook.text(CITY, OTHER)
    [source] = card["sources"]
    assert (source["mark"], source["document"], source["quote"]) == (1, HOTEL, CITY[2])
    assert CITY[2] in anna.http.get(f"/passages/{source['passage']}").text
    [(question, meant)] = FOLLOWING.items()
    assert said(anna, question) == handbook.text(*ANSWERS[meant][1])
    assert said(ben, ASK_FAMILY).startswith("知识库中没有找到")

    engine = house.engine()
    engine.suspend()  # the answer is begun, and not ended
    job = ben.ordered(f"/ask {ASK_LEAVE}")
    until(lambda: "进行 1" in dict(ben.told("/status")["fields"])["回答队列"], "the question to be asked")
    engine.kill()
    left = ben.finished(job)
    assert "摘录" in left["text"]
    assert DOCUMENTS["假期.md"] in left["text"]
    house.runs(ben)
    assert said(Person(house, "carl"), ASK_LEAVE) == handbook.text(YEAR)

    engine = house.engine()
    house.kill()
    engine.wait(ORPHANED)
    assert "Traceback" not in house.log.read_text()
