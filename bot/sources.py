"""The sources that knowledge.yaml names, as what reads them wants them."""

from __future__ import annotations

from datetime import timedelta

from bot import kb, kb_addresses
from bot.kb_access import Access
from bot.kb_fetch import Limits
from bot.kb_folders import Wanted
from bot.kb_plan import WikiSource
from bot.kb_urls import UrlSource
from bot.platforms.feishu.settings import FeishuSettings
from bot.settings import Settings

#: How often folders and pages are looked through for changes where the settings do not say.
FOLDERS = timedelta(seconds=5)
PAGES = timedelta(hours=1)

#: Who a document is for that is for admins only.
ADMINS = frozenset({"role:admin"})


class NoApp(Exception):
    """A source names an app that this server does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"knowledge.yaml reads a wiki as the app {name!r}, which platforms.yaml does not enable. Enable it there, "
            "or correct `app`."
        )


def access(settings: Settings) -> Access:
    """Who may read which document."""
    found = settings.knowledge.access
    rules = tuple((pattern, frozenset(readers)) for pattern, readers in found.rules.items())
    return Access(default=kb.PUBLIC if found.default == "everyone" else ADMINS, rules=rules)


def folders(settings: Settings) -> Wanted:
    """The folders and files, and who may read what lies in each."""
    named = {settings.path(one.path): frozenset(one.readers) for one in settings.knowledge.folders}
    called = {settings.path(one.path): one.name for one in settings.knowledge.folders if one.name}
    cutting = settings.knowledge.chunking.cutting
    return Wanted(folders=named, access=access(settings), cutting=cutting, names=called)


def pause(settings: Settings) -> timedelta:
    """How often the folders are looked through, all of them together."""
    return min((one.every or FOLDERS for one in settings.knowledge.folders), default=FOLDERS)


def urls(settings: Settings) -> list[UrlSource]:
    """The pages of the web."""
    rules = access(settings)
    return [
        UrlSource(
            url=url,
            limits=Limits(
                hosts=one.allowed,
                private=tuple(map(kb_addresses.network, one.private)),
                plain=one.http,
            ),
            readers=frozenset(one.readers),
            every=one.every or PAGES,
            access=rules,
            cutting=settings.knowledge.chunking.cutting,
            called=one.name,
        )
        for one in settings.knowledge.pages
        for url in one.url
    ]


def wikis(settings: Settings) -> list[WikiSource]:
    """The parts of the wiki, and who gets answers from each."""
    rules = access(settings)
    return [
        WikiSource(
            app=wiki.app,
            part=part,
            readers=frozenset(wiki.readers),
            every=wiki.every,
            access=rules,
            cutting=settings.knowledge.chunking.cutting,
            called=one.name,
        )
        for one in settings.knowledge.sources
        for wiki in (one.feishu_wiki,)
        if wiki
        for part in wiki.parts
    ]


def readers(settings: Settings) -> dict[str, frozenset[str]]:
    """Who is named as the readers of each source but the folders, by the source's name."""
    named = [(one.name, one.readers) for one in wikis(settings)]
    return dict([*named, *((one.name, one.readers) for one in urls(settings))])


def app(settings: Settings, name: str) -> FeishuSettings:
    """The settings of the app that reads a wiki. Raises `NoApp`."""
    known = settings.platforms.feishu_by_name()
    if name not in known or not known[name].enabled:
        raise NoApp(name)
    return known[name]
