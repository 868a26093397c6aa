"""Text as people type it, made regular character by character, so that every position stays what it was. Pure."""

from __future__ import annotations

from bot.commands.clean import half_width

#: Nobody needs more for a time; what is longer is not read further.
LONGEST = 200

_TRADITIONAL = str.maketrans("後點週個號禮鐘兩時過這隔幾從農曆與內間點両", "后点周个号礼钟两时过这隔几从农历与内间点两")
_SIGNS = str.maketrans("–—―−～〜~﹣，、；。：﹕’‘\t\n\r", "-" * 8 + ",,,.::''   ")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def plain(text: str) -> str:
    """The start of `text`, simplified, half-width, in small letters and ASCII signs; positions stay the same."""
    return half_width(text[:LONGEST]).translate(_TRADITIONAL).translate(_SIGNS).translate(_LOWER)
