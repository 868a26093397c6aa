"""What a text engine is: one streaming method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Delta


@dataclass(frozen=True, kw_only=True, slots=True)
class TextCard:
    """What a text engine is."""

    name: str  # extractive | vllm | transformers | openai
    model: str  # checkpoint or served model; empty for extractive
    generative: bool  # writes sentences of its own (False: quotes only)


class TextModel(Protocol):
    """A text engine. Safe for concurrent streams."""

    @property
    def card(self) -> TextCard: ...

    async def standalone(self, question: str, history: Sequence[Turn]) -> str:
        """What to search for: the question as it would be asked without the turns before it (oldest first)."""

    def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        """Write the answer: Deltas, then exactly one Answer. Its text is what they say together, unless the engine was
        interrupted.

        Leaving the iterator early cancels the work. Raises inference.errors.TextError.
        """

    async def close(self) -> None: ...
