"""Whether a model makes the search better on these documents: asked for their own sentences, with a third of the words
left out. Pure.

Fusing in a poor ranking is worse than none: an English model on Chinese documents took right first passages from 93 %
to 39 %. So words alone are searched until a model has shown here what it can do, and the figures say why not.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

QUESTIONS = 200
SHORTEST, LONGEST = 10, 120  # characters of a sentence that is asked for
KEPT = 2 / 3  # of a sentence's words
FEWEST = 20  # passages; among fewer there is nothing to find out, and words find everything
GUESSED = 0.05  # how often a model that guesses may be right
ENOUGH = 0.8  # of what words find must a model find by itself
WORSE = 0.005  # how much less than words both together may find: half a point

_SENTENCE = re.compile(r"[^。！？!?；;\n|]+[。！？!?；;]?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A question whose answer is known: a passage with this sentence in it."""

    sentence: str
    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """At which place the sentence was found by each way, from 1; 0 = not at all."""

    words: int
    meaning: int
    both: int
    seconds: float  # that the question's vector took


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a model may take part, and what that was judged by."""

    reason: str  # why not; empty = it may
    figures: dict[str, Any]


def probes(texts: Sequence[str], cut: Callable[[str], list[str]], seed: int = 8) -> list[Probe]:
    """A question for each text with a sentence to ask for; `cut` cuts it into words. Same texts, same questions."""
    chance = random.Random(seed)
    found = []
    for text in texts:
        sentences = [one for raw in _SENTENCE.findall(text) if SHORTEST <= len(one := raw.strip()) <= LONGEST]
        if sentences:
            sentence = chance.choice(sentences)
            found.append(Probe(sentence=sentence, question=_shortened(cut(sentence), chance)))
    return found


def _shortened(words: list[str], chance: random.Random) -> str:
    """Two thirds of the words, in their order."""
    said = [place for place, word in enumerate(words) if word.strip()]
    kept = set(chance.sample(said, math.ceil(len(said) * KEPT)))
    return "".join(word for place, word in enumerate(words) if place in kept or not word.strip()).strip()


def depth(passages: int) -> int:
    """How many places count: ten, and fewer where a model that guesses would stand in ten too often."""
    return max(1, min(10, int(passages * GUESSED)))


def place(sentence: str, texts: Sequence[str]) -> int:
    """Where the first text with this sentence stands, from 1; 0 = nowhere."""
    return next((rank for rank, text in enumerate(texts, 1) if sentence in text), 0)


def judge(ranks: Sequence[Ranks], passages: int, patience: float, *, early: bool = False) -> Verdict:
    """The verdict on an embedder. `patience`: seconds that a question waits for its vector.

    `early`: only some passages have vectors. It finds a sentence among them more easily than among all, so one that
    finds too few already can be refused at once; nothing else is known yet.
    """
    if passages < FEWEST or not ranks:
        reason = f"There are {passages} passages: among fewer than {FEWEST} it cannot be shown that it helps."
        return Verdict(reason=reason, figures={"passages": passages, "questions": len(ranks)})
    near, far = min(5, depth(passages)), depth(passages)
    words, meaning = _share([one.words for one in ranks], far), _share([one.meaning for one in ranks], far)
    before, after = _share([one.words for one in ranks], near), _share([one.both for one in ranks], near)
    slow = sorted(one.seconds for one in ranks)[int(len(ranks) * 0.95)]
    figures = {
        "passages": passages,
        "questions": len(ranks),
        "places": far,
        "words": round(words, 4),
        "meaning": round(meaning, 4),
        "near_places": near,
        "words_near": round(before, 4),
        "both_near": round(after, 4),
        "question_p95_ms": round(slow * 1000, 1),
    }
    reason = ""
    if meaning < ENOUGH * words:
        reason = (
            f"By itself it finds {_percent(meaning)} of the sentences among the first {far}, words find "
            f"{_percent(words)}: it does not know this language or these subjects well enough."
        )
    elif after < before - WORSE and not early:
        reason = (
            f"Words alone find {_percent(before)} of the sentences among the first {near}, together with it "
            f"{_percent(after)}: it would make the search worse."
        )
    elif slow > patience and not early:
        reason = f"A question's vector takes {slow:.1f} s, and a question waits {patience:g} s (embedding.patience)."
    return Verdict(reason=reason, figures=figures)


def judge_ranks(before: Sequence[int], after: Sequence[int], seconds: Sequence[float], patience: float) -> Verdict:
    """The verdict on a reranker, by the places of the sentences without and with it."""
    if not before:
        return Verdict(reason=f"There are fewer than {FEWEST} passages to find anything out with.", figures={})
    first, mrr = (_share(before, 1), _share(after, 1)), (_mrr(before), _mrr(after))
    slow = sorted(seconds)[int(len(seconds) * 0.95)]
    figures = {
        "questions": len(before),
        "first": round(first[0], 4),
        "first_ranked": round(first[1], 4),
        "mrr": round(mrr[0], 4),
        "mrr_ranked": round(mrr[1], 4),
        "p95_ms": round(slow * 1000, 1),
    }
    reason = ""
    if slow > patience:
        reason = f"Ranking takes {slow:.1f} s, and a question waits {patience:g} s (embedding.reranker.patience)."
    if mrr[1] < mrr[0] - WORSE:
        reason = (
            f"The right passage comes first for {_percent(first[0])} of the sentences, ranked by it for "
            f"{_percent(first[1])}: it would make the order worse."
        )
    return Verdict(reason=reason, figures=figures)


def _share(places: Sequence[int], k: int) -> float:
    return sum(1 <= place <= k for place in places) / len(places)


def _mrr(places: Sequence[int]) -> float:
    return sum(1 / place for place in places if place) / len(places)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
