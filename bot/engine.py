"""How an engine stands, as people are told."""

from __future__ import annotations

from dataclasses import dataclass

from inference.text.chat import ChatModel
from inference.text.model import TextCard
from inference.text.supervised import SupervisedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One engine."""

    name: str
    state: str  # loading | switching | ready | failed | closed | starting | asleep | down
    builtin: bool = False
    problem: str = ""  # what is wrong and what to do next


def answering(card: TextCard, chat: ChatModel | None) -> Engine:
    """The engine that answers: one without a process of its own is ready at any time."""
    if not isinstance(chat, SupervisedModel):
        return Engine(name=card.name, state="ready")
    return Engine(name=card.name, state=chat.state.value, problem=str(chat.problem or ""))
