"""What makes vectors, and what ranks. A vector is bytes: 32-bit floats of length 1, little-endian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderCard:
    """What a model is, once it is open."""

    model: str  # as the operator calls it
    recipe: str  # everything its numbers depend on: those of another recipe cannot be compared with them
    dimension: int = 0  # numbers in a vector; 0 = it makes none, it ranks


class Embedder(Protocol):
    """Makes vectors. Safe for concurrent use; questions do not wait for passages."""

    async def open(self) -> EncoderCard:
        """Load it or reach it. May be repeated. Raises EmbeddingError."""

    async def question(self, text: str) -> bytes:
        """The vector of a question. Raises EmbeddingError."""

    async def passages(self, texts: Sequence[str]) -> list[bytes]:
        """The vectors of passages. Raises EmbeddingError."""

    async def close(self) -> None: ...


class Reranker(Protocol):
    """Judges how well passages answer a question. Safe for concurrent use."""

    async def open(self) -> EncoderCard:
        """Load it or reach it. May be repeated. Raises EmbeddingError."""

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One number per text, larger is better. Leaving early stops the work. Raises EmbeddingError."""

    async def close(self) -> None: ...
