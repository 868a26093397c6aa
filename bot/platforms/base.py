"""What a chat platform is to the rest of Moqi.

Inbound, a platform verifies and decodes what arrives into a ChatEvent and hands it to the inbox (bot/inbox.py).
Outbound it posts and updates replies. Everything else (queue, quotas, words) is the same for all platforms.

PlatformError
├── Elsewhere    not from this process at this moment: nothing was tried, and that counts for nothing
├── Retry        try again after `after` seconds; the outcome may be unknown, so only under the same key
├── Undelivered  will never work for this target (gone, forbidden, too old); `reason` is kept and shown to admins
│   └── Blocked  the platform's audit refuses what it says: tell the person so, in other words
└── Unconfigured the platform itself is wrong (secret, scope): tell the operator, keep the message
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from bot.events import ChatEvent
from bot.reply import Reply
from storage.records import Origin

PROBLEM: Final = "problem"  # in a receipt: what an operator has to set right although messages arrive
#: The `code` of an error about a file, where the platform itself said none.
TOO_LARGE: Final = -1  # it has more bytes than were asked for
GONE: Final = -2  # its address is over
FOREIGN: Final = -3  # its address is none of the platform's: it is not asked
BROKEN: Final = -4  # it came, and cannot be decrypted


class PlatformError(Exception):
    """A platform did not take a message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.receipt: dict[str, Any] = {}  # what was achieved before it failed: to be kept before the next try
        self.code: int | None = None  # the platform's own code, where it said one
        self.status = 0  # HTTP status of its answer; 0 = none came


class Elsewhere(PlatformError):
    """Nothing was tried: another process has the connection, or it is down for a moment."""


class Retry(PlatformError):
    """Try again later, under the same key."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after  # seconds the platform asked for


class Undelivered(PlatformError):
    """This message can never be delivered there."""


class Blocked(Undelivered):
    """What it says is not allowed there; the same under other words may be."""


class Unconfigured(PlatformError):
    """The platform refuses us altogether."""


async def _not_kept(receipt: Mapping[str, Any]) -> None:
    """Nobody keeps what a passing update achieves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One message to send. `key` is stable over retries; `receipt` is what earlier tries already achieved."""

    key: str  # <= 50 characters
    origin: Origin
    reply: Reply
    receipt: Mapping[str, Any]
    #: Keeps part of a receipt for good before the next step, where a crash between two steps would show things twice.
    keep: Callable[[Mapping[str, Any]], Awaitable[None]] = _not_kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Enclosed:
    """A file that a message carries, or that the message carries which it answers."""

    data: bytes
    name: str = ""  # as its sender called it: to be shown, never to be trusted


@runtime_checkable
class Enclosing(Protocol):
    """A platform that keeps the files of messages elsewhere, to be fetched."""

    async def enclosed(self, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
        """The file of kind picture or file that `event` carries or answers; None = there is none.

        Raises PlatformError; Undelivered carries the platform's `code`, and TOO_LARGE for more than `limit` bytes.
        """


@runtime_checkable
class Recognising(Protocol):
    """A platform whose events may call people otherwise than they are known here."""

    async def recognise(self, event: ChatEvent) -> ChatEvent:
        """The event as it is to be dealt with: sender, origin.sender and mentions are who they are known as.

        Takes no longer than a pressed button can wait; who cannot be told in time stays as they came. Raises
        StorageError and nothing else.
        """


@runtime_checkable
class Previewing(Protocol):
    """A platform that must be given a picture before a card can show it."""

    async def preview(self, receipt: Mapping[str, Any], jpeg: bytes) -> None:
        """Give it one to show on the card of `receipt` until its outcome. Best effort: it never raises PlatformError.

        Called before a passing update, and outside the card's turn: no outcome waits for it.
        """


@runtime_checkable
class Reshowing(Protocol):
    """A platform without toasts: a press is answered by its card anew, which may not be possible any later."""

    @property
    def reshows(self) -> bool:
        """Whether it wants the card with every press."""


class ChatPlatform(Protocol):
    """A place where people talk to Moqi."""

    @property
    def name(self) -> str:
        """feishu, wecom, web, terminal: the `platform` of its identities and origins."""

    @property
    def progress_interval(self) -> float:
        """Seconds between two updates of one running card; 0 = as they come."""

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        """Send a new message answering `message.origin`; returns the receipt ({"message_id": …, …}).

        `images` maps asset ids of the reply's pictures to encoded bytes; to get one may take 100 ms: in a thread. Must
        be safe to repeat with the same key.
        """

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        """Replace an earlier message (its `receipt`) by this one; returns the new receipt."""

    async def close(self) -> None: ...
