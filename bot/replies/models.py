"""Which models there are and how a switch went: /model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bot.replies.language import Language, short
from bot.reply import Reply

if TYPE_CHECKING:  # for its name only
    from bot.models import Model

DTYPES = {"BF16": "bfloat16", "F32": "float32", "F16": "float16"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which model was chosen while the program ran."""

    name: str = ""  # empty = what model.yaml says
    who: str = ""
    at: datetime | None = None  # in the team's zone; None = nobody ever chose
    settled: bool = True


def listed(words: Language, found: Sequence[Model], choice: Choice) -> Reply:
    """Every model with its size, and which one draws."""
    rows = [_row(words, one, choice) for one in found]
    return Reply(title=words.say("model.title"), text="\n".join((*rows, "", why(words, choice))))


def _row(words: Language, model: Model, choice: Choice) -> str:
    used = model.name == choice.name or (not choice.name and model.default)
    parts = [words.say("model.size", size=size(model.size)), DTYPES.get(model.dtype, model.dtype)]
    parts += [words.say("model.practice")] if model.choice.builtin else []
    parts += [words.say("model.default")] if model.default else []
    parts += [words.say("model.used" if choice.settled else "model.next")] if used else []
    return words.say("model.row", name=model.name, about=" · ".join(filter(None, parts)))


def why(words: Language, choice: Choice) -> str:
    """Why this model draws."""
    if choice.at is None:
        return words.say("model.why.yaml")
    values = {"who": short(choice.who, 40), "at": words.moment(choice.at)}
    return words.say("model.why.chosen" if choice.name else "model.why.back", **values)


def size(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
