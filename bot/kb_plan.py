"""What a listing of Feishu's wiki means for what is held of it, and how a reading is counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.kb import Outcome, Prepared
from bot.kb_access import SILENT, Access
from bot.platforms.feishu.wiki import Listing, Node
from bot.settings.knowledge import Part
from inference.grounding.chunk import STANDARD, Cutting
from storage.documents import Holding

PREFIX = "feishu_wiki:"  # begins the name of every such source
NAMED = 50  # pages a report names; the others are counted
RESTLESS = timedelta(minutes=1)  # covers the second of the wiki's times and two clocks that differ


@dataclass(frozen=True, kw_only=True, slots=True)
class WikiSource:
    """One part of the wiki and who gets answers from it."""

    app: str  # platform whose app reads it
    part: Part
    readers: frozenset[str]
    every: timedelta
    access: Access = SILENT
    cutting: Cutting = STANDARD
    called: str = ""  # by people: see --kb

    @property
    def name(self) -> str:
        """What it is called in the database and in reports."""
        return f"{PREFIX}{self.app}:{self.part.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How the reading of one source went."""

    source: str
    at: datetime
    seen: int = 0  # pages the wiki listed, shortcuts counted with their original
    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    failed: int = 0
    why: tuple[tuple[str, str], ...] = ()  # page and reason, of the first that were skipped, failed or shut
    problem: str = ""  # why the reading did not come to its end; empty = it did
    note: str = ""  # what could not be found out, or was left aside, although it did
    filled: tuple[str, ...] = ()  # of folders: those in which there was something

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        why = tuple((str(name), str(reason)) for name, reason in data["why"])
        filled = tuple(map(str, data.get("filled", ())))
        return cls(**{**data, "at": datetime.fromisoformat(data["at"]), "why": why, "filled": filled})

    def __str__(self) -> str:
        counts = ", ".join(f"{getattr(self, name)} {name}" for name in COUNTED if getattr(self, name))
        return f"{counts or 'nothing there'}{''.join(f'; {said}' for said in (self.problem, self.note) if said)}"


COUNTED = ("seen", "added", "changed", "moved", "unchanged", "deleted", "skipped", "failed")


def tally(source: str, seen: int, outcomes: Sequence[Outcome], at: datetime) -> Tally:
    """Count what became of the pages."""
    counts = Counter(one.status for one in outcomes)
    why = tuple((one.name, one.problem) for one in outcomes if one.problem)[:NAMED]
    return Tally(
        source=source,
        at=at,
        seen=seen,
        added=counts["added"],
        changed=counts["updated"],
        moved=counts["moved"],
        unchanged=counts["unchanged"],
        deleted=counts["removed"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        why=why,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page to be kept."""

    node: Node
    ref: str
    name: str  # how people see it: the titles above it and its own

    @property
    def title(self) -> str:
        return self.node.title or self.node.token

    @property
    def revision(self) -> str:
        return self.node.edited


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a listing means for what is held."""

    fetch: tuple[Page, ...]  # new, or changed
    rename: tuple[Page, ...]  # the same text at another place of the tree
    same: tuple[Page, ...]
    missing: tuple[Holding, ...]  # held, and not in the list
    skipped: tuple[Outcome, ...]


def plan(app: str, listing: Listing, held: Mapping[str, Holding], recipe: str) -> Plan:
    """Compare the wiki's tree with what is held of it, by document and not by place: a shortcut is no second one.

    A shortcut brings nothing in. Its original counts where it stands, with the readers of that place; one that stands
    outside of this source may be meant for other people, so it is not read through a shortcut.
    """
    pages = _pages(app, listing.nodes)
    fetch: list[Page] = []
    rename: list[Page] = []
    same: list[Page] = []
    for page in pages.values():
        holding = held.get(page.ref)
        if holding is None or _stale(page, holding, recipe):
            fetch.append(page)
        else:
            (rename if moved(page, holding) else same).append(page)
    outside = {node.obj: node for node in listing.nodes if node.shortcut and _ref(app, node) not in pages}
    skipped = [
        Outcome(name="/".join((*node.path, node.title)), status="skipped", problem=_OUTSIDE)
        for node in outside.values()
    ]
    missing = tuple(holding for ref, holding in held.items() if ref not in pages)
    return Plan(fetch=tuple(fetch), rename=tuple(rename), same=tuple(same), missing=missing, skipped=tuple(skipped))


_OUTSIDE = "a shortcut to a page outside of this source: name that page's space as a source of its own"


def _ref(app: str, node: Node) -> str:
    return f"{app}:{node.obj}"


def _stale(page: Page, holding: Holding, recipe: str) -> bool:
    known = (holding.revision, holding.recipe, holding.document.title)
    return known != (page.revision, recipe, page.title)


def moved(page: Page, holding: Holding) -> bool:
    """Whether its name or address is another; one whose name was taken bears its id behind it."""
    known = holding.document.name in (page.name, f"{page.name} ({page.node.obj})")
    return not known or holding.document.url != page.node.url


def settled(page: Page, now: datetime) -> str:
    """The version to remember of a page just fetched.

    The wiki's times are whole seconds: a page changed just now may change again under the same time, so it is looked
    at once more.
    """
    quiet = not page.revision.isdigit() or now.timestamp() - int(page.revision) > RESTLESS.total_seconds()
    return page.revision if quiet else f"{page.revision}?"


def _pages(app: str, nodes: Iterable[Node]) -> dict[str, Page]:
    """The documents of a tree by their id, each once, under names of which no two are equal."""
    originals = {_ref(app, node): node for node in reversed(list(nodes)) if not node.shortcut and node.obj}
    wanted = {ref: _name(node) for ref, node in reversed(originals.items())}
    taken = Counter(wanted.values())
    return {
        ref: Page(node=originals[ref], ref=ref, name=f"{name} ({originals[ref].obj})" if taken[name] > 1 else name)
        for ref, name in wanted.items()
    }


def _name(node: Node) -> str:
    return "/".join((title or "-").replace("/", "／") for title in (*node.path, node.title or node.token))


def differs(prepared: Prepared, held: Holding) -> bool:
    known = (held.document.sha256, held.recipe, held.document.title)
    return known != (prepared.sha256, prepared.recipe, prepared.title)
