"""Flags cut out of a prompt: `--size 512x512` anywhere, quotes respected, `--` ends them. Pure.

Phones turn `--` into dashes and quotes into curly ones; both are read as what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.commands.clean import half_width, one_line
from bot.commands.names import nearest
from bot.commands.values import Mistake

#: As written -> canonical name.
FLAGS = {
    "size": "size",
    "ar": "ar",
    "aspect": "ar",
    "n": "n",
    "num": "n",
    "count": "n",
    "seed": "seed",
    "steps": "steps",
    "step": "steps",
    "cfg": "cfg",
    "cfg-scale": "cfg",
    "cfg_scale": "cfg",
    "guidance": "cfg",
    "neg": "neg",
    "negative": "neg",
    "at": "at",
    "every": "every",
    "late": "late",
    "to": "to",
    "dry-run": "dry-run",
    "dry_run": "dry-run",
    "dryrun": "dry-run",
    "from": "from",
    "ref": "from",
    "strength": "strength",
    "denoise": "strength",
    "lora": "lora",
    "adapter": "lora",
    "private": "private",
    "template": "template",
}
#: Flags that stand alone: no value follows.
SWITCHES = frozenset({"dry-run", "private"})
#: Flags that may stand alone: only what their measure knows is a value, anything else is text.
OPTIONAL = frozenset({"from"})

#: Flag -> how many characters at the beginning of a text are its value; 0 = its value is a word.
Measures = Mapping[str, Callable[[str], int]]

_FLAG = re.compile(r"(?P<dash>-+|[–—―]+)(?P<name>[A-Za-z]+(?:[-_][A-Za-z]+)*)(?=$|[\s=:\d\"“”])")
_SIZE = re.compile(r"[+-]?\d+\s*[xX*×✕✖]\s*[+-]?\d+(?:px)?(?![\w.])")
_WORD = re.compile(r"\S+")
_APOSTROPHE_END = re.compile(r"['’](?=$|[\s,.，。])")
_CLOSERS = {'"': '"”', "“": '”"“', "”": "”“", "„": "”“"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A text without its flags, and the flags by canonical name; one that stands alone has the value yes."""

    text: str
    flags: dict[str, str]


def take_flags(text: str, measures: Measures | None = None) -> Taken:
    """Cut the flags out of `text`. Raises Mistake for an unknown, repeated or valueless flag or an open quote.

    `measures` finds the ends of values with blanks in them, such as times.
    """
    return _Scan(text, measures or {}).run()


