"""Which documents of a folder have gone, and which have only been moved: told by their content, not by their name.
Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from bot.kb_listing import Listing
from storage.documents import Holding

Held = Mapping[str, Holding]  # by name


def missing(listing: Listing, held: Held) -> list[Holding]:
    """What is held and not there any more, as far as that can be seen."""
    return [one for name, one in held.items() if name not in listing.files and not listing.hides(name)]


def candidates(listing: Listing, held: Held) -> list[str]:
    """New names whose files are as large as one that is missing: worth a look at their content before anything else."""
    sizes = {_size(one) for one in missing(listing, held)}
    return [name for name, found in listing.files.items() if name not in held and found.size in sizes]


def moves(listing: Listing, held: Held, contents: Mapping[str, str]) -> dict[str, Holding]:
    """New names with the documents that stood elsewhere before; `contents`: SHA-256 of the candidates.

    Of several with one content, those that kept the file's name are matched first.
    """
    gone: dict[str, list[Holding]] = defaultdict(list)
    for one in missing(listing, held):
        gone[one.document.sha256].append(one)
    found: dict[str, Holding] = {}
    for name in sorted(contents, key=lambda name: not any(_alike(name, one) for one in gone[contents[name]])):
        if rest := gone[contents[name]]:
            before = next((one for one in rest if _alike(name, one)), rest[0])
            rest.remove(before)
            found[name] = before
    return found


def titled_by_file(holding: Holding, name: str) -> bool:
    """Whether a document has its title from its file's name, which is another one now: then it is cut anew."""
    before, after = PurePosixPath(holding.document.name).stem, PurePosixPath(name).stem
    return holding.document.title == before != after


def _alike(name: str, holding: Holding) -> bool:
    return PurePosixPath(name).name == PurePosixPath(holding.document.name).name


def _size(holding: Holding) -> int:
    """Bytes of the file, from its version; -1 where that does not tell."""
    size = holding.revision.partition(":")[0]
    return int(size) if size.isdigit() else -1
