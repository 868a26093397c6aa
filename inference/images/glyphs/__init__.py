"""The characters that the visible mark can be written with, and what it has to say. Reads no picture: settings ask it.

The mask itself is glyphs.png; tools/mark_glyphs.py makes both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
LONGEST: Final = 10  # characters: what fits into a square at the least height

#: A text that says less is no label: something that names AI, and something that says that it made this.
_SUBJECTS: Final = ("AI", "人工智能")
_VERBS: Final = ("生成", "合成")


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """The shipped characters side by side in the mask, and where each stands: left edge and width in pixels."""

    capital: int  # pixels that a capital letter is high
    cells: dict[str, tuple[int, int]]

    def width(self, char: str) -> int:
        """How wide a character is in the mask."""
        return self.capital // 3 if char == " " else self.cells[char][1]


@lru_cache(maxsize=1)
def glyphs() -> Glyphs:
    """What is shipped."""
    table = json.loads((FOLDER / "glyphs.json").read_text(encoding="utf-8"))
    cells = {char: (left, width) for char, (left, width) in table["cells"].items()}
    return Glyphs(capital=table["capital"], cells=cells)


def trouble(text: str) -> str:
    """What keeps `text` from being the mark, and what to write instead; empty = nothing."""
    shipped = glyphs().cells
    unknown = [char for char in dict.fromkeys(text) if char != " " and char not in shipped]
    if unknown:
        named = " ".join(repr(char) for char in unknown)
        return f"cannot be printed: {named} is not among the characters of the mask: {''.join(shipped)} and space"
    if not any(one in text for one in _SUBJECTS) or not any(one in text for one in _VERBS):
        return "must name AI (AI or 人工智能) and say that it made the picture (生成 or 合成): write AI生成"
    if len(text) > LONGEST:
        return f"has {len(text)} characters: write at most {LONGEST}, more do not fit into a picture"
    return ""
