"""Small numbers in digits, Chinese and English words. Pure."""

from __future__ import annotations

import re

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ENGLISH = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 - a table of words
    )
}
_TENS = re.compile(r"([一二三四五六七八九])?十([一二三四五六七八九])?")

#: Patterns of what `number` reads. They match no part of a longer number.
CHINESE = r"(?:(?<!\d)\d{1,3}(?!\d)|[零〇一二两三四五六七八九十]{1,3})"
ENGLISH = r"(?:(?<!\d)\d{1,3}(?!\d)|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)"


def number(text: str) -> int | None:
    """The value of a number up to 999 in digits, up to 99 in Chinese, up to 12 in English; None when it is none."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text in _ENGLISH:
        return _ENGLISH[text]
    if len(text) <= 2 and all(char in _DIGITS for char in text) and (len(text) == 1 or text[0] in "零〇"):
        return _DIGITS[text[-1]]
    tens = _TENS.fullmatch(text)
    return _DIGITS[tens[1] or "一"] * 10 + _DIGITS[tens[2] or "零"] if tens else None
