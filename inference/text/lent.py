"""A language model whose memory may be lent: whoever wants something written waits until it has it back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from inference.text.chat import ChatModel, ChatRequest, Ended, Piece
from inference.text.model import TextCard


class LentModel:
    """A ChatModel. `answering` is held while it writes, and raises TextError where the memory does not come back."""

    def __init__(self, model: ChatModel, answering: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._model, self._answering = model, answering

    @property
    def card(self) -> TextCard:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        async with self._answering(), aclosing(self._model.stream(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        await self._model.close()