def clip(text: str, limit: int = 40) -> str:
    """`text` short enough to be shown in a sentence."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _Scan:
    """One walk over a text. `plain` has the same positions as `text`, in half-width characters."""

    def __init__(self, text: str, measures: Measures) -> None:
        self.text = text
        self.measures = measures
        self.plain = half_width(text)
        self.pos = 0
        self.flags: dict[str, str] = {}

    def run(self) -> Taken:
        kept: list[str] = []
        while self.pos < len(self.text):
            if self._ends_flags(self.pos):
                kept.append(self.text[self.pos + 2 :])
                break
            name = self._flag_name(self.pos)
            if name is None:
                kept.append(self._piece())
            else:
                self._take(name)
                kept.append(" ")
        return Taken(text=_unquoted(one_line("".join(kept))), flags=self.flags)

    def _piece(self) -> str:
        """The next quoted passage, or character, as it stands."""
        start = self.pos
        self.pos = quote_end(self.plain, start) or start + 1
        return self.text[start : self.pos]

    def _starts_word(self, pos: int) -> bool:
        return pos == 0 or self.plain[pos - 1].isspace()

    def _ends_flags(self, pos: int) -> bool:
        after = self.plain[pos + 2 : pos + 3]
        return self._starts_word(pos) and self.plain.startswith("--", pos) and (not after or after.isspace())

    def _flag_name(self, pos: int) -> str | None:
        """The canonical flag that starts here; None for text. Raises Mistake for a flag nobody knows."""
        match = _FLAG.match(self.plain, pos) if self._starts_word(pos) else None
        if match is None:
            return None
        written, dash = match["name"].lower(), match["dash"]
        if written in FLAGS:
            self.pos = match.end()
            return FLAGS[written]
        if dash == "-":
            return None  # a hyphen before a word is text unless the word is a flag
        near = nearest(written, FLAGS)
        if near or dash.startswith("--"):
            raise Mistake("unknown_flag", flag=match[0], near=" / ".join(f"--{n}" for n in near))
        return None  # a long dash before a word is punctuation

    def _take(self, name: str) -> None:
        if name in self.flags:
            raise Mistake("repeated_flag", flag=f"--{name}")
        if name in SWITCHES:
            self.flags[name] = "yes"
            return
        if name in OPTIONAL:
            self.flags[name] = self._if_any(name)
            return
        self._skip(r"\s*[=:]?\s*")
        value = self._quoted() or self._measured(name)
        value = value or (self._until_flag() if name == "neg" else self._word(name))
        if not value:
            raise Mistake("missing_value", flag=f"--{name}")
        self.flags[name] = value

    def _skip(self, pattern: str) -> None:
        match = re.compile(pattern).match(self.plain, self.pos)
        self.pos = match.end() if match else self.pos

    def _quoted(self) -> str:
        start = self.pos
        if self.plain[start : start + 1] not in ('"', "“", "”", "„", "'", "‘"):
            return ""
        end = quote_end(self.plain, start, value=True)
        if not end:
            raise _open_quote(self.text, start)
        self.pos = end
        return one_line(self.text[start + 1 : end - 1])

    def _measured(self, name: str) -> str:
        length = self.measures[name](self.text[self.pos :]) if name in self.measures else 0
        start, self.pos = self.pos, self.pos + length
        return one_line(self.text[start : self.pos])

    def _if_any(self, name: str) -> str:
        """The value of a flag that may have none; empty then, and what follows stays text."""
        back = self.pos
        self._skip(r"\s*[=:]?\s*")
        value = self._measured(name)
        self.pos = self.pos if value else back
        return value

    def _until_flag(self) -> str:
        start = self.pos
        while self.pos < len(self.text) and not self._flag_here(self.pos):
            self._piece()
        return one_line(self.text[start : self.pos])

    def _flag_here(self, pos: int) -> bool:
        if self._ends_flags(pos):
            return True
        back, name = self.pos, self._flag_name(pos)
        self.pos = back
        return name is not None

    def _word(self, name: str) -> str:
        match = (_SIZE.match(self.plain, self.pos) if name == "size" else None) or _WORD.match(self.plain, self.pos)
        if match is None or re.match(r"[-–—―]+[A-Za-z]", match[0]):
            return ""
        self.pos = match.end()
        self._skip(r"[,;、。]+(?=\s|$)")
        return match[0].rstrip(",.;!、。") or match[0]


def quote_end(plain: str, pos: int, *, value: bool = False) -> int | None:
    """Where the quotation that opens at `pos` ends (exclusive); None when no quotation opens here.

    Raises Mistake when a double quote is never closed. A lone apostrophe ('n, dogs') is text, and so are inches (5").
    """
    char = plain[pos]
    if char in "'‘":
        opens = value or pos == 0 or plain[pos - 1].isspace() or plain[pos - 1] in "=:"
        match = _APOSTROPHE_END.search(plain, pos + 1) if opens else None
        return match.end() if match else None
    if char not in _CLOSERS or (char == '"' and pos > 0 and plain[pos - 1].isdigit() and not value):
        return None
    for closer in _CLOSERS[char]:
        end = plain.find(closer, pos + 1)
        if end >= 0:
            return end + 1
    raise _open_quote(plain, pos)


def _open_quote(text: str, pos: int) -> Mistake:
    return Mistake("open_quote", position=pos + 1, quote=text[pos], near=clip(text[pos:], 12))


def _unquoted(text: str) -> str:
    """A prompt that is one quotation as a whole, without its quotes."""
    if not text or text[0] not in _CLOSERS:
        return text
    try:
        whole = quote_end(half_width(text), 0) == len(text)
    except Mistake:  # after `--` quotes are text and may stay open
        return text
    return text[1:-1].strip() if whole else text
