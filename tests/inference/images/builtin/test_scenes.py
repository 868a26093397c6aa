"""The small world of the practice model: scenes, captions and pictures agree, and the judge tells right from wrong."""

from __future__ import annotations

import random
import re
from dataclasses import fields, replace
from typing import get_args

import numpy as np
import pytest

from inference.images.builtin.captions import caption
from inference.images.builtin.judge import Verdict, judge, look
from inference.images.builtin.lab import Pixels, contrast
from inference.images.builtin.painting import paint
from inference.images.builtin.scene import CLEAR, Figure, Scene, is_held_out, sample
from inference.images.builtin.vocabulary import (
    COLOURS,
    EN_OPENINGS_HELD,
    PLACES,
    RGB,
    SHAPES,
    SIDES,
    SIZES,
    STYLES,
    ZH_OPENINGS_HELD,
    Colour,
    Language,
    Place,
    Relation,
    Shape,
    Size,
    Style,
    Term,
)
from inference.images.builtin.world import known

LANGUAGES: tuple[Language, ...] = ("zh", "en")
RED_CIRCLE = Figure(shape="circle", colour="red")
TERMS = [term for group in (COLOURS, SHAPES, SIZES, PLACES, SIDES, STYLES) for term in group.values()]


def painted(scene: Scene, seed: int = 0, width: int = 128, height: int = 128) -> Pixels:
    return paint(scene, random.Random(seed), width, height)


# The world -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        "一个红色的圆,蓝色背景",
        "一个红色的圆，蓝色背景。",
        "红圆 蓝底",
        "请帮我画三颗黄色的星星",
        "左边红色的圆，右边绿色的星",
        "大红圆",
        "１个绿方块",
        "一弯月牙",
        "红色",
        "A RED CIRCLE on blue!",
        "please draw two small hollow hearts",
        "a green star to the left of a pink cross",
    ],
)
def test_a_prompt_of_this_world_is_known(prompt: str) -> None:
    assert known(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "赛博朋克城市夜景",
        "一只金毛犬",
        "a cat",
        "红色的猫",
        "a red cat on blue",
        "星空",
        "红楼梦",
        "画一张图",
        "a picture",
        "bright",
        "左上角",
        "7",
        "",
        "！？",
    ],
)
def test_a_prompt_from_elsewhere_is_not(prompt: str) -> None:
    assert not known(prompt)


