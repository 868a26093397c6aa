"""Measuring the knowledge base on the team's own questions: what is found, and what is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot import kb
from bot.kb import PUBLIC, KnowledgeError
from inference.grounding.cite import normalise
from inference.requests import AnswerRequest
from inference.results import Answer
from inference.text.extractive import answerable
from inference.text.model import TextModel
from scheduler.retrieval import Retrieval
from scheduler.runners.ask import PASSAGES
from storage.database import Database
from storage.records import ScoredPassage

#: Passages looked at to find ten different documents.
DEPTH = 30

_QUANTILES = (("p50_ms", 0.50), ("p99_ms", 0.99))


class BadQuestions(KnowledgeError):
    """A line of the questions is not {"question": "…", "documents": ["…"]}."""

    def __init__(self, line: int) -> None:
        super().__init__(f'Line {line} is not a JSON object {{"question": "…", "documents": ["name", …]}}. Correct it.')
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One line of an evaluation."""

    question: str
    documents: frozenset[str]  # that answer it; none = must be refused
    answer: str = ""  # what a right answer says; empty = not written


def read_questions(lines: Iterable[str]) -> list[Question]:
    """Questions from JSON lines; blank lines do not count. Raises `BadQuestions`."""
    return [_question(line, number) for number, line in enumerate(lines, 1) if line.strip()]


async def evaluate(
    db: Database,
    questions: Sequence[Question],
    *,
    principals: frozenset[str] = PUBLIC,
    retrieval: Retrieval | None = None,
    model: TextModel | None = None,
    passages: int = PASSAGES,
    report: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Recall, rank and time of the search over questions whose documents are known.

    Ranks count different documents. Questions without documents must be refused; where there are any, there is also
    `refusal_precision` (of what was refused, how much had to be) and `refusal_recall` (of what had to be, how much
    was). With a `model` every question is answered too, from so many `passages`: see `_answers`; then its own refusals
    count.
    `report` is called after each question.
    """
    ranks, times, refused, answers = [], [], [], []
    for one in questions:
        began = time.perf_counter()
        found = await kb.search(db, one.question, k=DEPTH, principals=principals, retrieval=retrieval)
        times.append(time.perf_counter() - began)
        if model is not None:
            answers.append(await _answered(model, one, found[:passages]))
        refused.append(not answers[-1].answer.grounded if answers else not answerable(found))
        if one.documents:
            ranks.append(_rank(found, one.documents))
        report()
    metrics: dict[str, float] = {"n": len(questions), **_ranking(ranks), **_timing(times)}
    if len(ranks) < len(questions):
        metrics |= _refusal(refused, [not one.documents for one in questions])
    return metrics | _answers(answers) if answers else metrics


# --- answers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answered:
    question: Question
    answer: Answer
    first: float  # seconds until the first sentence was shown
    whole: float  # seconds


async def _answered(model: TextModel, question: Question, found: Sequence[ScoredPassage]) -> _Answered:
    began, first = time.perf_counter(), 0.0
    async for piece in model.stream(AnswerRequest(question=question.question, passages=tuple(found))):
        first = first or time.perf_counter() - began
        if isinstance(piece, Answer):
            return _Answered(question=question, answer=piece, first=first, whole=time.perf_counter() - began)
    raise RuntimeError(f"text engine {model.card.name!r} ended without an answer")


def _answers(given: Sequence[_Answered]) -> dict[str, float]:
    """Of the questions that documents answer: how many were (`answered`), by a right document (`cited_right`), with
    what the file says a right answer says (`answer_right`, where it says that); how often the model failed and passages
    took its place (`interrupted`); milliseconds until the first sentence and the whole answer."""
    wanted = [one for one in given if one.question.documents]
    told = [one for one in wanted if one.question.answer]
    cited = [_cites(one) for one in wanted]
    shares = {
        "answered": [one.answer.grounded for one in wanted],
        "cited_right": cited,
        "answer_right": [normalise(one.question.answer) in normalise(one.answer.text) for one in told],
        "interrupted": [one.answer.interrupted for one in given],
    }
    times = {"first": [one.first for one in given], "answer": [one.whole for one in given]}
    return {
        **{name: round(sum(values) / len(values), 4) for name, values in shares.items() if values},
        **{f"{name}_{at}": value for name, seconds in times.items() for at, value in _timing(seconds).items()},
    }


def _cites(one: _Answered) -> bool:
    return any(citation.document in one.question.documents for citation in one.answer.citations)


# --- numbers ----------------------------------------------------------------------------------------------------


def _question(line: str, number: int) -> Question:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadQuestions(number) from error
    match data:
        case {"question": str(question), "documents": list(names)} if all(isinstance(name, str) for name in names):
            said = data.get("answer", "")
            if isinstance(said, str):
                return Question(question=question, documents=frozenset(names), answer=said)
    raise BadQuestions(number)


def _rank(found: Sequence[ScoredPassage], right: frozenset[str]) -> int:
    """Where the first right document stands among the different documents found, from 1; 0 = nowhere."""
    names = dict.fromkeys(one.passage.document for one in found)
    return next((rank for rank, name in enumerate(names, 1) if name in right), 0)


def _ranking(ranks: Sequence[int]) -> dict[str, float]:
    count = max(len(ranks), 1)
    recall = {f"recall@{k}": round(sum(1 <= rank <= k for rank in ranks) / count, 4) for k in (1, 5, 10)}
    return {**recall, "mrr@10": round(sum(1 / rank for rank in ranks if 1 <= rank <= 10) / count, 4)}


def _timing(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    at = {name: ordered[min(int(len(ordered) * share), len(ordered) - 1)] for name, share in _QUANTILES}
    return {name: round(value * 1000, 3) for name, value in at.items()}


def _refusal(refused: Sequence[bool], unanswerable: Sequence[bool]) -> dict[str, float]:
    right = sum(a and b for a, b in zip(refused, unanswerable, strict=True))
    precision = right / sum(refused) if any(refused) else 0.0
    return {"refusal_precision": round(precision, 4), "refusal_recall": round(right / sum(unanswerable), 4)}
