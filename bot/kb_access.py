"""Who may read which document: what `access` in knowledge.yaml means. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

from storage.documents import EVERYONE, Holding

#: Who may read a document when nobody says otherwise.
PUBLIC = frozenset({EVERYONE})

#: What the person at the machine may read: whoever has the data folder has everything in it.
OPERATOR = frozenset({EVERYONE, "role:admin", "role:reviewer"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The rules by which documents get their readers."""

    default: frozenset[str] = PUBLIC  # of documents that name nobody
    rules: tuple[tuple[str, frozenset[str]], ...] = ()  # pattern of names -> readers; the first that fits decides

    def readers(self, name: str, named: frozenset[str] = frozenset()) -> frozenset[str]:
        """Who may read a document of a source: by a rule, else those `named` for the source, else the default."""
        for pattern, readers in self.rules:
            if fits(pattern, name):
                return readers
        return named or self.default

    def by_hand(
        self, name: str, named: frozenset[str] = frozenset(), held: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """The same of a document added by hand: `named` by whoever added it, else those it has (`held`).

        Where documents are for admins unless something else is said, only a rule makes one of them everyone's: what
        came in before the default was made stricter must not stay open.
        """
        wanted = named or held
        return self.readers(name, frozenset() if wanted == PUBLIC else wanted)

    def changes(self, held: Iterable[Holding], named: Mapping[str, frozenset[str]]) -> dict[int, frozenset[str]]:
        """The documents (by id) whose readers are to be others, and which; `named` are those of whole sources."""
        wanted = [(one, self._of(one, named.get(one.source, frozenset()))) for one in held]
        return {one.document.id: readers for one, readers in wanted if readers != one.principals}

    def _of(self, one: Holding, named: frozenset[str]) -> frozenset[str]:
        name = one.document.name
        return self.readers(name, named) if one.source else self.by_hand(name, held=one.principals)


#: Of who asks no settings.
SILENT = Access()


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern means a document: `*` is anything, `?` one character, case does not count.

    A pattern without a slash looks at the last part of the name, in whatever folder that is; `hr/` is all beneath it.
    """
    name, pattern = _plain(name), _plain(pattern)
    if "/" not in pattern:
        name = name.rpartition("/")[2]
    return _compiled(pattern).fullmatch(name) is not None


def _plain(text: str) -> str:
    """One spelling; a full-width slash within a title stays apart from the one between folders."""
    return unicodedata.normalize("NFKC", text.replace("／", "⁄")).casefold()


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wanted = f"{pattern}*" if pattern.endswith("/") else pattern.removeprefix("/")
    return re.compile(translate(wanted.replace("[", "[[]")))  # brackets are part of many a file's name
