"""The real program with a text engine that writes as slowly as a file says, so that a journey can watch it write.

`python -m tests.journeys.slow_answers serve …` is `moqi serve …`. The file of MOQI_TYPING holds how many characters of
each answer may have been written by now; no file: all of them. The engine itself is the one that is shipped; pictures
come from a stand-in, so that a start costs little.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from bot.cli import main
from inference import device
from inference.requests import AnswerRequest
from inference.results import Answer, Delta
from inference.text import registry
from inference.text.extractive import ExtractiveModel, compose
from tests.chaos.serve import Orders, StandIn

LOOK = 0.02  # seconds between two looks at the file
PIECE = 4


class SlowModel(ExtractiveModel):
    """Quotes like the shipped engine, piece by piece."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        answer = compose(request)
        for start in range(0, len(answer.text), PIECE):
            while self._allowed() <= start:
                await asyncio.sleep(LOOK)
            yield Delta(text=answer.text[start : start + PIECE])
        while self._allowed() <= len(answer.text):
            await asyncio.sleep(LOOK)
        yield answer

    def _allowed(self) -> int:
        try:
            return int(self._file.read_text(encoding="utf-8") or 0)
        except FileNotFoundError:
            return 2**31


if __name__ == "__main__":
    vars(registry)["ExtractiveModel"] = lambda: SlowModel(Path(os.environ["MOQI_TYPING"]))
    vars(device)["load"] = lambda choice, options: StandIn(choice, options, Orders(Path(os.devnull)))
    main()
