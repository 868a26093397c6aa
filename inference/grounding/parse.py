"""Documents as Markdown, whatever their format. Binary formats are read in a child process with limits.

ParseError
├── Unsupported   a kind of file this cannot read
├── TooLarge      bigger than the limit, or would unfold to it
└── Unreadable    damaged, locked with a password, or without text in it

A damaged PDF can abort the whole process and a small archive can unfold to gigabytes: so the child reads, and what
happens to it is an error of that one document.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from inference.errors import InferenceError

#: Part of a document's recipe: raise it when the same file gives another text.
VERSION = "1"

MAX_BYTES = 50 * 1024 * 1024
MAX_CHARACTERS = 10_000_000

#: Seconds of wall time for one binary document.
TIMEOUT = 120.0

#: Formats that the child reads, by the name of its reader.
BINARY = {".docx": "docx", ".pdf": "pdf", ".xlsx": "xlsx", ".pptx": "pptx"}


class ParseError(InferenceError):
    """A document could not be read."""


class Unsupported(ParseError):
    """A kind of file this cannot read."""


class TooLarge(ParseError):
    """Bigger than the limit."""


class Unreadable(ParseError):
    """Damaged, locked, or without text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A document as text. `markdown` is what offsets of passages refer to."""

    title: str  # its own title; empty when it has none
    markdown: str


def parse(data: bytes, name: str, kind: str = "") -> Parsed:
    """Read a document. Blocks for up to `TIMEOUT` seconds.

    `kind` is the ending that says what it is; empty = that of its name. Raises `Unsupported`, `TooLarge` or
    `Unreadable`.
    """
    suffix = kind or kind_by_name(data, name)
    check_size(len(data), name)
    if suffix in BINARY:
        parsed = _in_child(data, name, BINARY[suffix])
    elif suffix in _TEXTS:
        parsed = _TEXTS[suffix](decode(data, name))
    else:
        known = " ".join(sorted(supported()))
        raise Unsupported(f"{name}: files of kind {suffix or '(none)'} cannot be read.", f"Readable are: {known}")
    return _checked(parsed, name)


def kind_by_name(data: bytes, name: str) -> str:
    """The ending of a file's name."""
    return Path(name).suffix.lower()


def kind_of(data: bytes, name: str) -> str:
    """The ending that a file's bytes ask for, whatever it is called; the name decides only between kinds of text.

    Raises `Unsupported`.
    """
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return ".pdf"
    if data.startswith(b"PK\x03\x04"):
        return _office(data, name)
    if any(data.startswith(magic) for magic in _FOREIGN) or (b"\0" in data[:4096] and not data.startswith(_UTF16)):
        known = " ".join(sorted(supported()))
        raise Unsupported(f"{name} holds neither text nor a known kind of document.", f"Readable are: {known}")
    suffix = kind_by_name(data, name)
    return suffix if suffix in _TEXTS else ".txt"


def _office(data: bytes, name: str) -> str:
    """Which of the office formats an archive is. Raises `Unsupported`."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            folders = {member.partition("/")[0] for member in archive.namelist()}
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable(f"{name} is a damaged archive.", "Open it, save it anew, and try again.") from error
    kind = next((ending for folder, ending in _FOLDERS.items() if folder in folders), "")
    if not kind:
        raise Unsupported(f"{name} is an archive.", "Unpack it and give its documents one by one.")
    return kind


_FOLDERS = {"word": ".docx", "xl": ".xlsx", "ppt": ".pptx"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: How old office files, pictures, packed and running programs begin.
_FOREIGN = (
    b"\xd0\xcf\x11\xe0",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x1f\x8b",
    b"\x7fELF",
)


def check_size(size: int, name: str) -> None:
    """Raise `TooLarge` for more bytes than are read; can be asked before a file is opened."""
    if size > MAX_BYTES:
        limit = f"the limit is {MAX_BYTES // 1024**2} MB."
        raise TooLarge(f"{name} has {size / 1024**2:.0f} MB, {limit}", "Split it or export only its text.")


def supported() -> frozenset[str]:
    """The endings that can be read, with their dot."""
    return frozenset({*BINARY, *_TEXTS})


def decode(data: bytes, name: str) -> str:
    """Text of unknown encoding: UTF-8, UTF-16 with its mark, or GB 18030 (which holds GBK)."""
    utf16 = data.startswith(_UTF16)
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Unreadable(f"{name} is not text in a known encoding.", "Save it as UTF-8.")


def clean(text: str) -> str:
    """One kind of line end; no control, zero-width or direction characters, which hide text from the reader."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _HIDDEN.sub("", text)


_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_NOT_TEXT = re.compile(r"<(script|style|head|template|noscript)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)


def _markdown(text: str) -> Parsed:
    return Parsed(title="", markdown=_COMMENT.sub("", _FRONT_MATTER.sub("", clean(text))))


def _plain(text: str) -> Parsed:
    return Parsed(title="", markdown=clean(text))


def _html(text: str) -> Parsed:
    from markdownify import markdownify

    found = _HTML_TITLE.search(text)
    body = markdownify(_NOT_TEXT.sub("", _COMMENT.sub("", clean(text))), heading_style="ATX", strip=["a", "img"])
    return Parsed(title=unescape(found[1]).strip() if found else "", markdown=body.strip())


_TEXTS: Mapping[str, Callable[[str], Parsed]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
}


def _checked(parsed: Parsed, name: str) -> Parsed:
    if len(parsed.markdown) > MAX_CHARACTERS:
        raise TooLarge(f"{name} holds more than {MAX_CHARACTERS:,} characters.", "Split it.")
    if not parsed.markdown.strip():
        raise Unreadable(f"{name} holds no text.", "If it is a scan, run text recognition on it first.")
    return parsed


def _in_child(data: bytes, name: str, kind: str) -> Parsed:
    """Let a fresh process read it. Its environment holds the module path and nothing else: no secrets to leak."""
    modules = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment = {"PYTHONPATH": modules, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "inference.grounding.parse_child", kind]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"{name} was not read within {TIMEOUT:.0f} s.", "Split it or save it anew.") from error
    if done.returncode != 0:
        raise Unreadable(f"{name} is damaged or would need too much memory.", "Open it, save it anew, and try again.")
    outcome = json.loads(done.stdout)
    if "error" in outcome:
        kinds = {"TooLarge": TooLarge, "Unreadable": Unreadable}
        raise kinds[outcome["error"]](f"{name}: {outcome['problem']}", outcome["next_step"])
    return Parsed(title=clean(outcome["title"]), markdown=clean(outcome["markdown"]))
