"""How much of what was said before fits into a prompt. Pure.

Every engine has a tokenizer of its own, and some are on other machines: tokens are estimated, rather too many than too
few. What is too long all the same is noticed by the engine, which is then asked without the turns (TextTooLong).
"""

from __future__ import annotations

from collections.abc import Sequence

from inference.requests import Turn

LATIN = 3  # characters of a token, at least; of Chinese each character may be one
FRAME = 8  # tokens around each message
_WIDE = 0x2E80  # the first character of the scripts that have no blanks
CUT = "…"


def tokens(text: str) -> int:
    """About how many tokens a text has; no tokenizer in use makes more of Chinese or English."""
    wide = sum(char >= chr(_WIDE) for char in text)
    return wide + -(-(len(text) - wide) // LATIN)


def fitting(turns: Sequence[Turn], room: int) -> tuple[Turn, ...]:
    """The last turns (oldest first) that take at most `room` tokens; of the very last as much as fits."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        left = room - tokens(turn.question) - 2 * FRAME
        if left < 0 or (kept and tokens(turn.answer) > left):
            break
        answer = turn.answer if tokens(turn.answer) <= left else shortened(turn.answer, left)
        kept.append(Turn(question=turn.question, answer=answer))
        room = left - tokens(answer)
    return tuple(reversed(kept))


def shortened(text: str, room: int) -> str:
    """The beginning of a text, as much as takes at most `room` tokens."""
    fits, beyond = 0, len(text) + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        fits, beyond = (middle, beyond) if tokens(text[:middle] + CUT) <= room else (fits, middle)
    return text[:fits] + CUT if fits else ""
