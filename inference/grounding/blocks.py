"""Markdown as a row of headings, tables, blocks of code and other text, in one pass over its lines. Pure.

One pass on purpose: a file of ten million characters made of nothing but fences must not take the square of that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: Characters of a heading's name: it is said again in every passage below it, and one may be a page long.
LONGEST_NAME = 120

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_FENCE = re.compile(r"```|~~~")
_RULE = re.compile(r"[ \t|:-]+\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A stretch of whole lines: `markdown[start:end]`."""

    kind: Literal["heading", "table", "code", "text"]
    start: int
    end: int
    level: int = 0  # of a heading, from 1
    name: str = ""  # of a heading


def blocks(markdown: str) -> list[Block]:
    """Everything that stands in a Markdown text, in order and without gaps."""
    lines = _lines(markdown)
    found: list[Block] = []
    at = 0
    while at < len(lines):
        kind, level, name, after = _begun(markdown, lines, at)
        start, end = lines[at][0], lines[after - 1][1]
        if kind == "text" and found and found[-1].kind == "text":
            start = found.pop().start
        found.append(Block(kind=kind, start=start, end=end, level=level, name=name))
        at = after
    return found


def _lines(markdown: str) -> list[tuple[int, int]]:
    """Where each line begins and ends, its line end included."""
    spans, start = [], 0
    for line in markdown.split("\n"):
        spans.append((start, start + len(line) + 1))
        start += len(line) + 1
    start, end = spans[-1]
    return [*spans[:-1], (start, end - 1)] if end - 1 > start else spans[:-1]


def _begun(
    markdown: str, lines: list[tuple[int, int]], at: int
) -> tuple[Literal["heading", "table", "code", "text"], int, str, int]:
    """What begins with a line: kind, level and name of a heading, and the number of the line after it."""
    line = _text(markdown, lines, at)
    if line.startswith("#") and (found := _HEADING.fullmatch(line)):
        return "heading", len(found[1]), _name(found[2]), at + 1
    if fence := _FENCE.match(line):
        return "code", 0, "", _after_code(markdown, lines, at, fence[0])
    if "|" in line and _is_rule(markdown, lines, at + 1):
        return "table", 0, "", _after_table(markdown, lines, at + 2)
    return "text", 0, "", at + 1


def _name(written: str) -> str:
    """A heading without the marks that may close it. By hand: a pattern takes the square of a long run of blanks."""
    name = written.rstrip()
    bare = name.rstrip("#")
    name = bare.rstrip() if bare[-1:] in (" ", "\t") else name
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _text(markdown: str, lines: list[tuple[int, int]], at: int) -> str:
    start, end = lines[at]
    return markdown[start:end].rstrip("\n")


def _is_rule(markdown: str, lines: list[tuple[int, int]], at: int) -> bool:
    """Whether a line is the one below a table's head: |---|:-:|."""
    if at >= len(lines):
        return False
    line = _text(markdown, lines, at)
    return "|" in line and "-" in line and _RULE.match(line) is not None


def _after_code(markdown: str, lines: list[tuple[int, int]], at: int, fence: str) -> int:
    """Behind the line that closes a fence; one that is never closed goes to the end."""
    return next((n + 1 for n in range(at + 1, len(lines)) if markdown.startswith(fence, lines[n][0])), len(lines))


def _after_table(markdown: str, lines: list[tuple[int, int]], at: int) -> int:
    return next((n for n in range(at, len(lines)) if not _is_row(_text(markdown, lines, n))), len(lines))


def _is_row(line: str) -> bool:
    return "|" in line and not line.startswith("#")
