"""Reads an answer while it is written: each sentence as soon as its JSON object is closed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LONGEST = 20_000  # characters of a whole answer; a model that writes more has lost its way


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One sentence of an answer as the model wrote it; nothing in it is true yet."""

    text: str
    cites: tuple[int, ...]
    quote: str


class ClaimReader:
    """Takes the answer in pieces of any size, gives its sentences one by one."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0  # the next character to look at
        self._open: list[int] = []  # where the braces and brackets began that are open
        self._in_string = False
        self._escaped = False

    def feed(self, piece: str) -> Iterator[Claim]:
        """The sentences that this piece completes. What is no JSON completes none."""
        self._text += piece[: max(0, LONGEST - len(self._text))]
        while self._at < len(self._text):
            found = self._step(self._text[self._at])
            self._at += 1
            if found is not None:
                yield found

    @property
    def answerable(self) -> bool | None:
        """What the model says of the question once all is written; None when it wrote no whole answer."""
        start = self._text.find("{")
        try:
            value, _ = json.JSONDecoder().raw_decode(self._text[start:]) if start >= 0 else (None, 0)
        except ValueError:
            return None
        said = value.get("answerable") if isinstance(value, dict) else None
        return said if isinstance(said, bool) else None

    def _step(self, char: str) -> Claim | None:
        if self._in_string:
            self._in_string = self._escaped or char != '"'
            self._escaped = char == "\\" and not self._escaped
        elif char == '"':
            self._in_string = bool(self._open)
        elif char in "{[":
            self._open.append(self._at)
        elif char in "}]" and self._open:
            start = self._open.pop()
            if char == "}" and len(self._open) == 2:  # inside the list inside the whole
                return _claim(self._text[start : self._at + 1])
        return None


def _claim(text: str) -> Claim | None:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return None
    said, cites, quote = (value.get(name) for name in ("text", "cites", "quote"))
    if not isinstance(said, str) or not isinstance(quote, str) or not isinstance(cites, list):
        return None
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in cites):
        return None
    return Claim(text=said, cites=tuple(dict.fromkeys(cites)), quote=quote)
