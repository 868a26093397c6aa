"""`moqi kb vectors` and the searches that use what it admitted, on real settings and a real server for vectors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.cli.common import Exit
from tests.bot.cli.installation import Installation
from tests.inference.embedding.encoders import Counting
from tests.simulators.embeddings import Server, serving

WORDS = [f"{one}{other}" for one in "报登预审发退请调" for other in "销记订批放还假休"]


@pytest.fixture
def server() -> Iterator[Server]:
    counting = Counting(means=lambda said: said.replace("滴滴", "出租车发票"))
    with serving() as server:
        server.vector = lambda text: memoryview(counting._one(text)).cast("f").tolist()
        yield server


@pytest.fixture
def moqi(moqi: Installation, server: Server, tmp_path: Path) -> Installation:
    chance, docs = random.Random(1), tmp_path / "docs"
    docs.mkdir()
    for number in range(24):
        text = "。".join("与".join(chance.sample(WORDS, 9)) for _ in range(2))
        (docs / f"{number}.txt").write_text(f"{text}。", encoding="utf-8")
    (docs / "出租车.txt").write_text("出租车凭发票付。", encoding="utf-8")
    assert moqi("kb", "add", docs).code == Exit.DONE
    return moqi


def configured(moqi: Installation, server: Server, **more: str) -> None:
    lines = {"engine": "openai", "base_url": server.url, "id": "bge-m3", "api_key": "sk-1", **more}
    section = "".join(f"  {name}: {value}\n" for name, value in lines.items())
    (moqi.config / "model.yaml").write_text(f"embedding:\n{section}", encoding="utf-8")


def test_without_a_model_it_says_so(moqi: Installation) -> None:
    assert "words alone: model.yaml names no model" in moqi("kb", "vectors").out
    assert moqi("kb", "vectors", "--json").json == []
    assert moqi("kb", "vectors", "--build").code == Exit.USAGE


def test_a_model_is_examined_shown_and_used(moqi: Installation, server: Server) -> None:
    configured(moqi, server)
    assert "kb vectors --build" in moqi("kb", "vectors").out
    ran = moqi("kb", "vectors", "--build")
    assert ran.code == Exit.DONE
    assert "embedder bge-m3: takes part in the search\n  25 of 25 passages have its vectors, 256 numbers" in ran.out
    (shown,) = moqi("kb", "vectors", "--json").json
    assert (shown["state"], shown["vectors"], shown["passages"], shown["reason"]) == ("live", 25, 25, "")
    assert shown["figures"]["meaning"] >= 0.8
    assert moqi("kb", "search", "滴滴", "--json").json[0]["document"] == "出租车.txt"
    server.status = 503
    assert moqi("kb", "search", "滴滴", "--json").json == []
    assert moqi("kb", "search", "出租车", "--json").json[0]["document"] == "出租车.txt"


def test_a_model_that_guesses_is_refused_with_its_figures(moqi: Installation, server: Server) -> None:
    configured(moqi, server)
    server.vector = lambda text: [random.Random(text).gauss(0, 1) for _ in range(16)]
    ran = moqi("kb", "vectors", "--build")
    assert "takes no part\n" in ran.out
    assert "By itself it finds" in ran.out
    assert "  examined 2" in ran.out
    assert ": questions 24, found among 1 by words 1" in ran.out


def test_a_server_that_is_away_is_named_with_the_next_step_and_without_the_key(
    moqi: Installation, server: Server
) -> None:
    configured(moqi, server, base_url="http://127.0.0.1:9/v1")
    ran = moqi("kb", "vectors", "--build")
    assert (ran.code, "Look at embedding in model.yaml" in ran.err) == (Exit.UNAVAILABLE, True)
    assert "sk-1" not in ran.out + ran.err
    checks = {one["name"]: one for one in moqi("doctor", "--json").json["checks"]}
    assert "cannot be reached" in checks["embedding"]["problem"]


def test_the_doctor_says_what_is_there(moqi: Installation, server: Server, tmp_path: Path) -> None:
    configured(moqi, server)
    with (moqi.config / "model.yaml").open("a", encoding="utf-8") as file:
        file.write(f"  next: {{engine: local, path: {tmp_path}/none}}\n")
        file.write(f"  reranker: {{engine: local, path: {tmp_path}/none}}\n")
    checks = {one["name"]: one for one in moqi("doctor", "--json").json["checks"]}
    assert checks["embedding"]["ok"]
    assert "none/config.json is missing" in checks["embedding.next"]["problem"]
    assert "none/config.json is missing" in checks["embedding.reranker"]["problem"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("engine: local", "engine local needs path"),
        ("engine: openai\n  base_url: http://x", "engine openai needs base_url, the server's address, and id"),
        ("next: {engine: local}", "engine local needs path"),
        ("reranker: {engine: openai, id: a}", "engine openai needs base_url"),
        ("patience: 0", "embedding.patience"),
    ],
)
def test_a_model_that_is_nowhere_is_refused(moqi: Installation, section: str, message: str) -> None:
    (moqi.config / "model.yaml").write_text(f"embedding:\n  {section}\n", encoding="utf-8")
    ran = moqi("config", "check")
    assert ran.code != Exit.DONE
    assert message in ran.out + ran.err
