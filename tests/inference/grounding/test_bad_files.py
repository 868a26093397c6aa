"""Files that are made to harm, damaged or not what they say: each is refused with its reason, or read harmlessly.

All go through one reader, as in the server; behind each an honest document must be read as before.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator

import pytest

from inference.grounding import reader
from inference.grounding.parse import KINDS, Locked, ParseError, TooLarge, Unreadable, Unsupported
from inference.grounding.reader import Readers
from tests.inference.grounding.made import WORD, archive, docx, drawn, epub, pdf, pptx, sheet, xlsx

GOOD = "# 制度\n\n年假十天。".encode()
SECONDS = 2  # of processor time: what takes longer is not harmless


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    made = Readers()
    yield made
    made.close()


def read(readers: Readers, name: str, data: bytes) -> str:
    """The text of a document; behind it another one is read."""

    def ask(name: str, data: bytes) -> str:
        request = {"name": name, "kind": "", "title": "", "size": 500, "overlap": 75, "seconds": SECONDS}
        return "\n".join(one.text for one in readers.read({**request, "bytes": len(data)}, data).passages)

    try:
        return ask(name, data)
    finally:
        assert ask("good.md", GOOD) == "年假十天。"


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(20_000)


HONEST: dict[str, Callable[[], bytes]] = {
    ".docx": lambda: docx("制度", "年假十天。" * 200),
    ".epub": lambda: epub({"a.xhtml": "<h1>制度</h1><p>年假十天。</p>" * 50}),
    ".pdf": lambda: pdf(*[drawn(["员工每年可享受十天带薪年休假。"] * 20)] * 5),
    ".pptx": pptx,
    ".xlsx": lambda: xlsx([["姓名", "分机"], *[["张三", n] for n in range(300)]]),
}


@pytest.mark.parametrize("suffix", sorted(KINDS))
def test_nothing_and_noise_under_every_ending(readers: Readers, suffix: str) -> None:
    for data in (b"", noise(1), b"\xff\xfe" + noise(2), b"PK\x03\x04" + noise(3), b"%PDF-1.7\n" + noise(4)):
        try:
            read(readers, f"a{suffix}", data)
        except (Unreadable, Unsupported) as error:
            assert str(error).startswith(f"a{suffix}")  # noqa: PT017


@pytest.mark.parametrize("suffix", sorted(HONEST))
def test_damaged_at_any_place(readers: Readers, suffix: str) -> None:
    """Cut short, or with bytes turned over: most is refused, some a reader can mend; no third way."""
    whole = HONEST[suffix]()
    assert read(readers, f"a{suffix}", whole)
    chance = random.Random(7)
    cut = [whole[: len(whole) * part // 10] for part in (1, 5, 9)] + [whole[:-30], whole[200:]]
    turned = []
    for _ in range(8):
        bits = bytearray(whole)
        for at in chance.sample(range(len(bits)), 6):
            bits[at] ^= 1 << chance.randrange(8)
        turned.append(bytes(bits))
    refused = 0
    for data in (*cut, *turned):
        try:
            read(readers, f"a{suffix}", data)
        except ParseError:
            refused += 1
    assert refused >= 2


def locked(data: bytes) -> bytes:
    """An archive whose members say that they are encrypted."""
    return data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def lying(name: str, size: int) -> bytes:
    """An archive with a member that unfolds to `size` bytes and says that it has 10."""
    data = archive({"[Content_Types].xml": "x", name: b"\0" * size})
    return data.replace(struct.pack("<L", size), struct.pack("<L", 10))


def zeros(megabytes: int) -> bytes:
    """So many megabytes of blanks, packed a thousandfold, made at once: one packed megabyte again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = packer.compress(b" " * 1024**2) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\x9c" + once * megabytes + b"\x03\x00"


LAUGHS = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
LAUGHS = f"<!DOCTYPE x [<!ENTITY a0 'ha'>{LAUGHS}]>"
SECRET = "root:x:0:0"
OUTSIDE = '<!DOCTYPE x [<!ENTITY leak SYSTEM "file:///etc/passwd">]>'
PARAGRAPH = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
CELL = '<row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row>'
DRM = {
    "META-INF/encryption.xml": '<encryption><m Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
}
WIDE = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 125))
NESTED = "<w:sdt>" * 3000 + "</w:sdt>" * 3000
FAR = CELL.format("end").replace("A1", "XFD1048576").replace('r="1"', 'r="1048576"')
TEXT = drawn(["员工每年可享受十天带薪年休假。"] * 3)
CRYPT = "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{0}> /U <{0}> >> /ID [<{0}><{0}>]".format("ab" * 32)


