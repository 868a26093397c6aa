"""Questions that lean on the ones before them, made to stand alone by rules. Pure.

"那国外呢？" says nothing to a search. Without a language model its words are added to those of the question it leans
on, which finds what both are about; a question that can stand alone is left as it is, or old subjects would spoil it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inference.requests import Turn

BACK = 3  # turns that may lean on each other
SHORT = 10  # characters of a question that only names what is otherwise: 病假呢？

_BEGINS = re.compile(
    r"(?:and|but|so|what about|how about|what if|then|it|its|they|their|this|that|those|these|the same|also)\b"
    r"|那|然后|还有|另外|此外|其中|其他的|别的|如果|要是|假如|换成|换作|改成|它|他|她|这|上面|前者|后者",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[几多怎什哪谁何吗]|是否|是不是")


def leans(question: str) -> bool:
    """Whether a question seems to be about what was said before it."""
    said = question.strip().rstrip("？?。！! ")
    return bool(_BEGINS.match(said)) or (said.endswith("呢") and len(said) <= SHORT and not _ASKS.search(said))


def standalone(question: str, history: Sequence[Turn]) -> str:
    """The question with those it leans on before it, for a search; itself where it leans on none."""
    said = [question]
    for turn in reversed(history[-BACK:]):
        if not leans(said[0]):
            break
        said.insert(0, turn.question)
    return " ".join(said)
