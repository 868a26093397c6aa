"""The sources that knowledge.yaml names, as what reads them wants them, and the reading of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot import kb, kb_plan
from bot.kb import Outcome, Report
from bot.kb_plan import WikiSource
from bot.platforms.feishu.settings import FeishuSettings
from bot.settings import Settings
from inference.grounding.chunk import STANDARD, Cutting
from storage import syncs
from storage.database import Database
from storage.records import utcnow


class NoApp(Exception):
    """A source names an app that this server does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"knowledge.yaml reads a wiki as the app {name!r}, which platforms.yaml does not enable. Enable it there, "
            "or correct `app`."
        )


def folders(settings: Settings) -> dict[Path, frozenset[str]]:
    """The folders and files, and who may read what lies in each."""
    return {settings.path(one.path): frozenset(one.readers) or kb.PUBLIC for one in settings.knowledge.folders}


def wikis(settings: Settings) -> list[WikiSource]:
    """The parts of the wiki, and who gets answers from each."""
    return [
        WikiSource(
            app=one.app,
            part=part,
            readers=frozenset(one.readers),
            every=one.every,
            cutting=settings.knowledge.chunking.cutting,
        )
        for one in settings.knowledge.wikis
        for part in one.parts
    ]


def app(settings: Settings, name: str) -> FeishuSettings:
    """The settings of the app that reads a wiki. Raises `NoApp`."""
    known = settings.platforms.feishu_by_name()
    if name not in known or not known[name].enabled:
        raise NoApp(name)
    return known[name]


async def sync_folders(
    db: Database,
    wanted: Mapping[Path, frozenset[str]],
    report: Report = lambda outcome: None,
    cutting: Cutting = STANDARD,
) -> list[Outcome]:
    """Make the synced documents equal to the folders, and keep how it went. Raises `kb.NoFolder`."""
    outcomes = await kb.sync(db, *wanted, readers=wanted, report=report, cutting=cutting)
    seen = sum(one.status != "removed" for one in outcomes)
    found = kb_plan.tally(kb.SYNCED, seen, outcomes, utcnow())
    await db.run(syncs.note, kb.SYNCED, found.to_json(), found.at)
    return outcomes
