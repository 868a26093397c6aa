"""Who gets how much of a graphics card. Pure: what the models need and what model.yaml says in, a plan out.

The language model reserves its share when it starts and keeps it; what pictures get is an upper limit. Where both do
not fit as they are, three ways are tried in this order: the parts of the image model wait in main memory and come one
after another as they are needed; the language model sleeps while pictures are drawn (its weights in main memory, its
cache dropped); the image model comes block by block. Vendors of cards count in 1024s and models in 1000s: bytes here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import floor, inf
from typing import Literal

from inference.gpu.card import Card
from inference.gpu.needs import TextNeed
from inference.images.memory import DECODE_SEEN, GIB, MEGAPIXEL, OFFERED, Need, Tier

MARGIN = 1.0 * GIB  # given to nobody: contexts, fragmentation, what the figures do not know
TEXT_OVERHEAD = 2.0 * GIB  # the engine's context, graphs and activations: 1.5 to 2.5 GB are published
PARKED = 0.75 * GIB  # what this process keeps on the card while its pictures' weights are in main memory
ASLEEP = 1.25 * GIB  # what a sleeping engine keeps there: 1.19 GiB were seen
FULL_AT_ONCE = 16  # questions of the full length: a larger cache would hold nothing more
STEP = 0.001  # to which shares are rounded down


class Way(StrEnum):
    """How the engines lie beside each other."""

    ALONE = "alone"  # no language model computes on this machine's cards
    APART = "apart"  # each has a card of its own
    RESIDENT = "resident"  # both keep all their weights on the card
    OFFLOAD = "offload"  # the image model's parts wait in main memory until they are needed
    SLEEP = "sleep"  # the language model lends its memory while pictures are drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the two models need, and what model.yaml says. None as a share: as much as is sensible."""

    image: Need
    text: TextNeed | None  # None = no language model computes on this machine's cards
    beside: float = 0.0  # bytes that models of the search take on the pictures' card, in this process
    context: int = 8192  # tokens of the longest question with its passages and its answer
    offload: str = "auto"  # of the image model: auto | none | model | group
    fraction: float | None = None  # of the card, for pictures
    utilization: float | None = None  # of the card, for the language model
    cache: float | None = None  # bytes for what the language model reads and writes, instead of a share of the card
    sleep: bool | Literal["auto"] = "auto"  # whether it may lend its memory; True = it does even where both fit


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageShare:
    """What pictures get."""

    card: Card
    offload: str  # none | model | group
    limit: float  # bytes
    least: float  # bytes that a picture of one megapixel takes
    beside: float = 0.0  # bytes of models of the search, in the same process

    @property
    def fraction(self) -> float:
        """Of the card, for this process."""
        return min(1.0, _share(self.limit + self.beside, self.card))


@dataclass(frozen=True, kw_only=True, slots=True)
class TextShare:
    """What the language model gets."""

    card: Card
    budget: float  # bytes, all of it reserved at its start
    cache: float  # bytes of these for what it reads and writes
    tokens: int  # that the cache holds
    least: float  # bytes with which one question of the full length fits
    sleeps: bool  # it lends its memory to pictures

    @property
    def utilization(self) -> float:
        return _share(self.budget, self.card)


