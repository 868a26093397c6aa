"""Whether what a model wrote stands in its sources. Pure, and the only judge: a model's word proves nothing.

A sentence counts when every source it names was given in this request, its quotation stands verbatim in one of them
(inference/grounding/cite.py), and every number, address and identifier in it occurs in them. That does not prove that
the sentence follows from the quotation; it proves that whoever opens the source finds what it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inference.grounding import cite
from inference.grounding.claims import Claim
from inference.grounding.contract import cleaned
from inference.grounding.tokens import fold
from storage.records import Passage

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
#: They stand in words that count nothing: 一般, 一起, 两者, 千万.
_VAGUE = frozenset({"一", "两", "俩", "零", "〇", "千万", "万一", "百", "千", "万", "十"})
_CHINESE = re.compile(r"[零〇一二三四五六七八九十百千万亿两俩]+")
_NUMBER = re.compile(r"\d+(?:[,，]\d{3})*(?:\.\d+)?")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+", re.IGNORECASE)
_AROUND = ".,;:!?。，；：！？)）」』”\"'>"
#: Words that name one thing: with a digit, a sign inside, or written in capitals. Other Latin words are language.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*[A-Za-z0-9]|[A-Z]")
_NAMING = re.compile(r".*\d|[A-Z]{2,}|.*[a-z][A-Z]|.*[_/]|.*\w\.\w")

#: What a chat would take for a mention of everybody or a link to be shown.
_MENTION = re.compile(r"<at\b[^>]*>|</at>|<@[^>]*>", re.IGNORECASE)
_EVERYBODY = re.compile(r"(?<![\w.])[@＠](?=all\b|here\b|everyone\b|channel\b|所有人|全体|全员)", re.IGNORECASE)
_SAYS = re.compile(r"\w{2}")
_WEB = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s，。；！？）」』]+|www\.[^\s，。；！？）」』]+", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounded:
    """A sentence that stands, and what it stands on: indexes into the request's passages, the quoted one first."""

    text: str
    passages: tuple[int, ...]
    quote: str  # as the passage has it or as the model wrote it: they differ in width, blanks and punctuation at most


def accept(claim: Claim, passages: Sequence[Passage]) -> Grounded | None:
    """The sentence, if it stands; None for one that must not be shown."""
    text = shown(claim.text)
    if not _SAYS.search(text) or not claim.cites or not all(1 <= number <= len(passages) for number in claim.cites):
        return None
    named = [number - 1 for number in claim.cites]
    quoted = next((index for index in named if cite.check(claim.quote, passages[index].text)), None)
    if quoted is None:
        return None
    said = "\n".join(f"{passages[index].heading}\n{passages[index].text}" for index in named)
    if not _numbers(claim.text) <= _numbers(said, every=True):
        return None
    if not _addresses(claim.text) <= _addresses(said) or not _names(claim.text) <= _words(said):
        return None
    return Grounded(text=text, passages=(quoted, *(index for index in named if index != quoted)), quote=claim.quote)


def shown(text: str) -> str:
    """A model's sentence as one line of plain text: no pictures, links or mentions, no marks but ours.

    A link that a source has is opened there: what a document has written may lead anywhere.
    """
    plain = _LINK.sub(r"\1", _MENTION.sub("", cleaned(text)))
    plain = _EVERYBODY.sub("", _WEB.sub("…", plain))
    plain = re.sub(r"\[\d{1,2}\]|【\d{1,2}】", "", plain)  # its own marks: ours are put behind it
    return " ".join(plain.replace("`", "").split())


def _numbers(text: str, *, every: bool = False) -> frozenset[str]:
    """The numbers by their values, however they are written. 一 and 两 count only where `every` one is wanted: they
    mostly are no numbers (一般, 一起)."""
    folded = fold(_ADDRESS.sub(" ", text))
    arabic = (found.replace(",", "").replace("，", "") for found in _NUMBER.findall(folded))
    chinese = (_value(run) for run in _CHINESE.findall(folded) if every or run not in _VAGUE)
    return frozenset({*(_plain(number) for number in arabic), *chinese})


def _plain(number: str) -> str:
    whole, _, rest = number.partition(".")
    rest = rest.rstrip("0")
    return f"{int(whole)}.{rest}" if rest else str(int(whole))


def _value(run: str) -> str:
    """What a run of Chinese numerals says: 十五 is 15, 二〇二六 the digits of a year."""
    if all(char in _DIGITS for char in run):
        return str(int("".join(str(_DIGITS[char]) for char in run)))
    total, section, digit = 0, 0, 0
    for char in run:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _TENS:
            section += (digit or 1) * _TENS[char]
            digit = 0
        else:
            total = (total + section + digit or 1) * _MYRIADS[char]
            section = digit = 0
    return str(total + section + digit)


def _addresses(text: str) -> frozenset[str]:
    return frozenset(found.rstrip(_AROUND).casefold() for found in _ADDRESS.findall(text))


def _names(text: str) -> frozenset[str]:
    """Words that name one thing, in one case."""
    return frozenset(found.casefold() for found in _NAME.findall(_ADDRESS.sub(" ", text)) if _NAMING.match(found))


def _words(text: str) -> frozenset[str]:
    return frozenset(found.casefold() for found in _NAME.findall(text))
