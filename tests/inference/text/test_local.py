"""Real transformers on a tiny model that was taught what to say."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from inference.errors import TextError
from inference.requests import Message
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.local import LocalModel, preflight
from tests.inference.text import taught

LEAVE, LONG = "年假有几天？", "数到很多"
ANSWERS = {LEAVE: "每年有 15 天年假 [1]。", LONG: "一二三四五六七八九十" * 6}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught.make(tmp_path_factory.mktemp("qwen"), ANSWERS)


@pytest.fixture
async def model(checkpoint: Path) -> AsyncIterator[LocalModel]:
    found = LocalModel(checkpoint, max_tokens=400)
    yield found
    await found.close()


def asked(text: str, tokens: int = 200) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", text=text),), max_tokens=tokens)


async def said(model: LocalModel, request: ChatRequest) -> tuple[str, Ended]:
    pieces = [piece async for piece in model.stream(request)]
    assert isinstance(pieces[-1], Ended)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), pieces[-1]


async def test_it_says_what_it_was_taught_and_counts_tokens(model: LocalModel) -> None:
    text, ended = await said(model, asked(LEAVE))
    assert text == ANSWERS[LEAVE]
    assert ended.reason == "stop"
    assert ended.read > 10
    assert ended.written > 5
    assert model.card.generative


async def test_it_writes_while_it_thinks_of_the_rest(model: LocalModel) -> None:
    pieces = [piece async for piece in model.stream(asked(LONG))]
    assert len(pieces) > 10
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == ANSWERS[LONG]


async def test_two_at_once_each_get_their_own(model: LocalModel) -> None:
    one, two = await asyncio.gather(said(model, asked(LEAVE)), said(model, asked(LONG)))
    assert (one[0], two[0]) == (ANSWERS[LEAVE], ANSWERS[LONG])


async def test_an_answer_that_is_too_long_is_cut_and_says_so(model: LocalModel) -> None:
    assert (await said(model, asked(LONG, 8)))[1].reason == "length"


async def test_a_question_that_is_too_long_is_refused_with_what_to_do(model: LocalModel) -> None:
    with pytest.raises(TextError, match="tokens") as caught:
        await said(model, asked("长" * 400))
    assert "max_model_len" in caught.value.next_step
    assert (await said(model, asked(LEAVE)))[0] == ANSWERS[LEAVE]


class Watched(LocalModel):
    """Goes on behind its first piece only once whoever asked has left, and keeps how each answer ended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, max_tokens=400)
        self.ends: list[Ended] = []

    def _written(
        self, request: ChatRequest, say: Callable[[str | Ended | TextError], None], left: threading.Event
    ) -> Ended:
        def slowly(piece: str | Ended | TextError) -> None:
            say(piece)
            assert left.wait(20)

        self.ends.append(super()._written(request, slowly, left))
        return self.ends[-1]


async def test_who_leaves_stops_the_writing_at_the_next_token(checkpoint: Path) -> None:
    model = Watched(checkpoint)
    async with aclosing(model.stream(asked(LONG))) as stream:
        await anext(stream)
    await model.close()
    [ended] = model.ends
    assert ended.reason == "abort"
    assert ended.written < len(ANSWERS[LONG]) // 2


async def test_who_leaves_does_not_hold_up_the_next(model: LocalModel) -> None:
    async with aclosing(model.stream(asked(LONG))) as stream:
        await anext(stream)
    assert (await said(model, asked(LEAVE)))[0] == ANSWERS[LEAVE]


async def test_a_closed_model_says_so(model: LocalModel) -> None:
    await model.close()
    await model.close()
    with pytest.raises(TextError, match="shut down"):
        await said(model, asked(LEAVE))


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda path: (path / "model.safetensors").unlink(), "no \\*.safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(b"version https://git-lfs"), "model.safetensors"),
        (lambda path: (path / "config.json").unlink(), "config.json"),
        (lambda path: (path / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda path: (path / "config.json").write_text('{"auto_map": {}}'), "code of its own"),
    ],
    ids=["weights", "lfs", "config", "tokenizer", "code"],
)
async def test_a_broken_folder_is_named_before_anything_is_loaded(
    checkpoint: Path, tmp_path: Path, break_it: object, problem: str
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "broken")
    assert preflight(folder) == []
    assert callable(break_it)
    break_it(folder)
    model = LocalModel(folder)
    with pytest.raises(TextError, match=problem):
        await said(model, asked(LEAVE))
    await model.close()
