"""Word and PowerPoint as Markdown. Used in the child only."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any
from zipfile import ZipFile

from inference.grounding.archives import opened
from inference.grounding.markup import to_markdown
from inference.grounding.parse import Parsed, Part, Unreadable, whole
from inference.grounding.tables import render

#: Word's own title is the heading above the others.
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='标题'] => h1:fresh"

WORDS = "word/document.xml"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

_DEEPEST = 20  # groups of shapes within groups


def read_docx(data: bytes, name: str) -> Parsed:
    """Word: headings, lists and tables kept, pictures left out."""
    import mammoth

    archive = opened(data, name)
    _has(archive.namelist(), WORDS, name)
    html = mammoth.convert_to_html(
        io.BytesIO(_shown(data, archive)), style_map=_STYLES, convert_image=mammoth.images.img_element(lambda image: {})
    ).value
    return whole(to_markdown(html)[1])


def read_pptx(data: bytes, name: str) -> Parsed:
    """PowerPoint: a page per slide with its title, texts, tables and the speaker's notes; no hidden slides."""
    import pptx

    _has(opened(data, name).namelist(), "ppt/presentation.xml", name)
    deck = pptx.Presentation(io.BytesIO(data))
    parts = (
        Part(text="\n\n".join(filter(None, _blocks(slide))) + "\n\n", page=number)
        for number, slide in enumerate(deck.slides, 1)
        if slide._element.get("show") != "0"
    )
    return Parsed(parts=tuple(part for part in parts if part.text.strip()), title=str(deck.core_properties.title or ""))


def _shown(data: bytes, archive: ZipFile) -> bytes:
    """The file without the text that Word hides from its readers, which mammoth would give like any other."""
    written = archive.read(WORDS)
    if b"vanish" not in written:
        return data
    from lxml import etree

    root = etree.fromstring(written, etree.XMLParser(resolve_entities=False, no_network=True))
    for mark in list(root.iter(f"{{{_WORD}}}vanish")):
        run = mark.getparent().getparent()
        off = mark.get(f"{{{_WORD}}}val") in ("0", "false", "off")
        if run is not None and run.tag == f"{{{_WORD}}}r" and run.getparent() is not None and not off:
            run.getparent().remove(run)
    out = io.BytesIO()
    with ZipFile(out, "w") as copy:
        for member in archive.namelist():
            copy.writestr(member, etree.tostring(root) if member == WORDS else archive.read(member))
    return out.getvalue()


def _has(members: Iterable[str], wanted: str, name: str) -> None:
    if wanted not in members:
        raise Unreadable(f"{name} is of another kind than its name says.", "Give it the ending of what it is.")


def _blocks(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    named = " ".join(title.text_frame.text.split()) if title is not None and title.has_text_frame else ""
    yield f"## {named}" if named else ""
    for shape in _shapes(slide.shapes):
        if shape.has_table:
            yield render([[cell.text for cell in row.cells] for row in shape.table.rows])
        elif shape.has_text_frame and (title is None or shape.shape_id != title.shape_id):
            yield shape.text_frame.text.replace("\v", "\n").strip()
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text.strip()


def _shapes(shapes: Iterable[Any], depth: int = 0) -> Iterator[Any]:
    """Every shape with text, those in groups too."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth < _DEEPEST:
                yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape
