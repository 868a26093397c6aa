"""The text engine without a model: it quotes the passages that fit best, word for word, with their sources.

It cannot invent anything. The passage that fits best holds the answer to more than nine questions of ten, its best
sentence to fewer than eight: so passages are shown, the sentence that fits best in bold, and not one "answer".
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from inference.grounding import followup, search
from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Citation, Delta
from inference.text.model import TextCard
from storage.records import Passage, ScoredPassage

#: The best passage must hold this share of what the question asks about, rare words counting more. Over the sample
#: handbook it refuses 21 of 22 questions it cannot answer and 3 of 45 it can; of 400 CMRC questions over their 848
#: passages it refuses 1, and with the right passage taken away 38 %. Higher refuses people who use other words than
#: the document, lower quotes the holiday rules to who asks for a stock plan. No lexical floor separates the two wholly.
FLOOR = 0.28

#: Passages shown, and how well the others must fit compared with the best.
SHOWN = 3
RELATIVE = 0.5

#: Characters shown of the best passage and of the others.
LENGTHS = (420, 220, 220)

PIECE = 16  # characters per delta

_INTRO = {"zh": "以下是知识库中的原文摘录：", "en": "Excerpts from the knowledge base:"}
_NOTHING = {
    "zh": "知识库中没有找到可以回答这个问题的内容。",
    "en": "The knowledge base does not say anything that answers this question.",
}

_SENTENCE = re.compile(r".+?(?:[。！？!?；;]+[”’」』）)]*|\.(?=\s)|$)")
_MARKER = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]+|[ \t>]+")
_RULE = re.compile(r"[|\s:-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A sentence or a table row of a passage: `text[start:end]`."""

    start: int
    end: int
    line: int  # which line of the passage it stands in
    row: bool  # a row of a table


class ExtractiveModel:
    """Quotes instead of writing. Needs no files, no GPU, no network."""

    @property
    def card(self) -> TextCard:
        return TextCard(name="extractive", model="", generative=False)

    async def standalone(self, question: str, history: Sequence[Turn]) -> str:
        return followup.standalone(question, history)

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        answer = await asyncio.to_thread(compose, request)
        for start in range(0, len(answer.text), PIECE):
            yield Delta(text=answer.text[start : start + PIECE])
            await asyncio.sleep(0)
        yield answer

    async def close(self) -> None:
        """Nothing is held."""


def answerable(passages: Sequence[ScoredPassage]) -> bool:
    """Whether any of the first passages says enough of what was asked to be shown as an answer."""
    return max((found.coverage for found in passages[:SHOWN]), default=0.0) >= FLOOR


def nothing(language: str) -> str:
    """What is said when the documents do not answer."""
    return _NOTHING.get(language, _NOTHING["en"])


def compose(request: AnswerRequest) -> Answer:
    """The whole answer of the engine, as a pure function of the request."""
    if not answerable(request.passages):
        nearest = dict.fromkeys(found.passage.document for found in request.passages)
        return Answer(
            text=nothing(request.language), grounded=False, nearest=tuple(nearest)[:SHOWN], engine="extractive"
        )
    chosen = _chosen(request.passages)
    weights = _weights(request.standalone or request.question, chosen)
    blocks = [_INTRO.get(request.language, _INTRO["en"])]
    citations = []
    for mark, (passage, length) in enumerate(zip(chosen, LENGTHS, strict=False), 1):
        excerpt, quote = _excerpt(passage.text, weights, length)
        blocks.append(f"**[{mark}] {_label(passage)}**\n{excerpt}")
        citations.append(
            Citation(
                mark=mark,
                document=passage.document,
                passage=passage.id,
                heading=passage.heading,
                quote=quote,
                url=passage.url,
            )
        )
    return Answer(text="\n\n".join(blocks), grounded=True, citations=tuple(citations), engine="extractive")


def _chosen(passages: Sequence[ScoredPassage]) -> list[Passage]:
    """The passages to show: in the order of the search, without those that fit much worse than the best."""
    first = passages[:SHOWN]
    least = RELATIVE * max(found.coverage for found in first)
    return [found.passage for found in first if found.coverage >= least]


