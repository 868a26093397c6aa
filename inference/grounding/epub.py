"""Books (EPUB 2 and 3): their chapters in reading order, by way of the HTML reader. Used in the child only.

Our own because the known libraries are under the AGPL or no longer kept, and what is needed is little: an archive whose
list of chapters is two small XML files.
"""

from __future__ import annotations

from posixpath import dirname, join, normpath
from urllib.parse import unquote
from xml.etree import ElementTree
from zipfile import ZipFile

from inference.grounding.archives import opened
from inference.grounding.markup import to_markdown
from inference.grounding.parse import Locked, Parsed, Unreadable, clean, decode, whole

_CHAPTERS = ("application/xhtml+xml", "text/html")
#: The two ways to hide a font; everything else that is encrypted is the text.
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read_epub(data: bytes, name: str) -> Parsed:
    """A book: its chapters one after the other. Raises `Locked` for one that is locked to a reader's program."""
    archive = opened(data, name)
    _check_free(archive, name)
    container = _xml(archive, "META-INF/container.xml", name)
    found = next((one.get("full-path") for one in container.iter() if _bare(one) == "rootfile"), None)
    package = _xml(archive, found or "", name)
    title = next((one.text or "" for one in package.iter() if _bare(one) == "title"), "")
    chapters = [to_markdown(_text(archive, path, name))[1] for path in _spine(package, dirname(found or ""))]
    return whole("\n\n".join(filter(None, chapters)), clean(" ".join(title.split())))


def _spine(package: ElementTree.Element, folder: str) -> list[str]:
    """The paths of the chapters in the order in which they are read, each once, without tables of contents."""
    items = {one.get("id"): one for one in package.iter() if _bare(one) == "item"}
    read = [items.get(one.get("idref")) for one in package.iter() if _bare(one) == "itemref"]
    wanted = [
        one
        for one in read
        if one is not None and one.get("media-type") in _CHAPTERS and "nav" not in (one.get("properties") or "").split()
    ]
    return list(dict.fromkeys(normpath(join(folder, unquote(one.get("href") or ""))) for one in wanted))


def _check_free(archive: ZipFile, name: str) -> None:
    if "META-INF/encryption.xml" not in archive.namelist():
        return
    ways = [one.get("Algorithm") for one in _xml(archive, "META-INF/encryption.xml", name).iter()]
    if any(way is not None and way not in _FONTS for way in ways):
        raise Locked(f"{name} is locked by its seller (DRM).", "Use a copy without the lock.")


def _xml(archive: ZipFile, path: str, name: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(archive.read(path))  # noqa: S314 (entities do not unfold far in expat, nor here)
    except (KeyError, ElementTree.ParseError) as error:
        raise Unreadable(f"{name} is damaged, or no book.", "Export it anew.") from error


def _text(archive: ZipFile, path: str, name: str) -> str:
    try:
        return clean(decode(archive.read(path), name))
    except KeyError as error:
        raise Unreadable(f"{name} lacks a chapter that it lists.", "Export it anew.") from error


def _bare(element: ElementTree.Element) -> str:
    """The name of a tag without its namespace."""
    return element.tag.rpartition("}")[2]
