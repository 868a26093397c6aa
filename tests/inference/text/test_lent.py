"""A language model whose memory is lent, with a scripted one in the place of the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from inference.errors import TextError
from inference.requests import Message
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.lent import LentModel
from tests.inference.text.scripted import Scripted

ASKED = ChatRequest(messages=(Message(role="user", text="?"),), max_tokens=10)


class Turns:
    """Notes who is within."""

    def __init__(self, refused: TextError | None = None) -> None:
        self.within, self.refused = 0, refused

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        if self.refused:
            raise self.refused
        self.within += 1
        try:
            yield
        finally:
            self.within -= 1


async def test_it_is_held_while_something_is_written_and_no_longer() -> None:
    model, turns = Scripted("twelve signs"), Turns()
    lent = LentModel(model, turns)
    assert lent.card == model.card
    said = ""
    async for piece in lent.stream(ASKED):
        assert turns.within == 1
        said += piece.text if isinstance(piece, Piece) else ""
    assert (said, turns.within) == ("twelve signs", 0)


@pytest.mark.parametrize("ending", [TextError("broken"), Ended(reason="stop")])
async def test_whoever_leaves_or_fails_gives_it_back_at_once(ending: TextError | Ended) -> None:
    model, turns = Scripted("twelve signs", ending=ending), Turns()
    async with aclosing(LentModel(model, turns).stream(ASKED)) as pieces:
        await anext(pieces)
    assert (turns.within, model.closed) == (0, 1)
    if isinstance(ending, TextError):
        with pytest.raises(TextError, match="broken"):
            _ = [piece async for piece in LentModel(model, turns).stream(ASKED)]
        assert (turns.within, model.closed) == (0, 2)


async def test_nobody_asks_an_engine_whose_memory_does_not_come_back() -> None:
    model = Scripted("")
    with pytest.raises(TextError, match="lent"):
        await anext(LentModel(model, Turns(TextError("lent"))).stream(ASKED))
    assert model.asked == []
