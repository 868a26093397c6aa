"""HTML as Markdown: headings and lists kept, tables as tables, nothing that a reader of the page does not see.

Used in the child only. Word files and books come through here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from inference.grounding.parse import Parsed, clean, decode, whole
from inference.grounding.tables import render

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w-]{1,40})""")

#: What no reader of a page sees, and what stands around every page of a site.
_UNSEEN = ("script", "style", "head", "template", "noscript", "svg", "canvas", "iframe", "object", "img")
_LEFT_OUT = frozenset((*_UNSEEN, "nav", "footer", "form", "button", "select", "dialog"))
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
MOST_COLUMNS = 1000
SAID_AGAIN = 200  # characters: a longer text is no label of rows or columns, and would fill them all


def read_html(data: bytes, name: str) -> Parsed:
    """A page with its title."""
    declared = _XML_ENCODING.search(data[:512]) or _CHARSET.search(data[:2048])
    text = clean(decode(data, name, declared[1].decode("ascii") if declared else ""))
    title, markdown = to_markdown(text)
    return whole(markdown, title)


def to_markdown(html: str) -> tuple[str, str]:
    """Title and text of a page."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "lxml")  # html.parser does not know that <td> and <p> may be left open
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    converted: str = _converter()(
        heading_style="ATX", strip=["a"], escape_asterisks=False, escape_underscores=False
    ).convert_soup(soup)
    return title, converted.strip()


@cache
def _converter() -> Any:
    """The class of the converter; made here because its base is imported late."""
    from markdownify import MarkdownConverter

    base: Any = MarkdownConverter

    class Converter(base):  # type: ignore[misc]
        def process_tag(self, node: Any, parent_tags: Any = None) -> str:
            if node.name in _LEFT_OUT or _hidden(node.attrs or {}):
                return ""
            if node.name == "table":
                return self._table(node, parent_tags or set())
            return str(super().process_tag(node, parent_tags=parent_tags))

        def convert_td(self, el: Any, text: str, parent_tags: Any) -> str:
            return text.strip()

        convert_th = convert_td

        def _table(self, table: Any, parents: set[str]) -> str:
            rows = [row for row in table.find_all("tr") if row.find_parent("table") is table]
            caption = table.find("caption", recursive=False)
            named = self.process_element(caption, parent_tags=parents).strip() if caption else ""
            if _is_layout(table, rows):
                cells = (cell for row in rows for cell in _cells(row))
                texts = [self._flowing(cell, parents) for cell in cells]
            elif "table" in parents:
                texts = ["; ".join(" ".join(self._text(cell, parents) for cell in _cells(row)) for row in rows)]
            else:
                grid = _grid([[(self._text(cell, parents), *_spans(cell)) for cell in _cells(row)] for row in rows])
                texts = [render(grid, _heads(rows))]
            return "\n\n" + "\n\n".join(filter(None, (named, *texts))) + "\n\n"

        def _text(self, cell: Any, parents: set[str]) -> str:
            return " ".join(self.process_tag(cell, {*parents, "table"}).split())

        def _flowing(self, cell: Any, parents: set[str]) -> str:
            cell.name = "div"
            return self.process_tag(cell, parents).strip()

    return Converter


def _hidden(attributes: Mapping[str, Any]) -> bool:
    style = str(attributes.get("style", "")).lower()
    return "hidden" in attributes or (bool(style) and _HIDDEN.search(style) is not None)


def _cells(row: Any) -> list[Any]:
    return [cell for cell in row.find_all(["td", "th"], recursive=False) if not _hidden(cell.attrs)]


def _is_layout(table: Any, rows: list[Any]) -> bool:
    """Whether a table only puts things in their places: one column, or whole chapters in its cells."""
    return all(len(_cells(row)) < 2 for row in rows) or table.find(_HEADINGS) is not None


def _heads(rows: list[Any]) -> int:
    """How many rows name the columns: those that say so, else the first."""
    said = 0
    for row in rows[:3]:
        cells = _cells(row)
        if (row.parent is None or row.parent.name != "thead") and not all(cell.name == "th" for cell in cells):
            break
        said += 1
    return max(said, 1)


def _spans(cell: Any) -> tuple[int, int]:
    return _number(cell.attrs.get("rowspan")), _number(cell.attrs.get("colspan"))


def _number(written: object) -> int:
    return min(max(int(written), 1), MOST_COLUMNS) if isinstance(written, str) and written.isdecimal() else 1


def _grid(rows: list[list[tuple[str, int, int]]]) -> list[list[str]]:
    """Cells that span rows are said again in each, those that span columns in each of the first row only."""
    grid: list[list[str]] = []
    below: dict[int, tuple[str, int]] = {}  # by column: a text from above, and for how many rows yet
    for number, row in enumerate(rows):
        line: list[str] = []
        for text, down, across in row:
            _drop_down(line, below)
            for n in range(across if len(line) < MOST_COLUMNS else 1):
                again = text if len(text) <= SAID_AGAIN else ""
                shown = text if not n else "" if number else again
                if down > 1:
                    below[len(line)] = (again if not n or not number else "", down - 1)
                line.append(shown)
        _drop_down(line, below)
        grid.append(line)
    return grid


def _drop_down(line: list[str], below: dict[int, tuple[str, int]]) -> None:
    """Fill the next places of a row with what spans down into it."""
    while len(line) in below:
        at = len(line)
        text, rows = below.pop(at)
        if rows > 1:
            below[at] = (text, rows - 1)
        line.append(text)
