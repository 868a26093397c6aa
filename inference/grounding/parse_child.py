"""The reader of binary documents: a process of its own, `python -m inference.grounding.parse_child <kind>`.

The document comes on stdin; one JSON object goes out: {"title", "markdown"} or {"error", "problem", "next_step"}.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inference.grounding.parse import ParseError, TooLarge, Unreadable
from inference.grounding.pdf import read_pdf

MEMORY = 2 * 1024**3  # bytes of address space
CPU_SECONDS = 60

#: An office file is an archive. Honest ones unfold at most 32-fold, bombs several hundred-fold.
UNFOLDED = 200 * 1024**2
FOLD = 100
FOLD_FROM = 1024**2  # smaller members do no harm

MAX_CELLS = 2_000_000


def main() -> int:
    """Read stdin as the kind named on the command line."""
    limit()
    try:
        title, markdown = READERS[sys.argv[1]](sys.stdin.buffer.read())
        outcome = {"title": title, "markdown": markdown}
    except ParseError as error:
        outcome = {"error": type(error).__name__, "problem": error.problem, "next_step": error.next_step}
    sys.stdout.write(json.dumps(outcome))
    return 0


def limit() -> None:
    """Bound this process for good: memory, processor time, no core file with somebody's document in it."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS does not know a limit of the address space
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def read_docx(data: bytes) -> tuple[str, str]:
    """Word: headings, lists and tables kept, pictures left out."""
    import mammoth
    from markdownify import markdownify

    _check_archive(data)
    html = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(lambda image: {})).value
    return "", markdownify(html, heading_style="ATX", table_infer_header=True, strip=["a", "img"]).strip()


def read_xlsx(data: bytes) -> tuple[str, str]:
    """Excel: a section per sheet, a line per row that names its columns, so that a row can be quoted alone."""
    import openpyxl

    _check_archive(data)
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    sheets = [f"## {sheet.title}\n\n" + "\n".join(_sheet_lines(sheet)) for sheet in book.worksheets]
    return str(book.properties.title or ""), "\n\n".join(sheets)


def read_pptx(data: bytes) -> tuple[str, str]:
    """PowerPoint: a section per slide with its title, texts, tables and the speaker's notes."""
    import pptx

    _check_archive(data)
    deck = pptx.Presentation(io.BytesIO(data))
    slides = ["\n\n".join(_slide_blocks(number, slide)) for number, slide in enumerate(deck.slides, 1)]
    return str(deck.core_properties.title or ""), "\n\n".join(slides)


READERS: Mapping[str, Callable[[bytes], tuple[str, str]]] = {
    "docx": read_docx,
    "xlsx": read_xlsx,
    "pptx": read_pptx,
    "pdf": read_pdf,
}


def _check_archive(data: bytes) -> None:
    """Refuse what is no archive or would unfold too far, before anything is unfolded."""
    try:
        members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except zipfile.BadZipFile as error:
        problem = "it is damaged, locked with a password, or of another kind than its name says."
        raise Unreadable(problem, "Open it, save it anew without a password, and try again.") from error
    folded = any(m.file_size > FOLD_FROM and m.file_size > FOLD * max(m.compress_size, 1) for m in members)
    if folded or sum(member.file_size for member in members) > UNFOLDED:
        raise TooLarge("it would unfold to too much data.", "Split it.")


def _sheet_lines(sheet: Any) -> Iterator[str]:
    if (sheet.max_row or 0) * (sheet.max_column or 0) > MAX_CELLS:
        raise TooLarge(
            f"sheet {sheet.title!r} spans more than {MAX_CELLS:,} cells.", "Delete its empty rows and columns."
        )
    head: list[str] | None = None
    for row in sheet.iter_rows(values_only=True):
        cells = ["" if value is None else " ".join(str(value).split()) for value in row]
        if sum(map(bool, cells)) == 0:
            continue
        if head is None and sum(map(bool, cells)) > 1:
            head = cells
            continue
        named = zip(head or [""] * len(cells), cells, strict=False)
        yield "- " + "；".join(f"{name}：{cell}" if name else cell for name, cell in named if cell)


def _slide_blocks(number: int, slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    yield f"## {' '.join(title.text_frame.text.split()) if title is not None and title.has_text_frame else number}"
    for shape in slide.shapes:
        if shape.has_table:
            yield "\n".join(
                "| " + " | ".join(" ".join(c.text.split()) for c in r.cells) + " |" for r in shape.table.rows
            )
        elif shape.has_text_frame and (title is None or shape.shape_id != title.shape_id):
            yield shape.text_frame.text.replace("\v", "\n").strip()
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text.strip()


if __name__ == "__main__":
    sys.exit(main())
