"""Tells whether a prompt stays within what the practice model knows; cheap, and without numpy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

from . import vocabulary as words
from .vocabulary import Term

#: Words of a request that say nothing about the picture.
_ZH_FILLERS = (
    "一 二 两 三 四 1 2 3 4 个 枚 幅 张 种 的 在 和 与 跟 以及 还有 有 是 为 用 作 要 把 放 到 放在 画 画着 来 位于 "
    "位置 处 请 帮我 给我 帮忙 麻烦 能 可以 可不可以 我 我想 我想要 想要 生成 绘制 一起 其 它 它的 吧 吗 好吗 呀 啊 "
    "谢谢 多谢 谢 您 背景 底 底色 打底 颜色 图形 形状 形 图 图片 图案 图画 上 下 左 右 中 里 边 面 方 侧 角 正 最 靠"
)
_EN_FILLERS = (
    "a an the one two three four 1 2 3 4 of on in at to with and or also both together is are that which there it its "
    "as all against for draw paint make create generate show me i we you us want like would need please could can give "
    "image picture drawing photo painting background backdrop ground colour color colored coloured shape shapes shaped "
    "figure placed located put side corner left right top bottom upper lower middle center centre very far thank "
    "thanks some just simple by beside next"
)


def known(prompt: str) -> bool:
    """Whether every word is of this world and at least one names a shape or a colour."""
    tokens = list(_tokens(unicodedata.normalize("NFKC", prompt).lower()))
    return None not in tokens and any(token in _subjects() for token in tokens)


def _tokens(text: str) -> Iterator[str | None]:
    """The words of a prompt, None for each that is foreign; punctuation and spaces are no words."""
    for run in re.findall(r"[a-z]+(?:'[a-z]+)?|[^\W_a-z]+", text):
        if run[0].isascii() and run[0].isalpha():
            yield run if run in _english() else None
        else:
            yield from _cut(run)


def _cut(run: str) -> tuple[str | None, ...]:
    """Chinese has no spaces: the split into the fewest known words, or one None."""
    best: dict[int, tuple[str, ...]] = {len(run): ()}
    for at in range(len(run) - 1, -1, -1):
        ends = range(at + 1, min(at + _longest(), len(run)) + 1)
        splits = [(run[at:end], *best[end]) for end in ends if end in best and run[at:end] in _chinese()]
        if splits:
            best[at] = min(splits, key=len)
    return best.get(0, (None,))


@cache
def _subjects() -> frozenset[str]:
    """Words that name a shape or a colour."""
    terms = (*words.SHAPES.values(), *words.COLOURS.values())
    chinese = {word for term in terms for word in (*term.zh, *term.zh_held)}
    nothing = {
        "shape",
        "shapes",
        "figure",
        "figures",
        "of",
        "sign",
        "bright",
        "block",
        "blocks",
        "pure",
        "dark",
        "vivid",
    }
    return frozenset(chinese | (_split(terms) - nothing))


@cache
def _chinese() -> frozenset[str]:
    every = {word for term in _terms() for word in (*term.zh, *term.zh_held)}
    measures = {measure for choices in words.MEASURES.values() for measure in choices}
    return frozenset(every | measures | set(_ZH_FILLERS.split()) | set(_spoken(words.ZH_OPENINGS, words.ZH_CLOSINGS)))


@cache
def _longest() -> int:
    return max(map(len, _chinese()))


@cache
def _english() -> frozenset[str]:
    return frozenset(_split(_terms()) | set(_EN_FILLERS.split()))


def _terms() -> tuple[Term, ...]:
    groups = (words.COLOURS, words.SHAPES, words.SIZES, words.PLACES, words.SIDES, words.STYLES)
    return tuple(term for group in groups for term in group.values())


def _split(terms: Iterable[Term]) -> set[str]:
    """The single English words of terms, shapes also in the plural."""
    phrases = {phrase for term in terms for phrase in (*term.en, *term.en_held)}
    plurals = {
        words.shapes_plural(p) for term in words.SHAPES.values() for p in (*term.en, *term.en_held) if p in phrases
    }
    return {word for phrase in phrases | plurals for word in re.findall("[a-z]+", phrase)}


def _spoken(*groups: tuple[str, ...]) -> Iterator[str]:
    for group in groups:
        for phrase in group:
            yield from re.findall(r"\w+", phrase)
