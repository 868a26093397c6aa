"""Words that a team does not want in orders. Pure.

Text and words are compared in one width, one case and simplified characters, as they look: see lookalikes.py. Spaces
and punctuation between characters do not hide a word; but a word in letters must begin and end where words do, so that
`class` contains no `ass`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.lookalikes import plain
from inference.grounding.tokens import fold

#: Characters that are words by themselves: Chinese, kana, hangul.
_SINGLE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_SINGLE}]|[^\W_{_SINGLE}]+")


class Action(StrEnum):
    """What is done with an order that has a word of a rule."""

    REFUSE = "refuse"  # it is not taken
    REVIEW = "review"  # it goes ahead, its pictures wait for a reviewer; a question goes ahead
    FLAG = "flag"  # it goes ahead; the audit log knows, as of the others


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Words, and what is done with an order that has one of them."""

    name: str  # what the audit log calls it
    words: frozenset[str] = field(repr=False)  # as `word` makes them
    action: Action = Action.REFUSE


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """Every rule of a team."""

    rules: Sequence[Rule] = ()
    tell: bool = False  # whether who is refused hears which word it was


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A rule that met its word."""

    rule: Rule
    word: str = field(repr=False)


def words(lines: Iterable[str]) -> list[str]:
    """Words of a list in the form they are compared in; empty where nothing is left of one."""
    return ["".join(_UNIT.findall(line)) for line in _folded("\n".join(lines)).split("\n")]


def hits(screen: Screen, text: str) -> list[Hit]:
    """Which rules `text` meets, each once."""
    if not screen.rules:
        return []
    units = _UNIT.findall(_folded(text))
    found = ((rule, next(_within(rule.words, units), None)) for rule in screen.rules)
    return [Hit(rule=rule, word=word) for rule, word in found if word is not None]


def holding(screen: Screen, text: str) -> list[str]:
    """The rules because of which pictures of `text` wait for a reviewer, by name."""
    return [hit.rule.name for hit in hits(screen, text) if hit.rule.action is Action.REVIEW]


def _folded(text: str) -> str:
    return fold(plain(text))


def _within(wanted: frozenset[str], units: Sequence[str]) -> Iterator[str]:
    """The wanted words that are made of whole units side by side."""
    joined, starts, at = "".join(units), [], 0
    for unit in units:
        starts.append(at)
        at += len(unit)
    ends = {*starts[1:], at}
    lengths = sorted({len(word) for word in wanted})
    for start in starts:
        for length in lengths:
            if start + length in ends and joined[start : start + length] in wanted:
                yield joined[start : start + length]
