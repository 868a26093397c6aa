"""Prompt templates as somebody finds them where they write: their own, the group's, the team's, the settings'."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property

from sqlalchemy import Connection

from bot.commands import filling
from bot.commands.options import MEASURES
from bot.commands.slots import Slot
from bot.commands.templates import FOR
from bot.commands.values import Mistake
from storage import templates
from storage.records import ChatType, Origin, Scope, Template, User
from storage.templates import Place, key_of

#: Most templates of one place.
MOST = {Scope.USER: 50, Scope.CHAT: 100, Scope.TEAM: 200}


def place(scope: Scope, user: User, origin: Origin) -> Place | None:
    """Where templates of a scope are kept for somebody who writes in a chat; None: there is no such place."""
    if scope is Scope.USER:
        return scope, str(user.id)
    if scope is Scope.CHAT:
        group = origin.chat_type is ChatType.GROUP
        return (scope, f"{origin.platform}:{origin.chat_id}") if group else None
    return (scope, "") if scope is Scope.TEAM else None


def of_settings(written: Mapping[str, str]) -> list[Template]:
    """The templates that policy.yaml declares."""
    return [
        Template(id=0, scope=Scope.SETTINGS, owner="", name=name, version=0, body=body)
        for name, body in written.items()
    ]


def number(found: Template) -> int:
    """What a form is known by: the id of the version, or for one of the settings a number made of what it says."""
    return found.id or zlib.crc32(f"{found.name}\n{found.body}".encode()) & 0x7FFFFFFF


def slots_of(found: Template) -> tuple[Slot, ...]:
    """Its slots; none where it was kept by another version of Moqi and cannot be read: an order says why."""
    try:
        return filling.read(found.body, MEASURES).slots
    except Mistake:
        return ()


class Prompts:
    """The templates that one person finds in one chat. Implements bot.commands.rules.Shelf; reads when it is asked."""

    def __init__(self, conn: Connection, user: User, origin: Origin, settings: Mapping[str, str]) -> None:
        self._conn = conn
        self._settings = settings
        self._places = [found for scope in Scope if (found := place(scope, user, origin)) is not None]

    @cached_property
    def all(self) -> list[Template]:
        """All of them, in the order in which a name is looked up."""
        return [*templates.held(self._conn, self._places), *of_settings(self._settings)]

    def named(self, name: str, scope: Scope | None = None) -> list[Template]:
        """All of one name, the one that an order would take first."""
        key = key_of(name)
        return [one for one in self.all if key_of(one.name) == key and _within(one, scope)]

    def find(self, name: str) -> Template | None:
        """The template that an order means; `本群/海报` names one of the group's."""
        whose, _, rest = name.rpartition("/")
        scope = FOR.get(key_of(whose)) if whose else None
        if whose and scope is None:
            return None
        return next(iter(self.named(rest, scope)), None)

    def names(self) -> list[str]:
        """The names there are, each once."""
        return list({key_of(one.name): one.name for one in self.all}.values())

    def suggestions(self) -> list[tuple[str, str]]:
        """For a page that suggests names: each of them, and what is to be filled in."""
        first = {key_of(one.name): one for one in reversed(self.all)}
        return [(one.name, " ".join(slot.name for slot in slots_of(one))) for one in reversed(first.values())]

    def known(self, wanted: int, *, settings: bool) -> Template | None:
        """The template that a form is about; None when it is gone, changed since, or not this person's to use."""
        return next(
            (one for one in self.all if number(one) == wanted and (one.scope is Scope.SETTINGS) == settings), None
        )


def _within(found: Template, scope: Scope | None) -> bool:
    """全体 means the team's and those of the settings."""
    return scope is None or found.scope is scope or (scope is Scope.TEAM and found.scope is Scope.SETTINGS)
