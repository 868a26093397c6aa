"""A file as passages with their search terms: read, cleaned, cut. Used in the child, and by tests without one.

Titles and headings are part of what a passage is found by; pages are not: "3 days" must not find every third page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from inference.grounding import chunk
from inference.grounding.blocks import LONGEST_NAME
from inference.grounding.chunk import STANDARD, Chunk, Cutting, Page
from inference.grounding.epub import read_epub
from inference.grounding.markup import read_html
from inference.grounding.office import read_docx, read_pptx
from inference.grounding.parse import MAX_CHARACTERS, NoText, Parsed, TooLarge, clean, reader_of
from inference.grounding.pdf import read_pdf
from inference.grounding.search import index_terms
from inference.grounding.sheets import read_csv, read_xlsx
from inference.grounding.tables import divided
from inference.grounding.texts import read_markdown, read_text
from storage.records import NewPassage

READERS: Mapping[str, Callable[[bytes, str], Parsed]] = {
    "csv": read_csv,
    "docx": read_docx,
    "epub": read_epub,
    "html": read_html,
    "markdown": read_markdown,
    "pdf": read_pdf,
    "pptx": read_pptx,
    "text": read_text,
    "xlsx": read_xlsx,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A document as text. `markdown` is what offsets of passages refer to."""

    title: str
    markdown: str
    pages: tuple[Page, ...]
    unread: tuple[int, ...]  # pages that need text recognition


def read(data: bytes, name: str, *, kind: str = "", title: str = "", cutting: Cutting = STANDARD) -> Text:
    """Read a document. `kind` is the ending that says what it is, `title` what it is called for sure.

    Raises `ParseError`, and whatever a reader of a foreign format may raise.
    """
    parsed = READERS[reader_of(name, kind)](data, name)
    texts = [divided(clean(part.text), cutting.size) for part in parsed.parts]
    starts = accumulate(map(len, texts), initial=0)
    pages = tuple(
        Page(start=start, number=part.page) for start, part in zip(starts, parsed.parts, strict=False) if part.page
    )
    markdown = "".join(texts)
    if len(markdown) > MAX_CHARACTERS:
        raise TooLarge(f"{name} holds more than {MAX_CHARACTERS:,} characters.", "Split it.")
    if not markdown.strip():
        raise NoText(f"{name} holds no text.", "If it is a scan, run text recognition (OCR) on it first.")
    named = title or clean(" ".join(parsed.title.split()))[:LONGEST_NAME] or chunk.title(markdown, Path(name).stem)
    return Text(title=named, markdown=markdown, pages=pages, unread=parsed.unread)


def cut(text: Text, cutting: Cutting = STANDARD) -> list[Chunk]:
    """Its passages, without their terms."""
    return chunk.chunk(text.markdown, cutting, text.pages)


def passages(text: Text, pieces: Sequence[Chunk]) -> Iterator[NewPassage]:
    """The passages as they are kept."""
    for piece in pieces:
        terms = index_terms(_indexed(text.title, piece))
        yield NewPassage(heading=piece.place, start=piece.start, end=piece.end, text=piece.text, terms=terms)


def _indexed(title: str, piece: Chunk) -> str:
    """What a passage is found by: its text and the headings it stands under, the document's title once."""
    heading = piece.heading if piece.heading.startswith(title) else f"{title}\n{piece.heading}"
    return f"{heading}\n{piece.text}"
