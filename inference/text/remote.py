"""A language model behind an OpenAI-compatible address: vLLM on another machine, or any server that speaks the same.

The only file that imports openai (about a second, so at the first question). What servers understand differs: the
request begins with everything we would like, and what a server refuses with 400 is left out from then on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from inference.errors import TextError, TextTooLong
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.model import TextCard
from inference.text.thoughts import Thoughts

log = logging.getLogger(__name__)

CONNECT = 5.0  # seconds
READ = 60.0  # between two pieces
#: What is left out, one after another, of a request that a server does not understand.
LUXURIES = ("extra_body", "response_format", "stream_options")
#: How a whole answer ends, and one that was too long. Whatever else a server says, it did not finish.
REASONS: Mapping[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}
NEXT = "Look at text.base_url, text.id and text.api_key in model.yaml; `moqi doctor` tries them."


class RemoteModel:
    """A client of one server. Opened at first use, safe for concurrent streams."""

    def __init__(self, *, base_url: str, api_key: str = "", model: str = "", read: float = READ) -> None:
        """`model`: as the server calls it; empty = the first that it lists. `read`: seconds between two pieces."""
        self._url, self._key, self._model, self._read = base_url.rstrip("/"), api_key, model, read
        self._opened: Any = None
        self._left_out = 0  # how many of LUXURIES
        self._naming = asyncio.Lock()

    @property
    def card(self) -> TextCard:
        return TextCard(name="openai", model=self._model, generative=True)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        thoughts, ended, used = Thoughts(), None, None
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    used = chunk.usage or used
                    for choice in chunk.choices:
                        ended = choice.finish_reason or ended
                        if text := thoughts.feed(choice.delta.content or ""):
                            yield Piece(text)
        except TextError:
            raise
        except Exception as error:
            raise self._told(error) from error
        if text := thoughts.end():
            yield Piece(text)
        if ended is None:
            raise TextError(f"{self._url} broke off in the middle of an answer.", NEXT)
        read, written = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
        yield Ended(reason=REASONS.get(ended, "abort"), read=read, written=written)

    async def models(self) -> list[str]:
        """What the server has. Raises TextError."""
        try:
            return [one.id async for one in self._client().models.list()]
        except Exception as error:
            raise self._told(error) from error

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _chunks(self, request: ChatRequest) -> AsyncGenerator[Any]:
        """The server's answer as it sends it."""
        from openai import BadRequestError, UnprocessableEntityError

        model = await self._name()
        while True:
            wanted = _wanted(request, model, LUXURIES[self._left_out :])
            left_out = self._left_out
            try:
                stream = await self._client().chat.completions.create(**wanted)
            except (BadRequestError, UnprocessableEntityError) as error:
                if left_out == len(LUXURIES):
                    raise
                if self._left_out == left_out:  # nobody else has found out meanwhile
                    self._left_out += 1
                    log.info("%s does not take %s: %s", self._url, LUXURIES[left_out], error.code or error.status_code)
                continue
            async with stream:
                async for chunk in stream:
                    yield chunk
            return

    async def _name(self) -> str:
        async with self._naming:
            if not self._model:
                found = await self.models()
                if not found:
                    raise TextError(f"{self._url} serves no model.", "Start one there, or name it in text.id.")
                self._model = found[0]
        return self._model

    def _client(self) -> Any:
        if self._opened is None:
            from openai import AsyncOpenAI, Timeout

            timeout = Timeout(self._read, connect=CONNECT)
            self._opened = AsyncOpenAI(base_url=self._url, api_key=self._key or "none", timeout=timeout, max_retries=0)
        return self._opened

    def _told(self, error: Exception) -> TextError:
        """What an error of the client means to the operator. The key stands in none of them."""
        import openai

        match error:
            case TextError():
                return error
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return TextError(f"{self._url} refuses the key.", "Correct text.api_key in model.yaml.")
            case openai.NotFoundError():
                return TextError(f"{self._url} knows no model {self._model!r}, or no such address.", NEXT)
            case openai.RateLimitError():
                return TextError(f"{self._url} has too much to do.", "Ask again in a while.")
            case openai.APITimeoutError():
                return TextError(f"{self._url} did not answer in time.", NEXT)
            case openai.APIStatusError() if error.code == "context_length_exceeded":
                return TextTooLong(f"{self._url} cannot read so much at once.", "Ask a shorter question.")
            case openai.APIStatusError():
                return TextError(
                    f"{self._url} answered {error.status_code}: {error.code or type(error).__name__}.", NEXT
                )
            case _:
                return TextError(f"{self._url} cannot be reached: {type(error).__name__}.", NEXT)


def _wanted(request: ChatRequest, model: str, luxuries: tuple[str, ...]) -> dict[str, Any]:
    """The request in the words of the API. Of the luxuries those that are given."""
    extra: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}
    if request.salt:
        extra["cache_salt"] = request.salt
    more: Mapping[str, Any] = {
        "extra_body": extra,
        "response_format": _form(request.schema),
        "stream_options": {"include_usage": True},
    }
    return {
        "model": model,
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": True,
        **{name: more[name] for name in luxuries if more[name] is not None},
    }


def _form(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}
