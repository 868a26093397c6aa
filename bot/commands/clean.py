"""Text as people and phones write it, made regular without losing what they meant. Pure."""

from __future__ import annotations

import unicodedata

#: Invisible characters that reorder or hide text. Joiners and variation selectors stay: emoji are made of them.
_INVISIBLE = frozenset(
    [0x00AD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)

#: Full-width ASCII and the ideographic space to ASCII, one character for one: positions stay valid.
_HALF_WIDTH = {**{0xFF01 + i: 0x21 + i for i in range(94)}, 0x3000: 0x20}
_HALF_WIDTH |= {0x00A0: 0x20, 0x2009: 0x20, 0x202F: 0x20}  # spaces of phone keyboards
_HALF_WIDTH |= {0x2212: 0x2D, 0x2010: 0x2D, 0x2011: 0x2D}  # hyphens and the minus sign


def clean(text: str) -> str:
    """`text` without control and hiding characters; tabs become spaces, line ends become \\n."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in text if c == "\n" or _kept(c)).strip()


def _kept(char: str) -> bool:
    return ord(char) not in _INVISIBLE and unicodedata.category(char) not in ("Cc", "Cs")


def half_width(text: str) -> str:
    """`text` with full-width ASCII made half-width; the length and every position stay the same."""
    return text.translate(_HALF_WIDTH)


def one_line(text: str) -> str:
    """`text` with every run of white space as one space."""
    return " ".join(text.split())
