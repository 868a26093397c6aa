"""What can be read, how much of it, and what is wrong with the rest. The reading: inference/grounding/reader.py.

ParseError
├── Unsupported   a kind of file this cannot read
├── TooLarge      bigger than the limit, or would unfold to it
└── Unreadable    damaged, empty, or too much work
    ├── Locked    with a password, or to a seller's program
    └── NoText    pictures of text, or letters that cannot be told: it needs text recognition
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from inference.errors import InferenceError

#: Part of a document's recipe: raise it when the same file gives another text.
VERSION = "2"

MAX_BYTES = 50 * 1024 * 1024
MAX_CHARACTERS = 10_000_000

#: The endings that can be read, by the name of their reader.
KINDS = {
    ".csv": "csv",
    ".docx": "docx",
    ".epub": "epub",
    ".htm": "html",
    ".html": "html",
    ".markdown": "markdown",
    ".md": "markdown",
    ".pdf": "pdf",
    ".pptx": "pptx",
    ".tsv": "csv",
    ".txt": "text",
    ".xhtml": "html",
    ".xlsx": "xlsx",
}

#: Those that are archives or have a form of their own; the others are text and told apart by their names.
BINARY = frozenset({".docx", ".epub", ".pdf", ".pptx", ".xlsx"})


class ParseError(InferenceError):
    """A document could not be read."""


class Unsupported(ParseError):
    """A kind of file this cannot read."""


class TooLarge(ParseError):
    """Bigger than the limit."""


class Unreadable(ParseError):
    """Damaged, empty, or too much work."""


class Locked(Unreadable):
    """With a password, or to a seller's program."""


class NoText(Unreadable):
    """Pictures of text, or letters that cannot be told: it needs text recognition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A stretch of a document as Markdown, which ends where the next one begins."""

    text: str
    page: int = 0  # from 1; 0 where the format has no pages


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A document as its reader found it."""

    parts: tuple[Part, ...]
    title: str = ""  # its own title; empty when it has none
    unread: tuple[int, ...] = ()  # pages that need text recognition


def whole(markdown: str, title: str = "") -> Parsed:
    """A document without pages."""
    return Parsed(parts=(Part(text=markdown),), title=title)


def reader_of(name: str, kind: str = "") -> str:
    """Who reads a file of this name; `kind` is the ending that counts instead. Raises `Unsupported`."""
    suffix = kind or ending(name)
    if suffix not in KINDS:
        said = f"{name}: files of kind {suffix or '(none)'} cannot be read."
        raise Unsupported(said, _OLD.get(suffix) or _readable())
    return KINDS[suffix]


def ending(name: str) -> str:
    """The ending of a file's name, with its dot."""
    return Path(name).suffix.lower()


def kind_of(data: bytes, name: str) -> str:
    """The ending that a file's bytes ask for, whatever it is called; the name decides only between kinds of text.

    Raises `Unsupported` or `Unreadable`.
    """
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return ".pdf"
    if data.startswith(b"PK\x03\x04"):
        return _office(data, name)
    if data.startswith(OLE):
        raise old_office(data, name)
    if any(data.startswith(magic) for magic in _FOREIGN) or (b"\0" in data[:4096] and not data.startswith(_UTF16)):
        raise Unsupported(f"{name} holds neither text nor a known kind of document.", _readable())
    suffix = ending(name)
    return suffix if suffix in KINDS and suffix not in BINARY else ".txt"


def old_office(data: bytes, name: str) -> ParseError:
    """What is wrong with an office file that is no archive: it is locked, or of the forms of before 2007."""
    if "EncryptedPackage".encode("utf-16-le") in data:
        return Locked(f"{name} is locked with a password.", "Save it without a password.")
    return Unsupported(f"{name} is of an office format of before 2007.", "Save it as .docx, .xlsx or .pptx.")


def listed(numbers: Iterable[int]) -> str:
    """Pages as people write them: 2, 5–7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def check_size(size: int, name: str) -> None:
    """Raise `TooLarge` for more bytes than are read; can be asked before a file is opened."""
    if size > MAX_BYTES:
        limit = f"the limit is {MAX_BYTES // 1024**2} MB."
        raise TooLarge(f"{name} has {size / 1024**2:.0f} MB, {limit}", "Split it or export only its text.")


def supported() -> frozenset[str]:
    """The endings that can be read, with their dot."""
    return frozenset(KINDS)


def decode(data: bytes, name: str, declared: str = "") -> str:
    """Text of unknown encoding: UTF-8, UTF-16 with its mark, what it declares, or GB 18030 (which holds GBK)."""
    utf16 = data.startswith(_UTF16)
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", declared or "gb18030", "gb18030"):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if "\0" not in text:
            return text
    raise Unreadable(f"{name} is not text in a known encoding.", "Save it as UTF-8.")


def clean(text: str) -> str:
    """One kind of line end; no control, zero-width or direction characters, which hide text from the reader."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _HIDDEN.sub("", text)


_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufffe\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

OLE = b"\xd0\xcf\x11\xe0"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: How pictures, packed and running programs begin.
_FOREIGN = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"\x7fELF")
_OLD = {
    ending: f"Save it as {ending}x." for ending in (".doc", ".xls", ".ppt")
} | {".xlsm": "Save it as .xlsx.", ".docm": "Save it as .docx.", ".pptm": "Save it as .pptx."}  # fmt: skip
_FOLDERS = {"word": ".docx", "xl": ".xlsx", "ppt": ".pptx"}


def _office(data: bytes, name: str) -> str:
    """Which kind of document an archive is. Raises `Unsupported`."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = archive.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable(f"{name} is a damaged archive.", "Open it, save it anew, and try again.") from error
    folders = {member.partition("/")[0] for member in members}
    kind = next((suffix for folder, suffix in _FOLDERS.items() if folder in folders), "")
    if not kind and "META-INF/container.xml" in members:
        kind = ".epub"
    if not kind:
        raise Unsupported(f"{name} is an archive.", "Unpack it and give its documents one by one.")
    return kind


def _readable() -> str:
    return f"Readable are: {' '.join(sorted(supported()))}"
