"""What a language model is to everything above it: messages in, pieces of text out. One file per engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from inference.requests import Message
from inference.text.model import TextCard


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What is to be written. Nobody's name or id stands in it."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    schema: Mapping[str, Any] | None = None  # JSON Schema the text must satisfy; None = plain text
    salt: str = ""  # whose cached prefixes may be used again: those who may read the same; empty = anybody's


@dataclass(frozen=True, slots=True)
class Piece:
    """The next characters."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The end of a text: the last value of every stream."""

    reason: Literal["stop", "length", "abort"]  # only `stop` is a whole answer
    read: int = 0  # tokens
    written: int = 0


class ChatModel(Protocol):
    """A language model. Safe for concurrent streams."""

    @property
    def card(self) -> TextCard: ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        """Write: Pieces, then exactly one Ended. What a model thinks aloud is not part of it.

        Closing the iterator early (`contextlib.aclosing`) stops the engine's work. Raises TextError.
        """

    async def close(self) -> None: ...
