"""What the web pages need from the rest of Moqi, as one value that the composition root fills in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from sqlalchemy import Connection

from bot.context import Pressed
from bot.events import ChatEvent
from bot.kb import Given, Outcome
from bot.kb_access import Access
from bot.platforms.login import Login
from bot.platforms.web.feed import Feed
from bot.platforms.web.settings import WebSettings
from bot.showing import Showing
from storage.database import Database
from storage.files import Files
from storage.records import Asset, Identity, Job, ScoredPassage, User


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandHint:
    """A line of the list that opens when somebody types a slash."""

    name: str  # /draw
    zh: str  # /画
    help: str  # one line


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeHint:
    """A line of the list that opens behind --size."""

    name: str  # 1024x768
    shape: str  # 4:3
    help: str  # what one picture costs


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleHint:
    """A line of the list that opens behind --lora."""

    name: str
    weight: float  # the usual one
    about: str  # one line; may be empty
    preview: str = ""  # the name of its picture; empty while there is none


#: (question, whose documents, how many) -> the passages that fit best, best first.
Search = Callable[[str, Callable[[Connection], frozenset[str]], int], Awaitable[list[ScoredPassage]]]


async def _no_styles() -> tuple[StyleHint, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How the page presents itself (interface.yaml)."""

    title: str
    language: str  # zh | en
    theme: str = "auto"  # auto | light | dark: before a person chooses


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """The doors of the web chat."""

    db: Database
    files: Files
    showing: Showing  # pictures that were made, as the pages show them
    feed: Feed
    look: Look
    web: WebSettings
    words: Mapping[str, str]  # words.of(language)
    commands: tuple[CommandHint, ...]
    accept: Callable[[ChatEvent], Awaitable[object]]  # returns once the event is kept
    act: Callable[[ChatEvent], Awaitable[Pressed]]  # what a pressed button is answered with
    principals: Callable[[Connection, User], frozenset[str]]  # whose documents this person may read
    name: Callable[[Asset, Job, str], str]  # the file name of a picture of a job with this ending
    keep_picture: Callable[[bytes], Awaitable[str]]  # returns the name it is kept under; raises BadSource
    templates: Callable[[Connection, User], list[tuple[str, str]]]  # names a person may use, and what is filled in
    thumbnail: Callable[[bytes], tuple[bytes, str]]  # a picture that was given -> a small one, its media type
    search: Search  # passages for a question, as answers are made from them
    read: Callable[[str, bytes], Given]  # a document that was sent, by its name; blocks
    access: Callable[[], Access]  # who may read which document, as the settings say now
    told: Callable[[Outcome], str]  # what became of a document, in a sentence
    zone: tzinfo = UTC  # where the team is
    sizes: Callable[[], Sequence[SizeHint]] = tuple  # of the present model on this machine, at this moment
    styles: Callable[[], Awaitable[tuple[StyleHint, ...]]] = _no_styles  # of the present model
    style_preview: Callable[[str], bytes | None] = lambda key: None  # WebP
    names: bool = True  # whoever comes may take a free name
    logins: Mapping[str, Login] = field(default_factory=dict)  # by platform: whose accounts open the page
    practises: Callable[[], bool] = lambda: False  # whether a practice model draws now: an admin may change models
    greet: Callable[[Identity], None] = lambda identity: None  # somebody has signed in with such an account
