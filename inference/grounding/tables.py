"""Tables as Markdown, so that a row cut off from the others still knows what its columns are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from inference.grounding.blocks import blocks

#: Characters. A table up to here is one passage; a longer one becomes several tables under the same head.
WHOLE = 1500

#: A part of a divided table is at least this many times as long as its head: else the heads would fill the index.
HEADS = 4


def render(rows: Sequence[Sequence[str]], heads: int = 1) -> str:
    """Rows as a table whose first `heads` rows name the columns; empty rows and columns are dropped.

    One column is a list of lines, because nothing stands beside anything.
    """
    filled = [(at, [_cell(value) for value in row]) for at, row in enumerate(rows)]
    kept = [(at, row) for at, row in filled if any(row)]
    columns = [n for n, column in enumerate(zip_longest(*(row for _, row in kept), fillvalue="")) if any(column)]
    if len(columns) < 2:
        return "\n".join(value.replace("\\|", "|") for _, row in kept for value in row if value)
    even = [(at, [row[n] if n < len(row) else "" for n in columns]) for at, row in kept]
    above = [row for at, row in even if at < heads]
    head = [" ".join(dict.fromkeys(filter(None, names))) for names in zip(*above, strict=True)]
    body = [row for at, row in even if at >= heads]
    if not head:  # its rows of names are empty: the first that says something names the columns
        head, body = body[0], body[1:]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(columns), *body))


def divided(markdown: str, size: int) -> str:
    """The text with every table longer than `WHOLE` as several of about `size` characters, each under its head."""
    out, done = [], 0
    for block in blocks(markdown):
        if block.kind == "table" and block.end - block.start > WHOLE:
            out += [markdown[done : block.start], _parts(markdown[block.start : block.end], size)]
            done = block.end
    return "".join([*out, markdown[done:]])


def _parts(table: str, size: int) -> str:
    first, rule, *rows = table.rstrip("\n").split("\n")
    head = f"{first}\n{rule}\n"
    if HEADS * len(head) > 2 * WHOLE:
        return table  # no head but a text in a row: said once is enough
    room = min(max(size, HEADS * len(head)), WHOLE)
    return "\n\n".join(head + "\n".join(part) for part in _filled(rows, room - len(head))) + "\n"


def _filled(rows: Sequence[str], room: int) -> Iterator[list[str]]:
    part: list[str] = []
    length = 0
    for row in rows:
        if part and length + len(row) > room:
            yield part
            part, length = [], 0
        part.append(row)
        length += len(row) + 1
    if part:
        yield part


_BLANKS = re.compile(r"\s+")


def _cell(value: str) -> str:
    """On one line, and no bar that would end it."""
    return _BLANKS.sub(" ", value).strip().replace("\\|", "|").replace("|", "\\|")