@pytest.mark.parametrize(
    ("name", "make", "error", "said"),
    [
        ("bomb.docx", lambda: archive({"word/document.xml": "0" * 3_000_000}), TooLarge, "unfold"),
        ("bomb.xlsx", lambda: archive({"xl/workbook.xml": "0" * 3_000_000}), TooLarge, "unfold"),
        ("bomb.epub", lambda: archive({"META-INF/container.xml": "0" * 3_000_000}), TooLarge, "unfold"),
        ("lying.docx", lambda: lying("word/document.xml", 3_000_000), Unreadable, "damaged"),
        ("lying.epub", lambda: lying("META-INF/container.xml", 3_000_000), Unreadable, "damaged"),
        ("many.docx", lambda: archive(dict.fromkeys(map(str, range(10_001)), "")), TooLarge, "unfold"),
        ("laughs.docx", lambda: docx("x", body=PARAGRAPH.format("&a11;"), before=LAUGHS), Unreadable, "damaged"),
        ("laughs.xlsx", lambda: sheet(CELL.format("&a11;"), before=LAUGHS), Unreadable, "damaged"),
        ("laughs.epub", lambda: epub({"a.xhtml": "x"}, title="&a11;"), Unreadable, "damaged"),
        ("wide.xlsx", lambda: sheet(WIDE), TooLarge, "cells"),
        ("locked.docx", lambda: locked(docx("x")), Locked, "password"),
        ("locked.xlsx", lambda: locked(xlsx([["x"]])), Locked, "password"),
        ("locked.pdf", lambda: pdf(drawn(["x"]), trailer=CRYPT), Locked, "password"),
        ("locked.epub", lambda: epub({"a.xhtml": "x"}, more=DRM), Locked, "seller"),
        ("empty.epub", lambda: epub({"a.xhtml": ""}), Unreadable, "no text"),
        ("lacking.epub", lambda: epub({"gone": "x"}).replace(b"gone", b"lost", 1), Unreadable, ""),
        ("parts.docx", lambda: archive({"word/document.xml": f"<w:document {WORD}/>"}), Unreadable, ""),
        ("parts.pptx", lambda: archive({"ppt/presentation.xml": "<x/>"}), Unreadable, "damaged"),
        ("pages.pdf", lambda: pdf(), Unreadable, ""),
        ("deep.html", lambda: b"<div>" * 5000 + b"x", Unreadable, "nested too deep"),
        (
            "deep.docx",
            lambda: docx("x", body=NESTED),
            Unreadable,
            "nested too deep|damaged",
        ),
    ],
)
def test_refused_with_the_reason(
    readers: Readers, name: str, make: Callable[[], bytes], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=rf"^{name}.*({said})"):
        read(readers, name, make())


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.docx", lambda: docx("制度", body=PARAGRAPH.format("&leak;"), before=OUTSIDE)),
        ("a.xlsx", lambda: sheet(CELL.format("&leak;") + CELL.format("制度"), before=OUTSIDE)),
        ("a.epub", lambda: epub({"a.xhtml": f"{OUTSIDE}<p>&leak;制度</p>"})),
        ("a.html", lambda: f"{OUTSIDE}<p>&leak;制度<iframe src='file:///etc/passwd'></iframe>".encode()),
    ],
)
def test_no_file_of_this_machine_comes_in(readers: Readers, name: str, make: Callable[[], bytes]) -> None:
    try:
        text = read(readers, name, make())
    except ParseError:
        return
    assert SECRET not in text
    assert "制度" in text


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("comments.md", b"<!-- " * 40_000 + b"end", "end"),
        ("fences.md", b"```\n# a\n" * 8_000 + b"\nend", "end"),
        ("blanks.md", b"# a" + b" " * 300_000 + b"b\n\nend", "end"),
        ("heading.md", b"# " + b"x" * 100_000 + b"\n\n" + b"## a\n\nb\n\n" * 2_000 + b"end", "end"),
        ("hashes.md", b"#\n" * 20_000 + b"end", "end"),
        ("rules.md", b"|" * 100_000 + b"\n" + b"|-" * 100_000 + b"\nend", "end"),
        ("bars.md", b"|a|\n|-|\n" * 3_000 + b"\nend", "end"),
        ("quotes.csv", b'a,"' + b"b\n" * 30_000, "b b b"),
        ("endless.txt", "年假制度".encode() * 20_000 + b" end", "end"),
        ("spans.html", b"<table>" + b"<tr><td rowspan=999999 colspan=999999>x<td>y" * 20 + b"</table>", "| x |"),
        (
            "wide.html",
            b"<table><tr><td colspan=1000 rowspan=1000>" + b"x" * 50_000 + b"<td>y" + b"<tr><td>" * 300 + b"end",
            "end",
        ),
        ("tables.html", b"<table><tr><td>a<td>" * 60 + b"end", "end"),
        ("tags.html", b"<" * 50_000 + b"<p>end", "end"),
        ("far.xlsx", sheet(CELL.format("a") + FAR), "end"),
        ("cycle.pdf", pdf(TEXT).replace(b"/Kids [7 0 R]", b"/Kids [2 0 R]"), ""),
        ("bits.txt", "年\ud800假".encode("utf-8", "surrogatepass"), None),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_read_in_time_or_refused(readers: Readers, name: str, data: bytes, expected: str | None) -> None:
    if expected:
        assert expected in read(readers, name, data)
        return
    with pytest.raises(Unreadable):
        read(readers, name, data)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("stream.pdf", pdf(drawn(["x"]), stream=zeros(512))),
    ],
    ids=["stream.pdf"],
)
def test_what_unfolds_to_gigabytes_takes_no_more_than_its_share(
    name: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(data) < 2 * 1024**2
    monkeypatch.setattr(reader, "MEMORY", 400 * 1024**2)
    readers = Readers()
    try:
        with pytest.raises((Unreadable, TooLarge), match=rf"^{name}"):
            read(readers, name, data)
    finally:
        readers.close()
