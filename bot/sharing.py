"""The shares of a graphics card: what model.yaml says, held against the models' files and the cards that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from bot.opening import text_options
from bot.settings import Settings
from inference.gpu.card import Card, cards
from inference.gpu.needs import image_need, search_need, text_need
from inference.gpu.shares import Shares, Wanted, Way, share
from inference.images.checkpoint_files import BrokenFileError
from inference.images.memory import Need
from inference.images.placement import free_memory
from inference.images.registry import Choice, LoadOptions
from inference.text.registry import chosen

#: What a model is taken to need whose files cannot be read: it will not be loaded, and says why itself.
NOTHING = Need(text_encoder=0, transformer=0, vae=0)

WAYS = {
    Way.ALONE: "no language model computes on this card",
    Way.APART: "each on a card of its own",
    Way.RESIDENT: "both at once, all weights on the card",
    Way.OFFLOAD: "both at once, the image model's parts come from main memory as they are needed",
    Way.SLEEP: "one after the other: the language model lends its memory while pictures are drawn",
}


def wanted(settings: Settings, choice: Choice, *, answers: bool) -> Wanted:
    """What the models need and model.yaml says; `answers`: whether the language model computes there."""
    image, text = settings.model.image, settings.model.text
    try:
        drawing = image_need(choice.path, image.dtype, image.quantization)
    except BrokenFileError:
        drawing = NOTHING
    try:
        answering = text_need(settings.path(text.path)) if answers and text.path else None
    except BrokenFileError:
        answering = None
    return Wanted(
        image=drawing,
        text=answering,
        beside=_beside(settings),
        context=text.max_model_len,
        offload=image.offload,
        fraction=_number(image.memory_fraction),
        utilization=_number(text.gpu_memory_utilization),
        cache=text.kv_cache_gb * 1e9 or None,
        sleep=text.sleep,
    )


def _beside(settings: Settings) -> float:
    """Bytes of the models that the search has on the card, in this process."""
    vectors = settings.model.embedding
    here = [one for one in (vectors, vectors.next, vectors.reranker) if one.engine == "local" and one.device != "cpu"]
    total = 0
    for path in {settings.path(one.path) for one in here}:
        try:
            total += search_need(path)
        except BrokenFileError:  # it will not be loaded, and says why itself
            continue
    return float(total)


def _number(value: float | str) -> float | None:
    return None if isinstance(value, str) else value


def computes(settings: Settings, *, supposed: bool = False) -> bool:
    """Whether the language model computes on this machine's cards; `supposed` = if there were one, with vLLM."""
    options = text_options(settings)
    if supposed and options.engine == "auto":
        return options.path is not None and not options.base_url
    return chosen(options) == "vllm"


def present(settings: Settings, choice: Choice, environ: Mapping[str, str], *, ours: bool = False) -> Shares | None:
    """The plan for the cards that are there; None without any. `ours`: what is used of them, our own server uses."""
    found = cards(environ)
    if ours:
        found = tuple(card.empty() for card in found)
    return shares(settings, choice, found, answers=computes(settings), host=free_memory())


def shares(
    settings: Settings, choice: Choice, cards: Sequence[Card], *, answers: bool, host: float = inf
) -> Shares | None:
    """The plan; None without a card."""
    return share(cards, wanted(settings, choice, answers=answers), host) if cards else None


def drawing(options: LoadOptions, found: Shares | None) -> LoadOptions:
    """How the image model is to be loaded beside the language model; alone it is as model.yaml says."""
    if found is None or found.text is None:
        return options
    if found.way is Way.APART:
        return replace(options, device=f"cuda:{found.image.card.index}")
    return replace(options, offload=found.image.offload, memory_fraction=found.image.fraction)


def rows(found: Shares) -> Iterator[tuple[str, str, str, str]]:
    """The plan as a table: who, how much, which share of the card, and how."""
    for card in found.cards:
        others = f", {gigabytes(card.used)} of it used by others" if card.used else ""
        yield f"card {card.index}", gigabytes(card.total), "", f"{card.name}{others}"
    image, text = found.image, found.text
    how = {"none": "all on the card", "model": "parts come one after another", "group": "comes block by block"}
    least = f"{how[image.offload]}; a picture of 1024x1024 takes {gigabytes(image.least)}"
    yield "pictures", f"up to {gigabytes(image.limit)}", f"{image.fraction:.2f}", least
    if text is not None:
        asleep = ", lent to pictures while nobody asks" if text.sleeps else ""
        holds = f"{text.tokens:,} tokens at once in {gigabytes(text.cache)}{asleep}"
        yield "language model", gigabytes(text.budget), f"{text.utilization:.2f}", holds
    if image.beside:
        yield "search", gigabytes(image.beside), "", "models that make vectors or rank"
    if found.host:
        yield "main memory", gigabytes(found.host), "", "weights that wait there for their turn"
    yield "left", gigabytes(max(0.0, found.left)), "", WAYS[found.way]


def summary(found: Shares) -> str:
    """The plan in a sentence."""
    image, text = found.image, found.text
    said = f"{found.cards[0].name}: pictures up to {gigabytes(image.limit)}"
    said += f" (offload {image.offload})" if image.offload != "none" else ""
    if text is not None:
        said += f", language model {gigabytes(text.budget)} ({text.tokens:,} tokens at once)"
    return f"{said}; {WAYS[found.way]}"


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
