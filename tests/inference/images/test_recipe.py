"""What a picture's file says of how it was made: exact for us, readable for A1111, whatever stands in the prompt."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from inference.images.finish import finish, shown, to_chat_jpeg
from inference.images.recipe import Recipe, carried, parameters, read
from inference.results import ImageResult

PLAIN = Recipe(prompt="a cat", seed=7, steps=8, width=64, height=64, model="Z-Image-Turbo")
#: How A1111 reads the last line (modules/infotext_utils.py): its own words, to be read by its own rules.
A1111 = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def a1111(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and settings, as A1111 takes them."""
    *lines, last = text.strip().split("\n")
    if len(A1111.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    below = False
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("Negative prompt:"):
            below, stripped = True, stripped[16:].strip()
        (negative if below else prompt).append(stripped)
    return "\n".join(prompt), "\n".join(negative), dict(A1111.findall(last))


def master(recipe: Recipe) -> bytes:
    result = ImageResult(image=Image.new("RGB", (64, 64)), seed=7, seconds=0.1, batch_size=1)
    return finish(result, job="17-1", recipe=recipe).data


def drawn(prompt: str, **more: object) -> Recipe:
    return Recipe(**{"prompt": prompt, "seed": 7, "steps": 8, "width": 64, "height": 64, "model": "m"} | more)  # type: ignore[arg-type]


ODD = [
    drawn("一只猫，在月下：静"),
    drawn("two\nlines, and: a colon"),
    drawn("Negative prompt: not so", negative="real\nlines"),
    drawn("a\nSteps: 99, Seed: 1, Size: 1x1, Model: other"),
    drawn("a\rNegative prompt: x\r\nSeed: 1"),
    drawn('quotes " and \\ back'),
    drawn("nul \0 and \x1b and \x7f"),
    drawn("half \ud83d of a pair", negative="\udc00"),
    drawn("猫" * 2000, negative="狗" * 2000),
    drawn("", negative=""),
    drawn("🐈‍⬛ emoji"),
    drawn("a", adapters=(("墨:韵, v2", 0.8), ("b", -1.0)), strength=0.35, cfg=4.5, version="1.2.3", job="17-1"),
    drawn("a", model="Z-Image, Turbo: 8 steps\nSeed: 5"),
]


@pytest.mark.parametrize("recipe", ODD, ids=lambda recipe: repr(recipe.prompt[:20]))
def test_whatever_was_ordered_comes_back_from_every_file(recipe: Recipe) -> None:
    whole = master(recipe)
    for data in (whole, shown(whole, "AI生成"), to_chat_jpeg(whole, 10**6)):
        assert read(data) == recipe


@pytest.mark.parametrize("recipe", ODD, ids=lambda recipe: repr(recipe.prompt[:20]))
def test_a1111_reads_the_same_settings(recipe: Recipe) -> None:
    prompt, negative, found = a1111(parameters(recipe))
    assert (found["Steps"], found["Seed"], found["Size"]) == ("8", "7", "64x64")
    assert ("Denoising strength" in found) == (recipe.strength is not None)
    assert bool(negative) == bool(recipe.negative)
    assert bool(prompt) == bool(recipe.prompt)
    parameters(recipe).encode()  # nothing that UTF-8 cannot carry


def test_the_words_of_a1111() -> None:
    recipe = drawn("a cat", negative="a dog", adapters=(("ink", 0.8),), strength=0.6, job="17-1", version="0.1.0")
    assert parameters(recipe) == (
        "a cat\nNegative prompt: a dog\nSteps: 8, CFG scale: 0, Seed: 7, Size: 64x64, Model: m, "
        'Denoising strength: 0.6, Lora: "ink:0.8", Job: 17-1, Version: moqi 0.1.0'
    )


def test_a_jpeg_keeps_it_where_a1111_looks() -> None:
    data = to_chat_jpeg(master(drawn("一只猫")), 10**6)
    with Image.open(io.BytesIO(data)) as image:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment.startswith(b"UNICODE\0")
    assert comment[8:].decode("utf-16-be").startswith("一只猫\nSteps: 8")


def test_a_recipe_too_long_for_a_jpeg_is_left_out_and_the_picture_stays() -> None:
    data = to_chat_jpeg(master(drawn("猫" * 30_000)), 10**6)
    assert read(data) is None
    assert b"TC260:AIGC" in data


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Recipe,
        prompt=st.text(st.characters(exclude_categories=())),
        negative=st.text(st.characters(exclude_categories=())),
        model=st.text(min_size=1),
        seed=st.integers(0, 2**32 - 1),
        steps=st.integers(1, 100),
        width=st.integers(64, 2048),
        height=st.integers(64, 2048),
        cfg=st.floats(0, 20),
        adapters=st.lists(st.tuples(st.text(min_size=1), st.floats(-4, 4)), max_size=3).map(tuple),
        strength=st.none() | st.floats(0.1, 1),
    )
)
def test_any_recipe_round_trips(recipe: Recipe) -> None:
    again = Recipe.from_json(recipe.to_json())
    assert _joined(again) == _joined(recipe)
    _, _, found = a1111(parameters(recipe))
    assert (found["Seed"], found["Steps"]) == (str(recipe.seed), str(recipe.steps))


def _joined(recipe: Recipe) -> tuple[object, ...]:
    """Two halves of a surrogate pair that came to stand beside each other are one character afterwards."""
    prompt, negative = (one.encode("utf-16", "surrogatepass") for one in (recipe.prompt, recipe.negative))
    return prompt, negative, recipe.model, recipe.seed, recipe.cfg, recipe.adapters, recipe.strength


WRONG = '{"prompt": "a", "seed": "7", "steps": 8, "width": 64, "height": 64, "model": "m"}'


@pytest.mark.parametrize("text", [WRONG, "", "{}", "[]", "null", '{"prompt": 5}', "[" * 9999])
def test_somebody_elses_chunk_is_none(text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("moqi", text)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    assert read(buffer.getvalue()) is None


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_said(data: bytes) -> None:
    with pytest.raises(ValueError, match="no picture"):
        read(data)


def test_a_picture_without_a_recipe_carries_nothing() -> None:
    with Image.open(io.BytesIO(to_chat_jpeg(master(PLAIN), 10**6))) as image:
        assert carried(image).ours
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    assert read(buffer.getvalue()) is None