def _label(passage: Passage) -> str:
    """Document and heading; the document's name once when the top heading repeats it."""
    stem = passage.document.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if passage.heading.startswith(stem):
        return passage.heading
    return f"{passage.document} › {passage.heading}" if passage.heading else passage.document


def _weights(question: str, passages: Sequence[Passage]) -> dict[str, float]:
    """How much each of the question's terms tells the sentences of these passages apart."""
    asked = search.terms(question)
    sentences = [_present(text[unit.start : unit.end]) for text in (p.text for p in passages) for unit in units(text)]
    counted = Counter(term for present in sentences for term in present)
    return {term: math.log(1 + len(sentences) / (1 + counted[term])) for term in {*asked.words, *asked.bigrams}}


def _present(text: str) -> frozenset[str]:
    found = search.index_terms(text)
    return frozenset(found.words).union(found.bigrams)


def _excerpt(text: str, weights: dict[str, float], length: int) -> tuple[str, str]:
    """A stretch of the passage around the sentence that fits best, as it is shown, and that sentence verbatim."""
    parts = list(units(text))
    scores = [sum(weights.get(term, 0.0) for term in _present(text[unit.start : unit.end])) for unit in parts]
    best = max(range(len(parts)), key=lambda i: (scores[i], -i))
    first, last = _grown(parts, scores, best, length)
    shown = _shown(text, parts[first : last + 1], parts[best])
    before, after = "…" if first else "", "…" if last + 1 < len(parts) else ""
    return f"{before}{shown}{after}", text[parts[best].start : parts[best].end]


def _grown(parts: Sequence[Unit], scores: Sequence[float], best: int, length: int) -> tuple[int, int]:
    """From the best unit outwards while the stretch stays within `length`, the better, then the nearer side first.

    A table row means little without the row that names its columns, so a table grows to its head first.
    """
    first = last = best
    head = _table_head(parts, best)
    if parts[best].end - parts[head].start <= length:
        first = head
    while True:
        sides = [(scores[i], i) for i in (first - 1, last + 1) if 0 <= i < len(parts)]
        fitting = [
            (score, i)
            for score, i in sides
            if max(parts[i].end, parts[last].end) - min(parts[i].start, parts[first].start) <= length
        ]
        if not fitting:
            return first, last
        nearest = max(fitting, key=lambda side: (side[0], -abs(side[1] - best), side[1]))[1]
        first, last = min(first, nearest), max(last, nearest)


def _table_head(parts: Sequence[Unit], at: int) -> int:
    while parts[at].row and at and parts[at - 1].row:
        at -= 1
    return at


def units(text: str) -> Iterator[Unit]:
    """The sentences and table rows of a passage, without list marks and rules, in order. At least one."""
    offset, found = 0, False
    for number, line in enumerate(text.split("\n")):
        for start, end, row in _line_units(line):
            found = True
            yield Unit(start=offset + start, end=offset + end, line=number, row=row)
        offset += len(line) + 1
    if not found:
        yield Unit(start=0, end=len(text), line=0, row=False)


def _line_units(line: str) -> Iterator[tuple[int, int, bool]]:
    if line.lstrip().startswith("|"):
        if not _RULE.fullmatch(line):
            inner = line.strip().strip("|").strip()
            start = line.index(inner)
            yield start, start + len(inner), True
        return
    marker = _MARKER.match(line)
    for found in _SENTENCE.finditer(line, marker.end() if marker else 0):
        sentence = found.group().strip()
        if sentence.strip("#*_-=` "):
            start = line.index(sentence, found.start())
            yield start, start + len(sentence), False


def _shown(text: str, parts: Sequence[Unit], best: Unit) -> str:
    """The units as plain text, line by line, the best one in bold."""
    lines: dict[int, list[str]] = {}
    for unit in parts:
        plain = _plain(text[unit.start : unit.end], unit.row)
        lines.setdefault(unit.line, []).append(f"**{plain}**" if unit is best and "`" not in plain else plain)
    return "\n".join("".join(line) for line in lines.values())


def _plain(text: str, row: bool) -> str:
    """Without Markdown's own marks: what is shown is marked up by us alone."""
    text = text.replace("**", "").replace("__", "")
    return " ｜ ".join(cell.strip() for cell in text.split("|")) if row else text