def test_every_caption_is_known() -> None:
    rng = random.Random(1)
    for number in range(2000):
        held = number % 2 == 1
        text = caption(sample(rng, held_out=held), rng, language=LANGUAGES[number // 2 % 2], held_out=held)
        assert known(text), text


# Words and scenes ----------------------------------------------------------------------------------------------------


def test_there_is_a_word_in_both_languages_for_everything() -> None:
    assert set(COLOURS) == set(RGB) == set(get_args(Colour))
    assert set(SHAPES) == set(get_args(Shape))
    assert (set(SIZES), set(STYLES), set(PLACES)) == (set(get_args(Size)), set(get_args(Style)), set(get_args(Place)))
    assert all(term.zh and term.en for term in TERMS)


def test_colours_are_far_apart() -> None:
    pairs = [(one, other) for one in COLOURS for other in COLOURS if one < other]
    assert min(contrast(one, other) for one, other in pairs) > 35


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.en[0])
def test_a_held_out_word_is_new_and_can_be_guessed(term: Term) -> None:
    assert not set(term.zh_held) & set(term.zh)
    assert not set(term.en_held) & set(term.en)
    assert all(set(word) & set("".join(term.zh)) for word in term.zh_held)
    assert all(
        any(word[:3] in known_word for known_word in term.en for word in re.split("[ -]", held))
        for held in term.en_held
    )


def test_training_and_evaluation_share_no_combination_and_no_caption() -> None:
    rng = random.Random(2)
    trained = [sample(rng) for _ in range(4000)]
    evaluated = [sample(rng, held_out=True) for _ in range(500)]
    assert not any(map(is_held_out, trained))
    assert all(map(is_held_out, evaluated))
    for language in LANGUAGES:
        said = {caption(scene, rng, language=language) for scene in trained}
        asked = {caption(scene, rng, language=language, held_out=True) for scene in evaluated + trained[:500]}
        assert not said & asked


def test_evaluation_captions_open_in_ways_that_training_never_does() -> None:
    rng = random.Random(3)
    for language in LANGUAGES:
        openings = ZH_OPENINGS_HELD if language == "zh" else EN_OPENINGS_HELD
        for _ in range(300):
            scene = sample(rng)
            text = caption(scene, rng, language=language).lower()
            assert not text.startswith(openings), text
            assert caption(scene, rng, language=language, held_out=True).lower().startswith(openings)


def test_about_a_tenth_of_the_combinations_is_held_out() -> None:
    every = [
        Scene(figures=(Figure(shape=shape, colour=colour),), background=background)
        for shape in SHAPES
        for colour in COLOURS
        for background in COLOURS
    ]
    assert 0.07 < sum(map(is_held_out, every)) / len(every) < 0.13


def test_the_order_of_two_figures_does_not_leak_a_held_out_pair() -> None:
    scene = sample(random.Random(4), held_out=True)
    while len(scene.figures) == 1:
        scene = sample(random.Random(hash(scene)), held_out=True)
    assert is_held_out(replace(scene, figures=scene.figures[::-1]))


def test_scenes_are_consistent_and_varied() -> None:
    rng = random.Random(5)
    scenes = [sample(rng) for _ in range(3000)]
    for scene in scenes:
        for figure in scene.figures:
            assert None in (figure.colour, scene.background) or contrast(figure.colour, scene.background) >= CLEAR
            assert figure.count == 1 or (figure.place is None and len(scene.figures) == 1)
            assert (figure.shape, figure.style) != ("ring", "outline")
    figures = [figure for scene in scenes for figure in scene.figures]
    for name, values in (("shape", SHAPES), ("size", SIZES), ("place", PLACES), ("style", STYLES)):
        assert {getattr(figure, name) for figure in figures} >= set(values)
    assert {figure.count for figure in figures} == {1, 2, 3, 4}
    assert {scene.relation for scene in scenes} == {None, *get_args(Relation)}


def test_a_caption_says_what_is_asked_and_nothing_else() -> None:
    rng = random.Random(6)
    plain = Scene(figures=(RED_CIRCLE,))
    full = Scene(figures=(replace(RED_CIRCLE, size="small", place="left", style="striped"),), background="blue")
    for _ in range(300):
        assert not any(word in caption(plain, rng, language="zh") for word in ("背景", "底", "左", "小", "条纹"))
        text = caption(full, rng, language="zh")
        assert all(part in text for part in ("红", "圆", "小", "左", "条纹", "蓝")), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_a_relation_point_the_right_way(language: Language) -> None:
    """Whichever figure is named first, reading the frame backwards must give the same scene."""
    left, right = ("左", "右") if language == "zh" else (r"\bleft\b", r"\bright\b")
    scene = Scene(figures=(RED_CIRCLE, Figure(shape="star", colour="green")), relation="left_of")
    mirror = replace(scene, figures=scene.figures[::-1], relation="right_of")
    for seed in range(200):
        said = caption(scene, random.Random(seed), language=language).lower()
        same = caption(mirror, random.Random(seed), language=language).lower()
        assert bool(re.search(left, said)) == bool(re.search(right, same))
        assert bool(re.search(right, said)) == bool(re.search(left, same))


# Pictures ------------------------------------------------------------------------------------------------------------


def test_a_seed_paints_one_picture_and_another_seed_another() -> None:
    rng = random.Random(7)
    for _ in range(20):
        scene = sample(rng)
        assert np.array_equal(painted(scene, 1), painted(scene, 1))
        assert not np.array_equal(painted(scene, 1), painted(scene, 2))


def test_seeds_vary_visibly() -> None:
    centres = [look(painted(Scene(figures=(RED_CIRCLE,), background="white"), seed))[0] for seed in range(20)]
    assert max(seen.x for seen in centres) - min(seen.x for seen in centres) > 0.08
    assert max(seen.length for seen in centres) - min(seen.length for seen in centres) > 0.06


@pytest.mark.parametrize(("width", "height"), [(128, 64), (64, 128), (256, 144), (200, 200), (512, 512)])
def test_any_aspect_ratio_shows_the_scene(width: int, height: int) -> None:
    scene = Scene(figures=(RED_CIRCLE, Figure(shape="square", colour="green")), background="white")
    alone = Scene(figures=(replace(RED_CIRCLE, place="bottom_right"),), background="yellow")
    for drawn in (replace(scene, relation="left_of"), alone):
        picture = painted(drawn, 3, width, height)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        assert judge(drawn, picture).right


# The judge -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_judge_accepts_what_was_painted(shape: Shape, style: Style) -> None:
    if (shape, style) == ("ring", "outline"):
        pytest.skip("an outlined ring is two circles: not in this world")
    colours: tuple[Colour, ...] = ("red", "green", "blue", "purple", "black")
    for seed, colour in enumerate(colours):
        figure = Figure(shape=shape, colour=colour, size="medium", style=style)
        for background in ("white", "yellow"):
            scene = Scene(figures=(figure,), background=background)
            verdict = judge(scene, painted(scene, seed))
            assert verdict.right, (verdict, scene)


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_the_judge_is_right_on_nearly_all_sampled_scenes(noise: float) -> None:
    rng, dust = random.Random(8), np.random.default_rng(8)
    wrong = dict.fromkeys((field.name for field in fields(Verdict)), 0)
    for _ in range(150):
        scene = sample(rng)
        picture = paint(scene, rng, 128, 128) + dust.normal(0, noise, (128, 128, 3))
        verdict = judge(scene, np.clip(picture, 0, 255).astype(np.uint8))
        for name in wrong:
            wrong[name] += getattr(verdict, name) is False
    assert max(wrong.values()) <= 2, wrong


RIGHT = Scene(
    figures=(Figure(shape="circle", colour="red", size="small", place="left", style="flat"),), background="blue"
)
ONE = RIGHT.figures[0]


@pytest.mark.parametrize(
    ("shown", "criterion"),
    [
        (replace(RIGHT, background="cyan"), "background"),
        (replace(RIGHT, figures=(replace(ONE, colour="orange"),)), "colour"),
        (replace(RIGHT, figures=(replace(ONE, shape="ring"),)), "shape"),
        (replace(RIGHT, figures=(replace(ONE, shape="diamond"),)), "shape"),
        (replace(RIGHT, figures=(replace(ONE, size="large"),)), "size"),
        (replace(RIGHT, figures=(replace(ONE, place="top_left"),)), "place"),
        (replace(RIGHT, figures=(replace(ONE, style="striped"),)), "style"),
        (replace(RIGHT, figures=(replace(ONE, style="gradient"),)), "style"),
    ],
)
def test_the_judge_names_the_one_thing_that_is_wrong(shown: Scene, criterion: str) -> None:
    for seed in range(5):
        verdict = judge(RIGHT, painted(shown, seed))
        assert not verdict.right
        assert [field.name for field in fields(Verdict) if getattr(verdict, field.name) is False] == [criterion]


def test_the_judge_counts() -> None:
    three = Scene(figures=(replace(RED_CIRCLE, count=3),), background="white")
    four = Scene(figures=(replace(RED_CIRCLE, count=4),), background="white")
    assert judge(three, painted(three)).count
    assert judge(four, painted(three)).count is False
    assert judge(three, painted(four)).count is False


def test_the_judge_sees_which_of_two_stands_where() -> None:
    star = Figure(shape="star", colour="green")
    for relation, wrong in (("left_of", "right_of"), ("above", "below"), ("below", "left_of")):
        scene = Scene(figures=(RED_CIRCLE, star), relation=relation, background="white")  # type: ignore[arg-type]  # a relation
        picture = painted(scene)
        assert judge(scene, picture).both
        assert judge(replace(scene, relation=wrong), picture).relation is False  # type: ignore[arg-type]  # a relation
        swapped = replace(scene, figures=(replace(RED_CIRCLE, colour="green"), replace(star, colour="red")))
        assert judge(swapped, picture).both is False


@pytest.mark.parametrize("value", [0, 127, 255])
def test_an_empty_picture_shows_nothing(value: int) -> None:
    verdict = judge(Scene(figures=(RED_CIRCLE,), background="green"), np.full((128, 128, 3), value, np.uint8))
    assert not verdict.right
    assert (verdict.background, verdict.colour, verdict.shape, verdict.count) == (False, False, False, False)


def test_noise_shows_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    verdict = judge(RIGHT, picture)
    assert (verdict.background, verdict.shape) == (False, False)
