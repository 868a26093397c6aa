"""Documents of every format, made on the spot: honest ones and what bad ones are built from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def archive(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def docx(*paragraphs: str, body: str = "", before: str = "") -> bytes:
    """A minimal Word file; the first paragraph is a heading. `body` is more of it, `before` stands above its root."""
    style = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    said = "".join(
        f"<w:p>{style if not i else ''}<w:r><w:t>{words}</w:t></w:r></w:p>" for i, words in enumerate(paragraphs)
    )
    return archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument'
            '.wordprocessingml.document.main+xml"/>'
            '<Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument'
            '.wordprocessingml.styles+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f'<w:styles {WORD}><w:style w:type="paragraph" w:styleId="Heading1">'
            '<w:name w:val="heading 1"/></w:style></w:styles>',
            "word/document.xml": f"{before}<w:document {WORD}><w:body>{said}{body}</w:body></w:document>",
        }
    )


def word_table(rows: Sequence[Sequence[str]]) -> str:
    """A table for the body of a Word file; "↑" continues the cell above."""

    def cell(text: str, below: bool) -> str:
        merge = "<w:vMerge/>" if text == "↑" else '<w:vMerge w:val="restart"/>' if below else ""
        said = "" if text == "↑" else text
        return f"<w:tc><w:tcPr>{merge}</w:tcPr><w:p><w:r><w:t>{said}</w:t></w:r></w:p></w:tc>"

    def row(at: int) -> str:
        below = rows[at + 1] if at + 1 < len(rows) else [""] * len(rows[at])
        return f"<w:tr>{''.join(cell(text, under == '↑') for text, under in zip(rows[at], below, strict=True))}</w:tr>"

    return f"<w:tbl>{''.join(row(at) for at in range(len(rows)))}</w:tbl>"


def xlsx(rows: Sequence[Sequence[object]], name: str = "通讯录", merged: Sequence[str] = ()) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = name
    for row in rows:
        sheet.append(list(row))
    for cells in merged:
        sheet.merge_cells(cells)
    hidden = book.create_sheet("草稿")
    hidden.append(["不给人看的", "草稿"])
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def sheet(cells: str, *, before: str = "", ending: str = "") -> bytes:
    """A workbook whose only sheet has these cells, in Excel's own words."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    told = f'<dimension ref="{ending}"/>' if ending else ""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    return archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook {space} xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
            "</sheets></workbook>",
            "xl/worksheets/sheet1.xml": f"{before}<worksheet {space}>{told}<sheetData>{cells}</sheetData></worksheet>",
        }
    )


def pptx() -> bytes:
    """Three slides: with notes, hidden, and with a table in a group's place."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    first, hidden, last = (deck.slides.add_slide(deck.slide_layouts[n]) for n in (1, 1, 6))
    for slide, title in ((first, "季度目标"), (hidden, "藏起来的")):
        assert slide.shapes.title is not None
        slide.shapes.title.text = title
    first.placeholders[1].text = "响应时间减半"
    assert first.notes_slide.notes_text_frame is not None
    first.notes_slide.notes_text_frame.text = "强调客户反馈"
    hidden._element.set("show", "0")
    table = last.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for at, text in enumerate(("城市", "标准", "上海", "500|600")):
        table.cell(at // 2, at % 2).text = text
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def epub(chapters: Mapping[str, str], *, title: str = "员工手册", more: Mapping[str, str] = {}) -> bytes:
    """A book whose chapters are read in the order given."""
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/content.opf"/></rootfiles></container>',
            "OEBPS/content.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/'
            f'1.1/"><metadata><dc:title>{title}</dc:title></metadata><manifest>{items}<item id="toc" href="nav.xhtml" '
            'properties="nav" media-type="application/xhtml+xml"/></manifest>'
            f'<spine><itemref idref="toc"/>{spine}</spine></package>',
            "OEBPS/nav.xhtml": "<html><body><p>目录</p></body></html>",
            **{f"OEBPS/{name}": text for name, text in chapters.items()},
            **more,
        }
    )


LATIN = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
CHINESE = (
    "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [<< /Type /Font "
    "/Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 "
    ">> /FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 >> >>] >>"
)
#: A font that does not say which letters it draws.
MUTE = (
    "<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [<< /Type /Font /Subtype "
    "/CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
    "/FontDescriptor << /Type /FontDescriptor /FontName /X /Flags 4 >> >>] >>"
)


def drawn(lines: Sequence[str], font: str = "F2") -> str:
    """A page's content: lines of Chinese (F2), of Latin (F1), or of letters that nobody can tell (F3)."""

    def shown(line: str) -> str:
        return f"({line})" if font == "F1" else f"<{line.encode('utf-16-be').hex()}>"

    return f"BT /{font} 12 Tf 50 760 Td {' 0 -16 Td '.join(f'{shown(line)} Tj' for line in lines)} ET"


def picture() -> str:
    """A page's content: a picture of one grey dot, large."""
    return "q 500 0 0 700 50 50 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x80 EI Q"


def pdf(*pages: str, outline: Sequence[tuple[str, int]] = (), trailer: str = "", stream: bytes = b"") -> bytes:
    """A PDF of these contents; `outline` names pages (from 0), `stream` is a packed content of the last page."""
    objects: list[bytes] = [b"", b"", LATIN.encode(), CHINESE.encode(), MUTE.encode()]
    kids = []
    for page in pages:
        content = page.encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        if stream and page is pages[-1]:
            packed = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream"
            objects[-1] = packed % (len(stream), stream)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R /Resources << /Font << /F1 3 0 R "
            b"/F2 4 0 R /F3 5 0 R >> >> >>" % len(objects)
        )
        kids.append(len(objects))
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(f'{n} 0 R' for n in kids)}] /Count {len(kids)} >>".encode()
    first = len(objects) + 2
    entries = [
        f"<< /Title <feff{title.encode('utf-16-be').hex()}> /Parent {first - 1} 0 R /Dest [{kids[page]} 0 R /Fit] "
        f"{f'/Next {first + at + 1} 0 R' if at + 1 < len(outline) else ''} >>".encode()
        for at, (title, page) in enumerate(outline)
    ]
    objects[0] = f"<< /Type /Catalog /Pages 2 0 R {f'/Outlines {first - 1} 0 R' if outline else ''} >>".encode()
    if outline:
        objects.append(f"<< /First {first} 0 R /Last {first + len(outline) - 1} 0 R /Count {len(outline)} >>".encode())
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate([*objects, *entries], 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer << /Size {len(offsets) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {len(offsets) + 1}\n0000000000 65535 f \n{table}{end}".encode()
