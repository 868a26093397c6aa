"""Spreadsheets and lists of values as tables. Used in the child only."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any
from zipfile import ZipFile

from inference.grounding.archives import opened
from inference.grounding.parse import MAX_BYTES, Parsed, TooLarge, Unreadable, clean, decode, whole
from inference.grounding.tables import render

MAX_CELLS = 2_000_000
LONGEST_MERGE = 10_000  # rows: more is a formatted column, not a value said for many rows

_DELIMITERS = ",\t;|"
_LOOKED_AT = 20  # lines
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell ref="([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})"')


def read_csv(data: bytes, name: str) -> Parsed:
    """Values between commas, tabs, semicolons or bars: a table whose first row names the columns."""
    text = clean(decode(data, name))
    csv.field_size_limit(MAX_BYTES)
    return whole(_section(csv.reader(io.StringIO(text), delimiter=_delimiter(text))))


def read_xlsx(data: bytes, name: str) -> Parsed:
    """Excel: a section per sheet with its table; what stands alone in a row above the table stands above it."""
    import openpyxl

    archive = opened(data, name)
    if "xl/workbook.xml" not in archive.namelist():
        raise Unreadable(f"{name} is of another kind than its name says.", "Give it the ending of what it is.")
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    sections = [f"## {sheet.title}\n\n{_section(_rows(sheet, archive, name))}" for sheet in sheets]
    return whole("\n\n".join(sections), str(book.properties.title or ""))


def _section(rows: Iterable[Sequence[str]]) -> str:
    """The lines above a table, and the table."""
    above: list[str] = []
    table: list[Sequence[str]] = []
    for row in rows:
        filled = [" ".join(value.split()) for value in row if value.strip()]
        if not table and len(filled) == 1:
            above += filled
        elif filled:
            table.append(row)
    return "\n\n".join(filter(None, ("\n".join(above), render(table))))


def _delimiter(text: str) -> str:
    """What stands most evenly between the values of the first lines."""
    lines = [line for line in text[:100_000].split("\n")[:_LOOKED_AT] if line.strip()]

    def fit(delimiter: str) -> int:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        width, times = widths.most_common(1)[0] if widths else (1, 0)
        return times * (width > 1)

    return max(_DELIMITERS, key=fit)


def _rows(sheet: Any, archive: ZipFile, name: str) -> Iterator[list[str]]:
    """A sheet's rows as they are shown; a value merged over several rows is said in each.

    The size that a sheet declares is not believed: some programs write one that hides rows.
    """
    sheet.reset_dimensions()
    merged = _merged(archive, sheet._worksheet_path)
    below: dict[int, tuple[int, str]] = {}  # by column: the last row of a merged value, and the value
    cells = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells += len(row) or 1
        if cells > MAX_CELLS:
            problem = f"{name}: sheet {sheet.title!r} spans more than {MAX_CELLS:,} cells."
            raise TooLarge(problem, "Delete its empty rows and columns, or split it.")
        if not row and not below:
            continue
        values = ["" if cell.value is None else _shown(cell) for cell in row]
        for column, last in merged.pop(number, ()):
            if column < len(values):
                below[column] = (last, values[column])
        for column in [column for column, (last, _) in below.items() if last < number]:
            del below[column]
        if any(values):
            for column, (_, value) in below.items():
                values += [""] * (column + 1 - len(values))
                values[column] = values[column] or value
        yield values


def _merged(archive: ZipFile, path: str) -> dict[int, list[tuple[int, int]]]:
    """By row: the columns (from 0) in which a value begins that is merged downwards, each with its last row."""
    found: dict[int, list[tuple[int, int]]] = {}
    for letters, first, last in _MERGED.findall(archive.read(path)):
        if 0 < int(last) - int(first) <= LONGEST_MERGE:
            found.setdefault(int(first), []).append((_column(letters.decode()), int(last)))
    return found


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _shown(cell: Any) -> str:
    """A value as the sheet shows it, nearly: dates without midnight, shares with their %, no tails of binary."""
    value = cell.value
    if isinstance(value, datetime):
        return str(value.date() if value.time() == time() else value)
    if isinstance(value, (date, time)):
        return str(value)
    if isinstance(value, float):
        shown = f"{value * 100:.10g}%" if "%" in (cell.number_format or "") else f"{value:.12g}"
        return shown if "e" not in shown else str(value)
    return str(value)
