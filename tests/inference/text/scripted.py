"""A language model that says what it is told to, for tests of everything around one."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.model import TextCard


class Scripted:
    """Says `script` in pieces of `size` characters, then `ending`: an end, or an error to raise."""

    def __init__(self, script: str, *, size: int = 7, ending: Ended | Exception | None = None) -> None:
        self.script, self.size = script, size
        self.ending = ending if ending is not None else Ended(reason="stop", read=100, written=20)
        self.asked: list[ChatRequest] = []
        self.closed = 0  # streams that were closed, however they ended

    @property
    def card(self) -> TextCard:
        return TextCard(name="scripted", model="script", generative=True)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        self.asked.append(request)
        try:
            for start in range(0, len(self.script), self.size):
                yield Piece(self.script[start : start + self.size])
            if isinstance(self.ending, Exception):
                raise self.ending
            yield self.ending
        finally:
            self.closed += 1

    async def close(self) -> None:
        return


def answer(*claims: Sequence[Any], answerable: bool = True) -> str:
    """The JSON of an answer: (text, cites, quote) each."""
    said = [{"text": text, "cites": cites, "quote": quote} for text, cites, quote in claims]
    return json.dumps({"answerable": answerable, "claims": said}, ensure_ascii=False)
