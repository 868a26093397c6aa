"""What a picture is found by: its description as characters and pairs of Chinese, and as words of the rest. Pure.

No dictionary: 金毛 is found in 小金毛犬 wherever a dictionary would cut it, and 猫 in 猫咪.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inference.grounding.tokens import HAN, bigrams, fold

_HAN_RUN = re.compile(f"[{HAN}]+")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sought:
    """A term that is looked for."""

    text: str
    begins: bool  # a word that only begins so will do


def indexed(description: str) -> tuple[str, ...]:
    """The terms to keep of a description, each once."""
    folded = fold(description)
    chinese = [char for run in _HAN_RUN.findall(folded) for char in run]
    return tuple(dict.fromkeys((*chinese, *bigrams(folded), *_words(folded))))


def sought(wanted: str) -> tuple[Sought, ...]:
    """The terms a description must hold to be what somebody looks for. Chinese is met in its very order."""
    folded = fold(wanted)
    alone = [run for run in _HAN_RUN.findall(folded) if len(run) == 1]
    exact = dict.fromkeys((*alone, *bigrams(folded)))
    return (
        *(Sought(text=term, begins=False) for term in exact),
        *(Sought(text=word, begins=True) for word in dict.fromkeys(_words(folded))),
    )


def _words(folded: str) -> list[str]:
    return _WORD.findall(_HAN_RUN.sub(" ", folded))
