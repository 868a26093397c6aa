"""What is asked of an engine. Pure values; who asked and where the answer goes lives elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from storage.records import ScoredPassage

if TYPE_CHECKING:  # for its name only: the chat side needs no pictures
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRequest:
    """One picture. Sizes in pixels, validated against the model's card before they come here."""

    prompt: str
    width: int
    height: int
    steps: int
    seed: int  # 0 .. 2**32-1; the noise is made on the CPU, so one seed is one picture on every machine
    cfg: float = 0.0
    negative: str = ""
    adapters: tuple[tuple[str, float], ...] = ()  # (name, weight)
    strength: float | None = None  # how much of `source` is drawn anew, above 0 to 1; None = there is no source
    source: Image | None = None  # the picture to begin with, RGB, width x height; not known before it is read

    @property
    def worn(self) -> tuple[tuple[str, float], ...]:
        """The adapters that act: in one order, whatever was written; without those of weight 0, which do nothing."""
        return tuple(sorted((name, round(weight, 4)) for name, weight in self.adapters if round(weight, 4)))

    @property
    def passes(self) -> int:
        """How many steps are really run: a source is taken up on the way."""
        return passes(self.steps, self.strength)


def passes(steps: int, strength: float | None) -> int:
    """How many of `steps` are run where a source is drawn anew by `strength`: at least 1, counted as diffusers does."""
    return steps if strength is None else max(1, steps - int(max(steps - min(steps * strength, steps), 0)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One earlier exchange of a conversation."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn, as a language model's chat template takes it."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRequest:
    """One question, with the passages this asker may see (best first) and the earlier turns (oldest first)."""

    question: str
    passages: tuple[ScoredPassage, ...] = ()
    history: tuple[Turn, ...] = field(default=())
    language: str = "zh"  # zh | en: the language of what the engine itself says
    standalone: str = ""  # the question without what it leans on, as it was searched for; empty = as it stands
    salt: str = ""  # stands for what its readers may read: engines share what they have read among equal ones only
