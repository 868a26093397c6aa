"""PDF as Markdown: a section per page, running heads dropped, lines joined to paragraphs. Used in the child only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from inference.grounding.parse import Unreadable

#: A text layer whose characters are letters, digits and usual marks to a smaller share is garbage (0.98 is usual,
#: a font without its map gives 0.3), and fewer characters a page mean a scan.
LEGIBLE = 0.85
FEWEST = 20

#: A first or last line that stands on this share of the pages (of three or more) is a running head.
REPEATED = 0.6

_LEGIBLE = re.compile("[\\s0-9A-Za-z\u3000-\u30ff\u3400-\u9fff\uff00-\uffef\u2010-\u2027!-/:-@\\[-`{-~·×°%¥€£]")
_ENDS = tuple("。！？；：.!?;:")


def read_pdf(data: bytes) -> tuple[str, str]:
    """Title and text. Raises `Unreadable` for a locked or damaged file, a scan, and fonts that cannot be read."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        problem = "it is locked with a password." if locked else "it is damaged or no PDF."
        raise Unreadable(problem, "Save it without a password." if locked else "Export it anew.") from error
    pages = [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]
    _check_legible("".join(pages), len(pages))
    title = str(document.get_metadata_value("Title") or "")
    return title, "\n\n".join(_sections(pages))


def _check_legible(text: str, pages: int) -> None:
    step = "Run text recognition on it, or export it anew with its fonts."
    dense = "".join(text.split())
    if len(dense) < FEWEST * max(pages, 1):
        raise Unreadable("it holds pictures of text instead of text.", step)
    if len(_LEGIBLE.findall(dense)) < LEGIBLE * len(dense):
        raise Unreadable("its fonts do not say which letters they draw.", step)


def _sections(pages: list[str]) -> Iterator[str]:
    lines = [[line.strip() for line in page.split("\n") if line.strip()] for page in pages]
    running = _running(lines)
    for number, page in enumerate(lines, 1):
        body = [line for line in page if _shape(line) not in running]
        if body:
            yield f"## p. {number}\n\n" + "\n".join(_paragraphs(body))


def _running(pages: list[list[str]]) -> frozenset[str]:
    """The shapes of lines that stand at the top or bottom of most pages."""
    if len(pages) < 3:
        return frozenset()
    edges = Counter(shape for page in pages for shape in {_shape(line) for line in (*page[:1], *page[-1:])})
    return frozenset(shape for shape, count in edges.items() if count > REPEATED * len(pages))


def _shape(line: str) -> str:
    """A line without its numbers: page 3 of 12 and page 4 of 12 are the same."""
    return re.sub(r"\d+", "0", line)


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Lines that were only broken by the page's width, joined: those nearly as long as the longest."""
    width = max(map(len, lines))
    paragraph = ""
    for line in lines:
        blank = " " if paragraph[-1:].isascii() and paragraph and line[:1].isascii() else ""
        paragraph += blank + line
        if line.endswith(_ENDS) or len(line) < 0.85 * width:
            yield paragraph
            paragraph = ""
    if paragraph:
        yield paragraph
