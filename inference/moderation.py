"""What a check says about an order or a picture: let it through, hold it for a reviewer, refuse it. Pure.

Whoever judges says it in the same words: lists of words, a picture classifier, a language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # for its name only: whoever reads a verdict needs no pictures
    from PIL.Image import Image


class Decision(StrEnum):
    """What is to happen, the mildest first."""

    ALLOW = "allow"  # nothing
    REVIEW = "review"  # it is done, and held until a reviewer decides
    REFUSE = "refuse"  # it is not done, or not shown


class By(StrEnum):
    """Who judged."""

    WORDS = "words"  # a rule of the team's lists; `label` is its name
    MODEL = "model"  # the language model, of the order; `label` is its reason
    PICTURE = "picture"  # the classifier; `label` and `score` are its
    HOUSE = "house"  # every picture is held
    FAILURE = "failure"  # the check itself did not work; `label` says how


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One judgement."""

    decision: Decision
    by: By
    label: str = ""
    score: float | None = None  # 0..1, where the judge gives one
    picture: int = 0  # which one of its job, from 1; 0 = the order as a whole

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": self.decision.value,
            "by": self.by.value,
            "label": self.label,
            "score": self.score,
            "picture": self.picture,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(**{**data, "decision": Decision(data["decision"]), "by": By(data["by"])})


class ImageCheck(Protocol):
    """Judges pictures. May take a while: never call it on the event loop."""

    def check(self, image: Image) -> Verdict:
        """What is to happen with one picture. Raises PictureCheckFailed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """From which score on a classifier's label has a picture held, and from which it is refused; 0..1."""

    review: Mapping[str, float] = field(default_factory=dict)
    refuse: Mapping[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> frozenset[str]:
        """Every label that is looked at."""
        return frozenset({*self.review, *self.refuse})


def weigh(scores: Mapping[str, float], limits: Limits) -> Verdict:
    """The verdict that a classifier's scores come to: the worst counts, of equally bad ones the surest."""
    for decision, reached in ((Decision.REFUSE, limits.refuse), (Decision.REVIEW, limits.review)):
        met = {label: scores[label] for label, least in reached.items() if scores.get(label, 0.0) >= least}
        if met:
            worst = max(met, key=lambda label: met[label])
            return Verdict(decision=decision, by=By.PICTURE, label=worst, score=round(met[worst], 4))
    return Verdict(decision=Decision.ALLOW, by=By.PICTURE)
