"""PDF as Markdown: running heads dropped, lines joined to paragraphs across pages, headings where the file names them.

Used in the child only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from inference.grounding.parse import MAX_CHARACTERS, Locked, NoText, Parsed, Part, TooLarge, Unreadable, clean

#: A text layer whose characters are letters, digits and usual marks to a smaller share is garbage (0.98 is usual,
#: a font without its map gives 0.3), and fewer characters a page mean a scan.
LEGIBLE = 0.85
FEWEST = 20

#: A line among the first or last two that stands on this share of the pages (of three or more) is a running head.
REPEATED = 0.6
EDGE = 2

MOST_ENTRIES = 5000  # of a table of contents

_LEGIBLE = re.compile(
    "[\\s0-9A-Za-z!-/:-@\\[-`{-~\u00a0-\u024f\u2010-\u2044\u20ac\u2100-\u22ff\u2460-\u27bf"
    "\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]"
)
#: Of other scripts one counts, the most frequent: garbage takes from all of them.
_SCRIPTS = [
    re.compile(f"[{script}]")
    for script in (
        "\u0370-\u03ff",  # Greek
        "\u0400-\u052f",  # Cyrillic
        "\u0590-\u05ff",  # Hebrew
        "\u0600-\u06ff",  # Arabic
        "\u0900-\u097f",  # Devanagari
        "\u0e00-\u0e7f",  # Thai
        "\u1100-\u11ff\uac00-\ud7af",  # Korean
        "\U00020000-\U0003ffff",  # rare Chinese
    )
]
_ENDS = tuple("。！？；：.!?;:")
_STEP = "Run text recognition (OCR) on it, or export it anew with its fonts."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    number: int  # from 1
    text: str
    pictured: bool  # it holds a picture and hardly a letter

    @property
    def dense(self) -> str:
        return "".join(self.text.split())


def read_pdf(data: bytes, name: str) -> Parsed:
    """Pages of text; those that are only pictures of text, or whose letters cannot be told, are named.

    Raises `Locked`, `NoText` for a scan and for fonts that do not say what they draw, `Unreadable` for a damaged file.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        if locked:
            raise Locked(f"{name} is locked with a password.", "Save it without a password.") from error
        raise Unreadable(f"{name} is damaged or no PDF.", "Export it anew.") from error
    pages = list(_pages(document, name))
    if sum(len(page.dense) for page in pages) < FEWEST * max(len(pages), 1):
        raise NoText(f"{name} holds pictures of text instead of text.", _STEP)
    legible = [page for page in pages if _legible(page.dense)]
    if not any(page.dense for page in legible):
        raise NoText(f"{name} has fonts that do not say which letters they draw.", _STEP)
    return Parsed(
        parts=tuple(_parts(legible, _outline(document))),
        title=clean(str(document.get_metadata_value("Title") or "")).strip(),
        unread=tuple(page.number for page in pages if page.pictured or not _legible(page.dense)),
    )


def _pages(document: Any, name: str) -> Iterator[_Page]:
    characters = 0
    for at in range(len(document)):
        page = document[at]
        text = page.get_textpage().get_text_bounded()
        characters += len(text)
        if characters > MAX_CHARACTERS:
            raise TooLarge(f"{name} holds more than {MAX_CHARACTERS:,} characters.", "Split it.")
        # U+FFFE stands where a word was broken at the end of a line.
        text = clean(text.replace("\r\n", "\n").replace("\ufffe\n", ""))
        bare = len("".join(text.split())) < FEWEST
        yield _Page(number=at + 1, text=text, pictured=bare and _has_picture(page))
        page.close()


def _has_picture(page: Any) -> bool:
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    return next(iter(page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3)), None) is not None


def _legible(dense: str) -> bool:
    """Whether characters are those of a text; of too few nothing can be said."""
    if len(dense) < FEWEST:
        return True
    usual = len(_LEGIBLE.findall(dense))
    return usual >= LEGIBLE * len(dense) or usual + max(
        len(script.findall(dense)) for script in _SCRIPTS
    ) >= LEGIBLE * len(dense)


def _outline(document: Any) -> Mapping[int, Mapping[str, int]]:
    """By page number: the titles that the file's table of contents puts there, without blanks, and their levels."""
    found: dict[int, dict[str, int]] = {}
    for entry in islice(document.get_toc(max_depth=6), MOST_ENTRIES):
        target = entry.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            found.setdefault(page + 1, {})["".join(clean(entry.get_title()).split())] = entry.level
    return found


def _parts(pages: Iterable[_Page], outline: Mapping[int, Mapping[str, int]]) -> Iterator[Part]:
    lines = {page.number: [line.strip() for line in page.text.split("\n") if line.strip()] for page in pages}
    bodies = _bodies({number: page for number, page in lines.items() if page})
    full = [(number, _headed(body, outline.get(number, {}))) for number, body in bodies if body]
    for (number, body), (_, following) in pairwise([*full, (0, [])]):
        yield Part(text="\n".join(_paragraphs(body)) + _between(body, following), page=number)


def _bodies(pages: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[str]]]:
    """The pages without the lines that run through them; one at the top stands where it comes first: a title may."""
    running = _running(list(pages.values()))
    met: set[tuple[int, str]] = set()
    for number, page in pages.items():
        edges = _edges(page)
        out = {at for at, edge in edges.items() if edge in running and (edge[0] < 0 or edge in met)}
        met.update(edges.values())
        yield number, [line for at, line in enumerate(page) if at not in out]


def _running(pages: Sequence[Sequence[str]]) -> frozenset[tuple[int, str]]:
    """The places and shapes of lines that stand at the top or bottom of most pages."""
    if len(pages) < 3:
        return frozenset()
    edges = Counter(edge for page in pages for edge in set(_edges(page).values()))
    return frozenset(edge for edge, count in edges.items() if count > REPEATED * len(pages))


def _edges(page: Sequence[str]) -> dict[int, tuple[int, str]]:
    """By index: the place (from the nearer edge) and the shape of a page's first and last lines.

    A line without its numbers: page 3 of 12 and page 4 of 12 are the same.
    """
    top = {at: at for at in range(min(EDGE, len(page)))}
    bottom = {len(page) + at: at for at in range(-min(EDGE, len(page)), 0)}
    return {index: (place, re.sub(r"\d+", "0", page[index])) for index, place in (top | bottom).items()}


def _headed(lines: Sequence[str], titles: Mapping[str, int]) -> list[str]:
    """The lines of a page, those that are titles marked as headings."""
    levels = [titles.get("".join(line.split())) for line in lines]
    return [
        line if level is None else f"{'#' * min(level + 2, 6)} {line}"
        for line, level in zip(lines, levels, strict=True)
    ]


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Lines that were only broken by the page's width, joined: those nearly as long as the longest."""
    width = max(map(len, lines))
    paragraph = ""
    for line in lines:
        if line.startswith("#"):
            yield from filter(None, (paragraph, line))
            paragraph = ""
            continue
        paragraph += _blank(paragraph, line) + line
        if not _goes_on(line, width):
            yield paragraph
            paragraph = ""
    if paragraph:
        yield paragraph


def _goes_on(line: str, width: int) -> bool:
    return not line.endswith(_ENDS) and len(line) >= 0.85 * width


def _blank(before: str, after: str) -> str:
    return " " if before[-1:].isascii() and before and after[:1].isascii() else ""


def _between(body: Sequence[str], following: Sequence[str]) -> str:
    """What stands between two pages: nothing where a sentence goes on."""
    if following and not following[0].startswith("#") and _goes_on(body[-1], max(map(len, body))):
        return _blank(body[-1], following[0])
    return "\n\n"
