"""Decides whether a request fits a model's card, and cleans prompts. Pure."""

from __future__ import annotations

from collections.abc import Collection

from inference.errors import BadAdapter, BadImageRequest
from inference.images.model import ModelCard
from inference.requests import ImageRequest

MAX_SEED = 2**32 - 1


def check_request(request: ImageRequest, card: ModelCard) -> None:
    """Refuse what the model would misread. Raises BadImageRequest with the numbers that are allowed.

    The pipeline itself does not check enough: it takes 0 for 1024 and fails on negatives somewhere inside torch.
    """
    if not request.prompt.strip():
        raise BadImageRequest("The prompt is empty.", "Describe the picture in a few words.")
    _check_size(request.width, request.height, card)
    if not 1 <= request.steps <= card.max_steps:
        raise BadImageRequest(f"{request.steps} steps are not possible.", f"Use 1 to {card.max_steps}.")
    if not 0 <= request.seed <= MAX_SEED:
        raise BadImageRequest(f"The seed {request.seed} is out of range.", f"Use 0 to {MAX_SEED}.")
    _check_source(request)
    known = [one.name for one in card.adapters]
    unknown = [name for name, _ in request.adapters if name not in known]
    if unknown:
        step = f"Available: {', '.join(known) or 'none'}."
        raise BadAdapter("gone", f"There is no style adapter named {unknown[0]}.", step)


def _check_size(width: int, height: int, card: ModelCard) -> None:
    rule = f"Sides are multiples of {card.multiple} from {card.min_side} to {card.max_side}."
    for side in (width, height):
        if side % card.multiple or not card.min_side <= side <= card.max_side:
            raise BadImageRequest(f"The size {width}x{height} is not possible.", rule)
    if width * height > card.max_pixels:
        rule = f"At most {card.max_pixels:,} pixels."
        raise BadImageRequest(f"The size {width}x{height} has {width * height:,} pixels.", rule)


def _check_source(request: ImageRequest) -> None:
    source, strength = request.source, request.strength
    if (source is None) != (strength is None):
        raise BadImageRequest("A picture to begin with and its strength go together.", "Name both, or neither.")
    if strength is not None and not 0 < strength <= 1:
        raise BadImageRequest(f"The strength {strength:g} is not possible.", "Use a number above 0, up to 1.")
    if source is not None and (source.size != (request.width, request.height) or source.mode != "RGB"):
        have = f"{source.width}x{source.height} {source.mode}"
        need = f"It must be RGB with {request.width}x{request.height} pixels."
        raise BadImageRequest(f"The picture to begin with is {have}.", need)


def clean_prompt(prompt: str, special_tokens: Collection[str]) -> str:
    """The prompt without the tokenizer's special tokens and without half characters.

    A user who types <|im_end|> would end their own turn in the chat template. Removing is repeated until nothing is
    left to remove, since taking one token out can put another together.
    """
    text = prompt.encode("utf-8", "ignore").decode("utf-8")  # lone surrogates crash the tokenizer
    while any(token in text for token in special_tokens):
        for token in special_tokens:
            text = text.replace(token, "")
    return text.strip()
