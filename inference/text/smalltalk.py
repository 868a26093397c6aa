"""Small talk: a greeting or a thank-you, answered by the language model without sources, shortly, and saying nothing.

Nothing it says can be checked against a document, so it may say nothing that would have to be: what holds a number, an
address, or speaks of the company's rules is not shown. The caller has a sentence of its own for that.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from inference.errors import EngineDown, InferenceError, TextBusy
from inference.grounding.contract import cleaned
from inference.requests import Message, Turn
from inference.results import Answer
from inference.text.chat import ChatModel, ChatRequest
from inference.text.resting import Resting
from inference.text.written import written

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds
TOKENS = 120
LONGEST = 160  # characters; what is longer is no small talk
TURNS = 3

_RULES = {
    "zh": (
        "你是墨契，公司里的聊天机器人，会画图，也会根据公司资料回答问题。同事在和你闲聊：用一两句话友好地回应，"
        "用对方的语言，不超过 60 个字。你现在看不到任何资料，所以不要说任何关于公司、同事、制度、流程、日期或数字的话，"
        "也不要承诺做任何事。对方想知道公司的事，就请他直接提问；想画图，就请他说“画……”。"
    ),
    "en": (
        "You are Moqi, a chat bot at a company: you draw pictures and answer questions from the company's documents. A "
        "colleague is making small talk: respond kindly in one or two sentences, in their language, at most 40 words. "
        "You see no documents now, so say nothing about the company, its people, rules, processes, dates or numbers, "
        "and promise nothing. If they want to know something, invite them to ask it; for a picture, to say 'draw …'."
    ),
}
#: What only a document may say: numbers, addresses, and how things are done here.
_CLAIMS = re.compile(
    r"[0-9０-９%％]|[一二两三四五六七八九十百千万]+\s*(?:天|日|元|块|点|号|小时|分钟|周|个月|月份|年)|https?:|www\.|@|\]\("
    r"|公司(?:规定|制度|要求|政策|的)|(?:根据|按照)|制度|规定|政策|流程|报销|审批|假期|年假|请假|病假|薪|工资|奖金|福利|合同|密码|账号"
    r"|polic(?:y|ies)|according to|reimburs|approv|salar|\bleave\b|holiday|contract|password|procedure",
    re.IGNORECASE,
)


class SmallTalk:
    """Says something kind. Safe for concurrent use."""

    def __init__(self, model: ChatModel, *, patience: float = PATIENCE, resting: Resting | None = None) -> None:
        self._model = model
        self._patience = patience
        self._resting = resting or Resting()

    async def answer(self, said: str, history: Sequence[Turn], language: str) -> Answer:
        """What to say to `said`; an empty text when the model cannot, or said what it may not. Raises TextBusy."""
        nothing = Answer(text="", grounded=False, engine=self._model.card.name)
        if self._resting.rests():
            return nothing
        request = ChatRequest(messages=messages(said, history, language), max_tokens=TOKENS, temperature=0.7)
        try:
            found = await written(self._model, request, self._patience)
        except TextBusy:
            raise
        except InferenceError as error:
            if not isinstance(error, EngineDown):  # that one says itself when it is back
                self._resting.failed()
            log.warning("no small talk: %s", error, extra={"action": "talk-failed"})
            return nothing
        self._resting.worked()
        text = harmless(found.text)
        if not text:
            log.info("small talk that says too much is not shown", extra={"action": "talk-dropped"})
        return Answer(text=text, grounded=False, engine=self._model.card.name, tokens=found.tokens)


def messages(said: str, history: Sequence[Turn], language: str) -> tuple[Message, ...]:
    """The prompt: no passage, and of the turns before only small talk, as the caller gives it."""
    rules = Message(role="system", text=_RULES[language if language in _RULES else "en"])
    before = [
        message
        for turn in history[-TURNS:]
        for message in (
            Message(role="user", text=cleaned(turn.question)),
            Message(role="assistant", text=cleaned(turn.answer)),
        )
    ]
    return (rules, *before, Message(role="user", text=cleaned(said)))


def harmless(text: str) -> str:
    """The text in one line, or nothing where it says what would need a source."""
    said = " ".join(text.split())
    return said if 0 < len(said) <= LONGEST and not _CLAIMS.search(said) else ""
