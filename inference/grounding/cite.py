"""Whether a quotation stands in its source. Pure.

Strict on purpose: the normalised quote must be a substring of the normalised source. Similarity measures accept
quotes with a changed digit or an inserted "not"; this accepts other widths, blanks, punctuation and scripts only.
"""

from __future__ import annotations

import re

from inference.grounding.tokens import fold

#: A shorter quotation (in letters and digits) proves nothing: it occurs somewhere by chance.
SHORTEST = 6

# Letters and digits, and the marks that change what a number says.
_MEANING = re.compile(r"[^\W_]|(?<=\d)[.:/-](?=\d)|-(?=\d)|(?<=\d)[%‰]|[<>≤≥±]")

_NUMBER_GOES_ON = re.compile(r"[\d.:/]")
_NUMBER_BEGINS = re.compile(r"[\d.:/%]")


def normalise(text: str) -> str:
    """What is left of a text when width, case, script, blanks and punctuation do not count."""
    return "".join(_MEANING.findall(fold(text)))


def check(quote: str, source: str, shortest: int = SHORTEST) -> bool:
    """Whether `quote` occurs in `source`, not beginning or ending inside a number."""
    wanted, text = normalise(quote), normalise(source)
    if len(wanted) < shortest:
        return False
    at = text.find(wanted)
    while at >= 0:
        if not _joined(text, at) and not _joined(text, at + len(wanted)):
            return True
        at = text.find(wanted, at + 1)
    return False


def _joined(text: str, at: int) -> bool:
    """Whether the position is inside a number: "5 days" does not stand in "15 days", nor "1" in "1.5"."""
    before, after = text[max(at - 1, 0) : at], text[at : at + 1]
    return bool(_NUMBER_GOES_ON.fullmatch(before) and _NUMBER_BEGINS.fullmatch(after))
