"""Says a scene in Chinese or English, in free word order: what the practice model learns to read.

A caption names what the scene asks for and nothing else. Held-out captions use frames, fillers and words that no
training caption uses.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from . import vocabulary as words
from .scene import Figure, Scene
from .vocabulary import OPPOSITE, RELATION_SIDE, Language, Place, Term

_T = TypeVar("_T")

#: How often a held-out caption takes a held-out word where there is one.
HELD_WORDS = 0.3


@dataclass(frozen=True, slots=True)
class _Voice:
    """One speaker: a language, a source of chance, and the habits of this one caption."""

    rng: random.Random
    zh: bool
    held: bool
    terse: bool
    sep: str  # between the parts of the caption
    joint: str = ""  # between the attributes of a figure; empty for the usual ways

    def word(self, term: Term) -> str:
        known, held = (term.zh, term.zh_held) if self.zh else (term.en, term.en_held)
        if self.held and held and self.chance(HELD_WORDS):
            return self.one(held)
        return min(known, key=len) if self.terse else self.one(known)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def one(self, choices: Sequence[_T]) -> _T:
        return choices[int(self.rng.random() * len(choices))]

    def frame(self, trained: Sequence[_T], held: Sequence[_T]) -> _T:
        return self.one(held if self.held else trained)


#: In a marked caption: what stands after the words for the first and for the second figure. Private-use characters.
ENDS = ("\ue000", "\ue001")


def caption(scene: Scene, rng: random.Random, *, language: Language, held_out: bool = False) -> str:
    """One way to ask for a scene."""
    text = marked(scene, rng, language=language, held_out=held_out)
    return "".join(character for character in text if character not in ENDS)


def marked(
    scene: Scene, rng: random.Random, *, language: Language, held_out: bool = False, marks: tuple[str, str] = ("", "")
) -> str:
    """One way to ask for a scene, with ENDS where the words for a figure end: training asks there what was read.

    `marks` stand between the parts of the caption and between the attributes of a figure, instead of the usual ones.
    """
    zh = language == "zh"
    sep, joint = marks
    voice = _Voice(rng, zh, held_out, not held_out and rng.random() < 0.12, sep or _separator(rng, zh, held_out), joint)
    parts = _pair(voice, scene) if len(scene.figures) == 2 else _single(voice, scene.figures[0])
    text = voice.sep.join(_with_background(voice, parts, scene))
    return _dressed_zh(voice, text) if zh else _dressed_en(voice, text)


def _separator(rng: random.Random, zh: bool, held: bool) -> str:
    if held:
        return rng.choice(("；", ";", "。") if zh else (" - ", " / ", ". "))
    return rng.choice(("，", "，", ",", " ", "、", ", ") if zh else (", ", ", ", ", ", ",", "; "))


# The whole sentence --------------------------------------------------------------------------------------------------


def _with_background(voice: _Voice, parts: list[str], scene: Scene) -> list[str]:
    """The background first, last or, if there is a middle, in the middle."""
    if not scene.background:
        return parts
    frames = (_GROUND_ZH, _GROUND_ZH_HELD) if voice.zh else (_GROUND_EN, _GROUND_EN_HELD)
    clause = "{c}底" if voice.zh and voice.terse else voice.frame(*frames)
    text = clause.format(c=voice.word(words.COLOURS[scene.background]))
    at = voice.one((0, len(parts), len(parts) // 2))
    return [*parts[:at], text, *parts[at:]]


_GROUND_ZH = ("{c}背景", "{c}底", "背景是{c}", "{c}的背景", "底色是{c}", "背景为{c}", "在{c}背景上", "{c}的底色")
_GROUND_ZH_HELD = ("底色为{c}", "用{c}作背景", "背景用{c}", "{c}打底", "背景要{c}的")
_GROUND_EN = (
    "{c} background",
    "on a {c} background",
    "on {c}",
    "the background is {c}",
    "background: {c}",
    "with a {c} background",
    "against a {c} background",
    "a background of {c}",
)
_GROUND_EN_HELD = ("with {c} as the background", "background in {c}", "{c} in the background", "the {c} background")


def _dressed_zh(voice: _Voice, text: str) -> str:
    if voice.held or (not voice.terse and voice.chance(0.45)):
        text = voice.frame(words.ZH_OPENINGS, words.ZH_OPENINGS_HELD) + text
    if voice.chance(0.2):
        text += voice.frame(words.ZH_CLOSINGS, words.ZH_CLOSINGS_HELD)
    return text


def _dressed_en(voice: _Voice, text: str) -> str:
    if voice.held or (not voice.terse and voice.chance(0.45)):
        text = f"{voice.frame(words.EN_OPENINGS, words.EN_OPENINGS_HELD)} {text}"
    if voice.chance(0.2):
        text += voice.frame(words.EN_CLOSINGS, words.EN_CLOSINGS_HELD)
    case = voice.rng.random()
    if case < 0.7:
        return text
    if case < 0.9:
        return text[0].upper() + text[1:]
    return text.upper() if case < 0.95 else text.title()


# One figure ----------------------------------------------------------------------------------------------------------


def _single(voice: _Voice, figure: Figure) -> list[str]:
    """The figure and, where it has one, its place."""
    place = voice.word(words.PLACES[figure.place]) if figure.place else ""
    if voice.zh:
        return _single_zh(voice, figure, place)
    noun = _noun_en(voice, figure, loose=True) + ENDS[0]
    if not place:
        return [noun]
    if voice.terse:
        return voice.one(([noun, place], [place, noun]))
    frame = voice.frame(_PLACED_EN, _PLACED_EN_HELD)
    return [part.format(n=noun, p=place) for part in frame]


_PLACED_EN = (("{n} {p}",), ("{n}", "{p}"), ("{p}", "{n}"), ("{p} {n}",), ("{n} placed {p}",))
_PLACED_EN_HELD = (("{p} there is {n}",), ("{n} that is {p}",), ("{p}: {n}",), ("{n} located {p}",))


def _single_zh(voice: _Voice, figure: Figure, place: str) -> list[str]:
    if not place:
        return [_noun_zh(voice, figure, loose=True) + ENDS[0]]
    if voice.terse:
        noun = _noun_zh(voice, figure) + ENDS[0]
        return voice.one(([noun, place], [place, noun], [place + noun]))
    if not voice.held and voice.chance(0.2):
        return [_noun_zh(voice, figure, lead=f"{place}的") + ENDS[0]]
    frame = voice.frame(_PLACED_ZH, _PLACED_ZH_HELD)
    noun = _noun_zh(voice, figure, loose=len(frame) == 2) + ENDS[0]
    return [part.format(n=noun, p=place) for part in frame]


_PLACED_ZH = (
    ("{n}在{p}",),
    ("{n}", "{p}"),
    ("{p}", "{n}"),
    ("{p}{n}",),
    ("{p}有{n}",),
    ("在{p}画{n}",),
    ("{n}放在{p}",),
    ("{n}", "位于{p}"),
)
_PLACED_ZH_HELD = (("{p}放{n}",), ("把{n}画在{p}",), ("{p}:{n}",), ("{n}", "放到{p}"), ("{p}的位置画{n}",))


# Nouns ---------------------------------------------------------------------------------------------------------------


def _noun_zh(voice: _Voice, figure: Figure, *, lead: str = "", loose: bool = False) -> str:
    """The figure as one phrase; `loose` allows attributes after the noun, `lead` stands before everything."""
    shape = voice.word(words.SHAPES[figure.shape])
    amount = _amount_zh(voice, figure)
    attributes = _attributes(voice, figure)
    if not attributes:
        return lead + amount + shape
    if loose and voice.chance(0.4 if voice.held else 0.15):
        return _trailing_zh(voice, figure, attributes, lead + amount + shape)
    if voice.joint:
        return lead + amount + voice.joint.join(attributes) + voice.one(("", "的")) + shape
    if voice.terse:
        return lead + amount + "".join(attributes) + shape
    if voice.held and len(attributes) > 1 and voice.chance(0.5):
        return lead + amount + "、".join(attributes) + "的" + shape
    if not voice.held and voice.chance(0.12):
        return lead + "".join(f"{a}的" for a in attributes) + amount + shape
    linked = [a + "的" if voice.chance(0.35) else a for a in attributes]
    return lead + amount + "".join(linked) + shape


def _trailing_zh(voice: _Voice, figure: Figure, attributes: list[str], noun: str) -> str:
    if voice.joint:
        return noun + voice.joint + voice.joint.join(attributes)
    if voice.held:
        return noun + voice.one(("（{}）", "({})", "：{}")).format("、".join(attributes))
    if len(attributes) == 1 and figure.colour:
        return noun + voice.one(("，{}", "是{}的", " {}", ",{}的")).format(attributes[0])
    return noun + voice.one(("，", " ", ",")) + voice.one(("，", " ", "、")).join(attributes)


def _amount_zh(voice: _Voice, figure: Figure) -> str:
    if figure.count == 1 and (voice.terse or voice.chance(0.4)):
        return ""
    measure = voice.one(("个", "个", *words.MEASURES.get(figure.shape, ())))
    if voice.held and voice.chance(HELD_WORDS):
        measure = words.MEASURE_HELD
    return voice.one(words.ZH_NUMBERS[figure.count]) + measure


def _attributes(voice: _Voice, figure: Figure) -> list[str]:
    """The words for size, colour and style, in any order."""
    found = []
    if figure.size:
        found.append(voice.word(words.SIZES[figure.size]))
    if figure.colour:
        found.append(voice.word(words.COLOURS[figure.colour]))
    if figure.style:
        found.append(voice.word(words.STYLES[figure.style]))
    if len(found) > 1:
        voice.rng.shuffle(found)
    return found


def _noun_en(voice: _Voice, figure: Figure, *, loose: bool = False) -> str:
    shape = voice.word(words.SHAPES[figure.shape])
    if figure.count > 1:
        shape = words.shapes_plural(shape)
    attributes = _attributes(voice, figure)
    if not attributes:
        return _amount_en(voice, figure, shape) + shape
    if loose and voice.chance(0.4 if voice.held else 0.15):
        frame = voice.frame(_TRAILING_EN, _TRAILING_EN_HELD)
        noun = _amount_en(voice, figure, shape) + shape
        if voice.joint:
            return voice.joint.join((noun, *attributes))
        return frame[0].format(noun) + frame[1].join(attributes) + frame[2]
    if voice.joint:
        phrase = voice.joint.join(attributes) + " " + shape
    elif len(attributes) > 1 and (voice.held or voice.chance(0.1)):
        phrase = voice.one((" and ", ", ")).join(attributes) + " " + shape
    else:
        phrase = " ".join((*attributes, shape))
    return _amount_en(voice, figure, phrase) + phrase


_TRAILING_EN = (("{}, ", ", ", ""), ("{}, ", " ", ""), ("{} in ", " ", ""), ("{}: ", ", ", ""), ("{}, ", " and ", ""))
_TRAILING_EN_HELD = (("{} (", ", ", ")"), ("{} which is ", " and ", ""), ("{}, all ", " and ", ""))


def _amount_en(voice: _Voice, figure: Figure, following: str) -> str:
    if figure.count == 1 and (voice.terse or voice.chance(0.25)):
        return ""
    amount = voice.one(words.EN_NUMBERS[figure.count])
    if amount == "a" and following[0] in "aeiou":
        amount = "an"
    return amount + " "


# Two figures ---------------------------------------------------------------------------------------------------------


def _pair(voice: _Voice, scene: Scene) -> list[str]:
    noun = _noun_zh if voice.zh else _noun_en
    first, second = (noun(voice, figure) + end for figure, end in zip(scene.figures, ENDS, strict=True))
    if scene.relation:
        return _related(voice, scene, first, second)
    places = [f.place for f in scene.figures]
    if places[0] and places[1]:
        return _both_placed(voice, first, second, (places[0], places[1]))
    frames = (_JOINED_ZH, _JOINED_ZH_HELD) if voice.zh else (_JOINED_EN, _JOINED_EN_HELD)
    return [part.format(a=first, b=second) for part in voice.frame(*frames)]


_JOINED_ZH = (("{a}和{b}",), ("{a}", "{b}"), ("{a}与{b}",), ("{a}、{b}",))
_JOINED_ZH_HELD = (("{a}以及{b}",), ("{a}", "还有{b}"), ("{a}跟{b}",), ("{a}和{b}一起",))
_JOINED_EN = (("{a} and {b}",), ("{a}", "{b}"), ("{a} with {b}",), ("{a} & {b}",))
_JOINED_EN_HELD = (("{a} together with {b}",), ("both {a} and {b}",), ("{a} and also {b}",))


def _related(voice: _Voice, scene: Scene, first: str, second: str) -> list[str]:
    assert scene.relation is not None
    near = RELATION_SIDE[scene.relation]
    far = OPPOSITE[near]
    if voice.chance(0.5):  # as two places: left A, right B
        return _both_placed(voice, first, second, (near, far))
    frames = (_RELATED_ZH, _RELATED_ZH_HELD) if voice.zh else (_RELATED_EN, _RELATED_EN_HELD)
    slots = {
        "a": first,
        "b": second,
        "near": voice.word(words.SIDES[near]),
        "far": voice.word(words.SIDES[far]),
    }
    return [part.format(**slots) for part in voice.frame(*frames)]


_RELATED_ZH = (
    ("{a}在{b}{near}",),
    ("{a}在{b}的{near}",),
    ("{b}的{near}有{a}",),
    ("{a}的{far}有{b}",),
    ("{a}的{far}是{b}",),
    ("{b}在{a}的{far}",),
)
_RELATED_ZH_HELD = (("{a}位于{b}的{near}",), ("{b}的{near}画{a}",), ("{a}", "它的{far}有{b}"), ("{b}{near}是{a}",))
_RELATED_EN = (
    ("{a} {near} {b}",),
    ("{a} is {near} {b}",),
    ("{b} {far} {a}",),
    ("{b} is {far} {a}",),
    ("{near} {b}, {a}",),
)
_RELATED_EN_HELD = (
    ("{a} placed {near} {b}",),
    ("{far} {a} is {b}",),
    ("{near} {b} there is {a}",),
    ("put {a} {near} {b}",),
)


def _both_placed(voice: _Voice, first: str, second: str, places: tuple[Place, Place]) -> list[str]:
    slots = [(first, voice.word(words.PLACES[places[0]])), (second, voice.word(words.PLACES[places[1]]))]
    if voice.chance(0.3):
        slots.reverse()
    if voice.zh:
        frame = "{p}{n}" if voice.terse else voice.frame(_EACH_ZH, _EACH_ZH_HELD)
    else:
        frame = "{n} {p}" if voice.terse else voice.frame(_EACH_EN, _EACH_EN_HELD)
    parts = [frame.format(n=noun, p=place) for noun, place in slots]
    return [" and ".join(parts)] if not voice.zh and not voice.held and voice.chance(0.4) else parts


_EACH_ZH = ("{p}{n}", "{p}是{n}", "{p}有{n}", "{n}在{p}", "{p}的{n}", "{p}画{n}")
_EACH_ZH_HELD = ("{p}放{n}", "{p}:{n}", "把{n}画在{p}", "{n}位于{p}")
_EACH_EN = ("{n} {p}", "{p} {n}", "{p}, {n}", "{n} is {p}")
_EACH_EN_HELD = ("{p}: {n}", "{n} located {p}", "{p} there is {n}", "put {n} {p}")
