"""What is asked of an engine. Pure values; who asked and where the answer goes lives elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.records import ScoredPassage


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One earlier exchange of a conversation."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRequest:
    """One question, with the passages this asker may see (best first) and the earlier turns (oldest first)."""

    question: str
    passages: tuple[ScoredPassage, ...] = ()
    history: tuple[Turn, ...] = field(default=())
    language: str = "zh"  # zh | en: the language of what the engine itself says
