"""The whole of a short text that a language model writes, for what needs no stream."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from inference.errors import TextError
from inference.text.chat import ChatModel, ChatRequest, Ended, Piece


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A finished text."""

    text: str
    tokens: int  # read and written


async def written(model: ChatModel, request: ChatRequest, patience: float) -> Written:
    """What the model writes within `patience` seconds. Raises TextError, also when it is cut off or takes longer."""
    try:
        return await asyncio.wait_for(_read(model, request), patience)
    except TimeoutError as error:
        raise TextError(f"The model wrote for more than {patience:g} seconds.") from error


async def _read(model: ChatModel, request: ChatRequest) -> Written:
    said, end = "", None
    async with aclosing(model.stream(request)) as stream:
        async for piece in stream:
            if isinstance(piece, Piece):
                said += piece.text
            elif isinstance(piece, Ended):
                end = piece
    if end is None or end.reason != "stop":
        raise TextError("The text was cut off.")
    return Written(text=said, tokens=end.read + end.written)
