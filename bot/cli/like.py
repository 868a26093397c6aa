"""`moqi draw --like FILE`: the order that draws a picture of ours again, by the recipe in its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.common import Exit, Failed
from bot.commands.clean import one_line
from bot.commands.flags import take_flags
from bot.commands.values import Mistake

if TYPE_CHECKING:  # for its name only: Pillow is loaded when a picture is read
    from inference.images.recipe import Recipe


def order(file: str, more: str) -> str:
    """What to say to have the picture in `file` drawn again; the flags in `more` count instead of its own.

    Raises Failed.
    """
    recipe = _recipe(file)
    try:
        given = take_flags(more)
    except Mistake:
        return more  # said by the one who reads the whole command
    if given.text:
        raise Failed(f"--like draws the description in {file}: leave yours out, or leave --like out", Exit.USAGE)
    if recipe.strength is not None and "from" not in given.flags:
        raise Failed(f"{file} began with another picture: add --from with that one, a file or like 17.2", Exit.USAGE)
    for quote in ("", '"', "'"):
        text = _said(recipe, quote, more, given.flags)
        if _means(text, recipe.prompt, given.flags.get("neg", recipe.negative)):
            return text
    raise Failed(f"the description in {file} cannot be said as a command: copy what you need of it", Exit.USAGE)


def _recipe(file: str) -> Recipe:
    from inference.images.recipe import read

    try:
        recipe = read(Path(file).expanduser().read_bytes())
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}", Exit.USAGE) from error
    except ValueError as error:
        raise Failed(f"{file} {error}", Exit.USAGE) from error
    if recipe is None:
        step = "thumbnails, private pictures and what a chat has encoded anew do not. Use the downloaded original."
        raise Failed(f"{file} does not say how it was made: {step}", Exit.USAGE)
    return recipe


def _said(recipe: Recipe, quote: str, more: str, given: Mapping[str, str]) -> str:
    """The flags of the recipe that were not given otherwise, and behind a lone -- its description."""
    own = {
        "size": "" if "ar" in given else f"{recipe.width}x{recipe.height}",
        "seed": str(recipe.seed),
        "steps": str(recipe.steps),
        "cfg": f"{recipe.cfg:g}" if recipe.cfg else "",
        "neg": f"{quote}{recipe.negative}{quote}" if recipe.negative else "",
        "lora": ",".join(f"{name}:{weight:g}" for name, weight in recipe.adapters),
        "strength": "" if recipe.strength is None else f"{recipe.strength:g}",
    }
    flags = [f"--{name} {value}" for name, value in own.items() if value and name not in given]
    return " ".join(filter(None, (more, *flags, "--", recipe.prompt)))


def _means(text: str, prompt: str, negative: str) -> bool:
    """Whether it is read as it is meant: a description may hold anything, quotes and flags among it."""
    try:
        taken = take_flags(text)
    except Mistake:
        return False
    return taken.text == one_line(prompt) and taken.flags.get("neg", "") == one_line(negative)
