"""Answers by a language model that are held to their sources; whatever goes wrong, the passages themselves.

Sentences are shown one by one, each after it was checked: nothing that is shown is taken back. Where the model says
that the sources do not answer, that is the answer. Where it fails, is interrupted, or not one sentence of it stands,
the person gets the passages, quoted, as without a model.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from inference.errors import EngineDown, InferenceError, TextBusy, TextError, TextTooLong
from inference.grounding import contract, followup
from inference.grounding.claims import Claim, ClaimReader
from inference.grounding.validate import Grounded, accept
from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Citation, Delta
from inference.text import extractive
from inference.text.chat import ChatModel, ChatRequest, Ended, Piece
from inference.text.model import TextCard
from inference.text.resting import Resting
from storage.records import Passage

log = logging.getLogger(__name__)

ANSWER_TOKENS = 800
PATIENCE = 60.0  # seconds between two pieces of a model that still works
NEAREST = 3
REWRITING = 6.0  # seconds for making a question stand alone
REWRITTEN_TOKENS = 120
LONGEST_QUESTION = 200  # characters; what is longer is no question


@dataclass(slots=True)
class _Draft:
    """An answer as far as it stands."""

    passages: Sequence[Passage]
    lines: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # passages in the order they are first named: [1] is order[0]
    quotes: dict[int, str] = field(default_factory=dict)
    dropped: int = 0
    tokens: int = 0

    def take(self, claim: Claim) -> str:
        """What is shown of a sentence: its line, beginning with a line break after the first; empty when it does not
        stand, or stands there already."""
        found = accept(claim, self.passages)
        if found is None:
            self.dropped += 1
            return ""
        line = f"{found.text} {self._marks(found)}"
        if line in self.lines:
            return ""
        self.lines.append(line)
        return f"\n{line}" if len(self.lines) > 1 else line

    def answer(self, engine: str) -> Answer:
        citations = [
            Citation(
                mark=mark,
                document=passage.document,
                passage=passage.id,
                heading=passage.heading,
                quote=self.quotes.get(index, ""),
                url=passage.url,
            )
            for mark, index, passage in (
                (mark, index, self.passages[index]) for mark, index in enumerate(self.order, 1)
            )
        ]
        text = "\n".join(self.lines)
        return Answer(text=text, grounded=True, citations=tuple(citations), engine=engine, tokens=self.tokens)

    def _marks(self, found: Grounded) -> str:
        for index in found.passages:
            if index not in self.order:
                self.order.append(index)
        self.quotes.setdefault(found.passages[0], found.quote)
        return "".join(f"[{self.order.index(index) + 1}]" for index in sorted(found.passages, key=self.order.index))


class GroundedModel:
    """A text engine made of a language model and the rules above."""

    def __init__(self, model: ChatModel, *, patience: float = PATIENCE, resting: Resting | None = None) -> None:
        """`patience`: seconds between two pieces."""
        self._model = model
        self._resting = resting or Resting()
        self._patience = patience
        self._secret = secrets.token_bytes(32)

    @property
    def card(self) -> TextCard:
        return self._model.card

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        if not request.passages:  # nothing was found that this person may read: there is nothing to ask a model
            yield await _passages(request)
            return
        if self._resting.rests():
            yield replace(await _passages(request), interrupted=True)
            return
        for fewer in _fewer(request):
            try:
                async with aclosing(self._answered(fewer)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except TextTooLong as error:  # before it wrote anything
                log.info("trying with fewer passages than %d: %s", len(fewer.passages), error.problem)
        yield replace(await _passages(request), interrupted=True)

    async def _answered(self, request: AnswerRequest) -> AsyncGenerator[Delta | Answer]:
        """The model's answer, or the passages where it fails. Raises TextTooLong and TextBusy."""
        draft, reader = _Draft(tuple(one.passage for one in request.passages)), ClaimReader()
        try:
            async with aclosing(self._pieces(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        draft.tokens = piece.read + piece.written
                        continue
                    for claim in reader.feed(piece.text):
                        if line := draft.take(claim):
                            yield Delta(text=line)
        except (TextTooLong, TextBusy):
            raise
        except (InferenceError, TimeoutError) as error:
            if not isinstance(error, EngineDown):  # that one says itself when it is back
                self._resting.failed()
            log.warning("the model gave no whole answer: %s", error, extra={"action": "answer-interrupted"})
            yield replace(await _passages(request), interrupted=True)
            return
        self._resting.worked()
        yield await self._finished(request, draft, reader)

    async def standalone(self, question: str, history: Sequence[Turn]) -> str:
        """By the model where there is something to lean on, in a moment; else by rules."""
        by_rules = followup.standalone(question, history)
        if not history or self._resting.rests():
            return by_rules
        try:
            written = await asyncio.wait_for(self._rewritten(question, history), REWRITING)
        except (InferenceError, TimeoutError) as error:
            log.info("the question was not rewritten: %s", error, extra={"action": "not-rewritten"})
            return by_rules
        return written if 0 < len(written) <= LONGEST_QUESTION else by_rules

    async def close(self) -> None:
        await self._model.close()

    async def _rewritten(self, question: str, history: Sequence[Turn]) -> str:
        asked = ChatRequest(messages=contract.rewriting(question, history), max_tokens=REWRITTEN_TOKENS)
        said = ""
        async with aclosing(self._model.stream(asked)) as stream:
            async for piece in stream:
                said += piece.text if isinstance(piece, Piece) else ""
                if isinstance(piece, Ended) and piece.reason != "stop":
                    return ""
        return " ".join(said.split())

    async def _finished(self, request: AnswerRequest, draft: _Draft, reader: ClaimReader) -> Answer:
        if draft.dropped:
            log.info("%d sentences did not stand in their sources", draft.dropped, extra={"action": "claims-dropped"})
        if draft.lines:
            return draft.answer(self.card.name)
        if reader.answerable is False:
            return _refusal(request, self.card.name, draft.tokens)
        return replace(await _passages(request), tokens=draft.tokens)  # it wrote, and nothing of it stood

    async def _pieces(self, request: AnswerRequest) -> AsyncGenerator[Piece | Ended]:
        """What the model writes. Raises TimeoutError when it stops writing, TextError when it is cut off."""
        asked = ChatRequest(
            messages=contract.messages(request, self._secret),
            max_tokens=ANSWER_TOKENS,
            schema=contract.SCHEMA,
            salt=request.salt,
        )
        async with aclosing(self._model.stream(asked)) as stream:
            while True:
                piece = await asyncio.wait_for(anext(stream, None), self._patience)
                if piece is None:
                    raise TextError("The model's stream ended without an end.", "Look at the engine's log.")
                yield piece
                if isinstance(piece, Ended):
                    if piece.reason == "abort":
                        raise TextError("The engine broke the answer off.", "It may be restarting; ask again.")
                    return


def _fewer(request: AnswerRequest) -> Iterator[AnswerRequest]:
    """The request, then without what was said before, then with half of the passages, and half of those."""
    yield request
    request = replace(request, history=())
    while request.passages:
        yield request
        request = replace(request, passages=request.passages[: len(request.passages) // 2])


async def _passages(request: AnswerRequest) -> Answer:
    """The answer without a model."""
    return await asyncio.to_thread(extractive.compose, request)


def _refusal(request: AnswerRequest, engine: str, tokens: int) -> Answer:
    nearest = tuple(dict.fromkeys(one.passage.document for one in request.passages))[:NEAREST]
    return Answer(
        text=extractive.nothing(request.language), grounded=False, nearest=nearest, engine=engine, tokens=tokens
    )
