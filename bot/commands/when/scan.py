"""Steps over a text: skip what says nothing, read a list with its ranges. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

AND = re.compile(r"\s*(?:,|/|和|及|与|跟|以及|还有|and\b|&)?\s*(?:的\s*)?")
_TO = re.compile(r"\s*(?:到|至|-|to\b|through\b)\s*")


def skip(pattern: re.Pattern[str], text: str, pos: int) -> int:
    """Where `pattern` ends if it matches at `pos`, else `pos`."""
    match = pattern.match(text, pos)
    return match.end() if match else pos


def read_list(
    text: str, pos: int, read: Callable[[str, int], tuple[int, int] | None], wrap: int = 7
) -> tuple[tuple[int, ...], int]:
    """Numbers in a list with ranges (一到五), ascending, and where it ends.

    A range that descends (fri-mon) goes around after `wrap` numbers; with 0 it is its two ends.
    """
    values: list[int] = []
    end = pos
    while len(values) < 64:
        to = _TO.match(text, end) if values else None
        found = read(text, to.end()) if to else None
        if found:
            last = values[-1]
            upto = found[0] + wrap if found[0] < last else found[0]
            values += [value % wrap if wrap else value for value in range(last + 1, min(upto, last + 64) + 1)]
        else:
            found = read(text, skip(AND, text, end) if values else end)
        if found is None:
            break
        values.append(found[0])
        end = found[1]
    return tuple(sorted(set(values))), end
