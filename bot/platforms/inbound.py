"""How events come in, whatever the platform: kept by `Accept`, pressed by `Act`, over a connection or by a door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from bot.context import Pressed
from bot.events import ChatEvent

Accept = Callable[[ChatEvent], Awaitable[object]]  # keeps the event for good; when it raises, it must come again
Act = Callable[[ChatEvent], Awaitable[Pressed]]  # does what a button says; in time, and without raising


@dataclass(frozen=True, kw_only=True, slots=True)
class Inlet:
    """Where events go."""

    keep: Accept  # where a platform waits to hear that an event is kept
    take: Accept  # the same where nobody is told so
    act: Act


class Listening(Protocol):
    """Lets events in over a long connection that we open."""

    @property
    def name(self) -> str:
        """The platform's."""

    @property
    def connected(self) -> bool:
        """Whether events come in here."""

    def complaint(self, patience: float = 0.0) -> str:
        """Why no events come in here for more than `patience` seconds; empty when they do, or elsewhere."""

    async def run(self) -> None:
        """Let events in until `stop`."""

    def stop(self) -> None:
        """Take no more events and return from `run`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """Where a platform posts its events to us."""

    path: str
    #: Method, raw query and body of a request -> status, media type and text of its answer.
    answer: Callable[[str, bytes, bytes], Awaitable[tuple[int, str, str]]]
