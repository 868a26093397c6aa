"""What a message can mean: one frozen value per command, or what is wrong with it. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.records import Role, Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Draw `count` pictures. Every number lies within the rules it was parsed with."""

    prompt: str
    width: int  # pixels
    height: int
    count: int
    seed: int | None  # None = choose one
    steps: int
    cfg: float
    negative: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Answer a question from the knowledge base."""

    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Text without a command that is no order to draw: a question in the conversation."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobs:
    """List the asker's own jobs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """Stop a job."""

    job: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Redo:
    """Do a job again. What is None stays as it was, the seed included; `reseed` asks for a new seed."""

    job: int
    prompt: str | None = None
    width: int | None = None
    height: int | None = None
    count: int | None = None
    seed: int | None = None
    reseed: bool = False
    steps: int | None = None
    cfg: float | None = None
    negative: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserve:
    """Draw later. Exactly one of `at` and `every` is given, as it was written: what it means depends on now."""

    draw: Draw
    at: str = ""  # a time, or a window of the day
    every: str = ""  # a recurrence
    late: int | None = None  # minutes; later than that it is skipped. None = it is drawn however late


@dataclass(frozen=True, kw_only=True, slots=True)
class Retime:
    """Give a reservation another time."""

    reservation: int
    when: str  # a time, a window or a recurrence, as it was written


@dataclass(frozen=True, kw_only=True, slots=True)
class OnReservation:
    """Do something with a reservation. `version` and `choice` come with a pressed button."""

    reservation: int
    act: str  # confirm | choose | time | cancel | pause | resume
    version: int | None = None  # of the card it was pressed on
    choice: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaShow:
    """Show what is left: one's own, or (admins) somebody else's."""

    who: str = ""  # a name without @, or an identity such as feishu:ou_123; empty = the asker


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaSet:
    """Give somebody `amount` units per period from now on."""

    who: str
    unit: Unit
    amount: int
    period: str  # day | week | month


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaGrant:
    """Give somebody units once, beside the allowance; they do not lapse."""

    who: str
    unit: Unit
    amount: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Help:
    """Explain everything, or one command or parameter by its canonical name (draw, size …)."""

    topic: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class New:
    """Begin a new conversation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Say how the platform is doing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRole:
    """Make somebody an admin, a reviewer or a user."""

    who: str
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Start no further job until resumed; accepted work waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """Start jobs again."""


Command = (
    Draw
    | Reserve
    | Retime
    | OnReservation
    | Ask
    | Jobs
    | Cancel
    | Redo
    | QuotaShow
    | QuotaSet
    | QuotaGrant
    | Help
    | New
    | Status
    | SetRole
    | Pause
    | Resume
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageError:
    """The message cannot be carried out as written. `code` names a sentence of bot.replies, `values` fill it."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)
    topic: str = ""  # the command it is about: /help <topic> says more; empty when unknown


class Mistake(Exception):
    """Carries a UsageError out of the depth of the parser."""

    def __init__(self, code: str, /, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.values = {name: str(value) for name, value in values.items()}

    def about(self, topic: str) -> UsageError:
        return UsageError(code=self.code, values=self.values, topic=topic)
