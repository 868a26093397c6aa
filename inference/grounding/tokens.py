"""Cutting text into search tokens: NFKC, traditional to simplified, dictionary words and Chinese bigrams.

Both the kept passages and the questions go through here, so that they meet. rjieba's dictionary (33 MB, 0.15 s)
and OpenCC's (6 MB, 0.03 s) are loaded at the first use.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from operator import add
from typing import Protocol

#: Part of a document's recipe: raise it when the same text is cut differently, and everything is indexed again.
VERSION = "1"

#: The inside of a character class for Chinese characters.
HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_RUN = re.compile(f"[{HAN}]{{2,}}")
HAN_ONLY = re.compile(f"[{HAN}]+")
_WORD = re.compile(r"\w[\w.+#%&-]*")


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


@cache
def _simplifier() -> _Converter:
    import opencc

    converter: _Converter = opencc.OpenCC("t2s")
    return converter


def fold(text: str) -> str:
    """The form in which texts are compared: one width, one case, simplified characters."""
    return _simplifier().convert(unicodedata.normalize("NFKC", text).casefold())


def words(folded: str) -> list[str]:
    """Dictionary words of a folded text, long ones also in their parts, in order."""
    import rjieba

    pieces = rjieba.cut_for_search(folded)
    return [token for piece in pieces if (token := piece if piece.isalnum() else _trim(piece))]


def cut(folded: str) -> list[str]:
    """The folded text as consecutive pieces; joined they are the text again."""
    import rjieba

    return list(rjieba.cut(folded))


def bigrams(folded: str) -> list[str]:
    """Every pair of neighbouring Chinese characters, in order."""
    return [pair for run in _HAN_RUN.findall(folded) for pair in map(add, run, run[1:])]


def _trim(piece: str) -> str:
    """The piece without marks around it; empty when nothing but marks."""
    found = _WORD.search(piece)
    return found.group().rstrip(".-&") if found else ""