def _share(size: float, card: Card) -> float:
    """As it is written in settings, never more than it is."""
    return floor(size / card.total / STEP + 1e-6) / round(1 / STEP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """The plan. With a `problem` the language model is not started; pictures are drawn all the same."""

    cards: tuple[Card, ...]
    way: Way
    image: ImageShare
    text: TextShare | None = None
    host: float = 0.0  # bytes of main memory that wait there for their turn on the card
    problem: str = ""
    next_step: str = ""

    @property
    def left(self) -> float:
        """Bytes of the pictures' card that nobody has while both compute."""
        beside = self.text.budget if self.text and self.way in (Way.RESIDENT, Way.OFFLOAD) else 0.0
        return self.image.card.total - self.image.card.used - self.image.limit - self.image.beside - beside


def share(cards: Sequence[Card], wanted: Wanted, host: float = inf) -> Shares:
    """The first way in which both fit; `host`: bytes of main memory that are free. There is at least one card."""
    found = _fitting(cards, wanted, host)
    if found is not None:
        return found
    step = next((said for other, room, said in _relaxed(wanted, host) if _fitting(cards, other, room)), _SMALLER)
    problem = _lacking(cards[0], wanted, host)
    return replace(_alone(cards[0], replace(wanted, text=None)), problem=problem, next_step=step)


def _fitting(cards: Sequence[Card], wanted: Wanted, host: float) -> Shares | None:
    if wanted.text is None:
        return _alone(cards[0], wanted)
    if len(cards) > 1:
        return _apart(cards, wanted)
    return next(
        (found for way, offload in _ways(wanted) if (found := _held(cards[0], wanted, way, offload, host))), None
    )


def _ways(wanted: Wanted) -> Iterator[tuple[Way, str]]:
    """Best first; those that model.yaml rules out are left out."""
    ways = [(Way.RESIDENT, "none"), (Way.OFFLOAD, "model"), (Way.SLEEP, "model"), (Way.OFFLOAD, "group")]
    if wanted.offload == "group":
        ways.append((Way.SLEEP, "group"))
    for way, offload in ways:
        allowed = way is Way.SLEEP if wanted.sleep is True else way is not Way.SLEEP or wanted.sleep == "auto"
        if allowed and wanted.offload in ("auto", offload):
            yield way, offload


def _alone(card: Card, wanted: Wanted) -> Shares:
    usable = _usable(card, wanted) if wanted.fraction is None else wanted.fraction * card.total
    ways = ("none", "model", "group") if wanted.offload == "auto" else (wanted.offload,)
    offload = next((way for way in ways if wanted.image.peak(way, MEGAPIXEL) <= usable), ways[-1])
    least = wanted.image.peak(offload, MEGAPIXEL)
    image = ImageShare(card=card, offload=offload, limit=usable, least=least, beside=wanted.beside)
    return Shares(cards=(card,), way=Way.ALONE, image=image)


def _apart(cards: Sequence[Card], wanted: Wanted) -> Shares | None:
    """vLLM takes the first card that it sees, pictures the second."""
    first, second = cards[:2]
    budget = _budget(first, wanted, 0.0, _usable(first, replace(wanted, beside=0.0)))
    if budget is None:
        return None
    found = _alone(second, replace(wanted, text=None))
    return replace(found, cards=(first, second), way=Way.APART, text=_text(first, wanted, budget, sleeps=False))


def _held(card: Card, wanted: Wanted, way: Way, offload: str, host: float) -> Shares | None:
    """Both on one card in this way, if they fit."""
    usable, least = _usable(card, wanted), wanted.image.peak(offload, MEGAPIXEL)
    waiting = _waiting(wanted, way, offload)
    if waiting > host:
        return None
    if way is Way.SLEEP:
        limit = _limit(card, wanted, usable - ASLEEP)
        budget = _budget(card, wanted, PARKED, usable)
    else:
        comfortable = wanted.image.peak(offload, OFFERED[Tier.HIGH], tiled=True, decode=DECODE_SEEN)
        kept = least if wanted.fraction is None else wanted.fraction * card.total
        budget = _budget(card, wanted, kept, usable, spared=comfortable)
        limit = 0.0 if budget is None else _limit(card, wanted, usable - budget)
    if budget is None or limit < least:
        return None
    return Shares(
        cards=(card,),
        way=way,
        image=ImageShare(card=card, offload=offload, limit=limit, least=least, beside=wanted.beside),
        text=_text(card, wanted, budget, sleeps=way is Way.SLEEP),
        host=waiting,
    )


def _usable(card: Card, wanted: Wanted) -> float:
    return card.total - card.used - wanted.beside - MARGIN


def _limit(card: Card, wanted: Wanted, room: float) -> float:
    """Bytes for pictures; 0 where less than was written is there."""
    if wanted.fraction is None:
        return room
    return wanted.fraction * card.total if wanted.fraction * card.total <= room else 0.0


def _budget(card: Card, wanted: Wanted, taken: float, usable: float, spared: float = 0.0) -> float | None:
    """Bytes for the language model beside `taken` ones, if it fits; what pictures like to have is `spared` for them."""
    least, most = _least(wanted), _least(wanted, FULL_AT_ONCE)
    if wanted.cache is not None:
        budget = _weights(wanted) + wanted.cache
    elif wanted.utilization is not None:
        budget = wanted.utilization * card.total
    else:
        budget = max(least, min(most, usable - max(taken, spared)))
    return budget if least <= budget <= usable - taken else None


def _least(wanted: Wanted, questions: int = 1) -> float:
    """Bytes that the language model takes with so many questions of the full length in its cache."""
    assert wanted.text is not None, "asked only where there is one"
    return _weights(wanted) + questions * wanted.context * wanted.text.token


def _weights(wanted: Wanted) -> float:
    """Bytes that it takes before it has read anything."""
    assert wanted.text is not None, "asked only where there is one"
    return wanted.text.weights + TEXT_OVERHEAD


def _text(card: Card, wanted: Wanted, budget: float, *, sleeps: bool) -> TextShare:
    assert wanted.text is not None, "asked only where there is one"
    cache = budget - _weights(wanted)
    tokens = int(cache // wanted.text.token)
    return TextShare(card=card, budget=budget, cache=cache, tokens=tokens, least=_least(wanted), sleeps=sleeps)


def _waiting(wanted: Wanted, way: Way, offload: str) -> float:
    """Bytes of weights that lie in main memory; what comes block by block is pinned there besides."""
    assert wanted.text is not None, "asked only where there is one"
    image = {"none": 0.0, "model": 1.0, "group": 2.0}[offload] * wanted.image.weights("none")
    return image + (wanted.text.weights if way is Way.SLEEP else 0.0)


# --- what is said when nothing fits -----------------------------------------------------------------------------

_SMALLER = (
    "Choose a smaller or more strongly quantised language model (AWQ, FP8), or serve it on another machine "
    "(text.engine: openai, text.base_url)."
)


def _relaxed(wanted: Wanted, host: float) -> Iterator[tuple[Wanted, float, str]]:
    """What could be changed, the least painful first, and the sentence that says so."""
    if wanted.cache is not None:
        yield replace(wanted, cache=None), host, "Set text.kv_cache_gb to 0: then both fit."
    shared = replace(wanted, fraction=None, utilization=None, cache=None)
    yield shared, host, "Set image.memory_fraction and text.gpu_memory_utilization to auto: then both fit."
    yield replace(shared, offload="auto"), host, "Set image.offload and both memory shares to auto: then both fit."
    yield replace(shared, sleep="auto"), host, "Set text.sleep to auto: then both fit, one after the other."
    free = replace(shared, offload="auto", sleep="auto")
    yield free, host, "Set image.offload, text.sleep and both memory shares to auto: then both fit."
    short = max(512, wanted.context // 4)
    yield replace(free, context=short), host, f"Set text.max_model_len to {short}: then both fit."
    needed = min((_waiting(wanted, way, offload) for way, offload in _ways(free) if way is not Way.RESIDENT), default=0)
    yield free, inf, f"Add main memory, or free some: {needed / 1e9:.0f} GB of weights wait there for their turn."


def _lacking(card: Card, wanted: Wanted, host: float) -> str:
    least = min(wanted.image.peak(offload, MEGAPIXEL) for _, offload in _ways(wanted)) if any(_ways(wanted)) else inf
    said = f"{card.name} has {card.total / 1e9:.1f} GB"
    if card.used:
        said += f", {card.used / 1e9:.1f} of them used by others"
    if wanted.beside:
        said += f", {wanted.beside / 1e9:.1f} for models of the search"
    text = f"the language model takes at least {_least(wanted) / 1e9:.1f}"
    image = "" if least == inf else f" and pictures {least / 1e9:.1f}"
    written = [
        f"{name} is {value:g}"
        for name, value in (
            ("image.memory_fraction", wanted.fraction),
            ("text.gpu_memory_utilization", wanted.utilization),
            ("text.kv_cache_gb", None if wanted.cache is None else wanted.cache / 1e9),
        )
        if value is not None
    ]
    memory = "" if host == inf else f"; {host / 1e9:.0f} GB of main memory are free"
    shares = f" ({', '.join(written)})" if written else ""
    return f"The language model does not fit beside the image model: {said}, {text}{image}{shares}{memory}."
