"""`moqi draw --like FILE`: the recipe in a picture's file as an order, whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bot.cli.common import Exit, Failed
from bot.cli.like import order
from bot.commands import Draw, Rules, parse
from inference.images.finish import finish
from inference.images.recipe import Recipe
from inference.results import ImageResult

CAT = Recipe(prompt="一只猫", seed=7, steps=6, width=512, height=768, model="m")
RULES = Rules(adapters=(("ink", 1.0),))


def file_of(folder: Path, recipe: Recipe | None) -> str:
    path = folder / "a.png"
    result = ImageResult(image=Image.new("RGB", (64, 64)), seed=7, seconds=0.1, batch_size=1)
    path.write_bytes(finish(result, job="17-1", recipe=recipe).data)
    return str(path)


def drawn(folder: Path, more: str = "", **changes: object) -> Draw:
    """What the order is read as."""
    recipe = Recipe(**{name: getattr(CAT, name) for name in CAT.__dataclass_fields__} | changes)
    found = parse(f"/draw {order(file_of(folder, recipe), more)}", RULES)
    assert isinstance(found, Draw), found
    return found


def test_the_recipe_is_the_order(tmp_path: Path) -> None:
    found = drawn(tmp_path, negative="模糊, 水印", adapters=(("ink", 0.5),))
    assert (found.prompt, found.negative, found.seed, found.steps) == ("一只猫", "模糊, 水印", 7, 6)
    assert (found.width, found.height, found.adapters) == (512, 768, (("ink", 0.5),))


@pytest.mark.parametrize("prompt", ["-- a --seed 99 b", '5" and “quoted', "画 --private", "a: b, c", "--size 1x1"])
def test_a_description_is_not_read_as_flags(tmp_path: Path, prompt: str) -> None:
    found = drawn(tmp_path, prompt=prompt, negative='no "quotes" --seed')
    assert (found.prompt, found.seed, found.private) == (prompt, 7, False)


def test_what_is_said_counts_instead(tmp_path: Path) -> None:
    found = drawn(tmp_path, "--seed 9 --ar 1:1 --private --neg 狗", negative="模糊")
    assert (found.seed, found.width == found.height, found.private, found.negative) == (9, True, True, "狗")


@pytest.mark.parametrize(
    ("recipe", "more", "said"),
    [
        (None, "", "does not say how it was made"),
        (CAT, "一只狗", "leave yours out"),
        (Recipe(prompt="猫", seed=7, steps=8, width=64, height=64, model="m", strength=0.6), "", "add --from"),
    ],
)
def test_what_cannot_be_drawn_again_is_said(tmp_path: Path, recipe: Recipe | None, more: str, said: str) -> None:
    with pytest.raises(Failed, match=said) as caught:
        order(file_of(tmp_path, recipe), more)
    assert caught.value.code == Exit.USAGE


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot read"):
        order(str(tmp_path / "gone.png"), "")
    (tmp_path / "a.txt").write_text("no picture")
    with pytest.raises(Failed, match="no picture"):
        order(str(tmp_path / "a.txt"), "")
