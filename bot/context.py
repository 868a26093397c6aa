"""What a handler has at hand, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from bot.commands import Rules
from bot.engine import Engine
from bot.events import ChatEvent
from bot.groups import Groups
from bot.kb_access import SILENT, Access
from bot.models import Shelf
from bot.moderation import Screen
from bot.replies import Words
from bot.reply import Reply
from bot.templates import Prompts
from bot.tenancy import Tenancy
from inference.images.model import ModelCard
from scheduler.policy import Policy
from storage.records import Kind, User


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """What is the same for everybody at this moment: words, rules, engines."""

    words: Words
    policy: Policy
    rules: Rules
    card: ModelCard | None  # None: no usable image model
    engines: Mapping[Kind, Engine]
    started_at: datetime
    first_is_admin: bool
    screen: Screen = field(default_factory=Screen)
    page: str = ""  # where people reach the web page, https://host; empty = not known
    groups: Groups = field(default_factory=Groups)  # that are given finished reservations
    templates: Mapping[str, str] = field(default_factory=dict)  # of the settings: name -> text with slots and flags
    shelf: Shelf | None = None  # the image models there are
    access: Access = SILENT  # who may read which document
    through: frozenset[str] = frozenset()  # platforms by which people can be told something
    writes_first: frozenset[str] = frozenset()  # platforms on which a person can be written to out of a group
    unmarked: tuple[str, ...] = ()  # where the policy leaves pictures without their visible mark; * = by default
    talks: bool = False  # whether there is a language model: for small talk
    collections: tuple[str, ...] = ()  # names of sources that --kb may name
    tenancies: Mapping[str, Tenancy] = field(default_factory=dict)  # by platform, where several organisations meet


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """One event being dealt with, inside its transaction."""

    conn: Connection
    house: House
    event: ChatEvent
    user: User
    now: datetime

    @property
    def key(self) -> str:
        """The key under which this event may make one job."""
        return f"{self.event.platform}:{self.event.key}"

    @property
    def prompts(self) -> Prompts:
        """The prompt templates of this person, here, at this moment."""
        return Prompts(self.conn, self.user, self.event.origin, self.house.templates)

    @property
    def rules(self) -> Rules:
        """The rules with those templates at hand."""
        return replace(self.house.rules, shelf=self.prompts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a pressed card says from now on, for a platform that shows it with the answer to the press."""

    reply: Reply
    receipt: Mapping[str, Any]  # of its message: the pictures it has are known by it


class Pressed(NamedTuple):
    """The answer to a pressed button: a toast (kind, text; empty for none), and perhaps its card anew."""

    kind: str  # info | success | warning | error
    text: str
    shown: Shown | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Handled:
    """What became of an event."""

    outcome: str  # job:<id> | reply | refused:<code> | ignored:<why>
    reply: Reply | None = None  # None: the outbox has it already (a job's card), or nothing is said
    toast: tuple[str, str] = ("info", "")  # for a pressed button: kind and text
    work: tuple[Kind, ...] = ()  # whose workers may have something to do now
    card: str = ""  # key of the message that the outbox holds for the job that was made
    arm: tuple[tuple[int, datetime], ...] = ()  # reservations, and when they fire first
    shown: Shown | None = None  # for a pressed button: what its card says from now on
    switch: bool = False  # another model was chosen
    stop: tuple[int, ...] = ()  # running jobs whose workers are to be told once this is committed
