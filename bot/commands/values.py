"""What a message can mean: one frozen value per command, or what is wrong with it. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from bot.commands.talk import Tone
from storage.records import Kind, Payer, Role, Scope, Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class From:
    """The picture an order begins with."""

    job: int = 0  # a picture of this job; 0 = the one that came with the message, or that it answers
    picture: int = 1  # which of the job's


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """The template an order was made from. What it says stands in the order: this is for the card and the books."""

    name: str
    scope: Scope
    version: int  # 0 = of the settings


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
    source: From | None = None
    strength: float | None = None  # how much of the source is drawn anew; None = as usual
    sized: bool = True  # False: the size is the source's, as near as is allowed
    adapters: tuple[tuple[str, float], ...] = ()  # name and weight, in the order they were written
    private: bool = False  # nobody else finds it, and its files do not say how it was made
    template: Used | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """Draw a finished picture again, a little different."""

    job: int
    picture: int  # from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Enlarge:
    """Draw a finished picture again, larger and finer."""

    job: int
    picture: int  # from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """Tell what an order would cost and where it would stand, and order nothing."""

    draw: Draw


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Answer a question from the knowledge base."""

    question: str
    kb: str = ""  # from the source of this name alone; empty = from all


@dataclass(frozen=True, kw_only=True, slots=True)
class AskPrivately:
    """Ask the question of a job again, with what the one who presses may read, and answer to them alone."""

    job: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggest:
    """Something a language model took for an order: shown to its writer, and ordered once they say so."""

    draw: Draw


@dataclass(frozen=True, kw_only=True, slots=True)
class OnSuggestion:
    """What its writer says to a suggestion."""

    entry: int  # of the message that was taken for an order
    act: str  # draw | ask (it was a question)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Text without a command that is no order to draw: what is said in the conversation, mostly a question."""

    text: str
    tone: Tone = Tone.QUESTION


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobs:
    """List the asker's own jobs, or show one of them again with what came of it."""

    job: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """A span of days as it was written: which ones depends on today. One of the three ways."""

    named: str = ""  # today | yesterday | week | last_week | month | last_month
    back: int = 0  # the last so many, today included
    first: tuple[int, ...] = ()  # year (0 = the latest), month, day; or year and month; empty = without end
    last: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Find pictures."""

    words: str = ""  # of their descriptions, and @somebody
    days: Days | None = None
    size: tuple[int, int] | None = None  # width, height
    model: str = ""


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
    strength: float | None = None
    adapters: tuple[tuple[str, float], ...] | None = None
    private: bool = False  # from now on; what was private stays so
    template: Used | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowForm:
    """Show the card of a finished picture with its form open, or closed again. Comes with a pressed button only."""

    job: int
    open: bool
    review: int = 0  # of which it is the card; 0 = of the picture itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """Say what one thinks of a finished job. Comes with a pressed button only, or with the platform's own 👍 and 👎."""

    job: int
    value: int  # 1 | -1; stated: or 0, taken back
    stated: bool = False  # this is what they think now; else the same again takes it back
    reasons: tuple[str, ...] = ()  # why not: names in storage.feedback.REASONS
    said: str = ""  # in their own words


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserve:
    """Draw later. Exactly one of `at` and `every` is given, as it was written: what it means depends on now."""

    draw: Draw
    at: str = ""  # a time, or a window of the day
    every: str = ""  # a recurrence
    late: int | None = None  # minutes; later than that it is skipped. None = it is drawn however late
    to: str = ""  # the group that is given the picture, too; empty = none


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
class Until:
    """When granted units lapse: after so many days, or after a date; without a year its next one."""

    days: int = 0
    year: int = 0
    month: int = 0
    day: int = 0

    def after(self, today: date) -> date | None:
        """The last day on which they count; None when that is no date, or over."""
        if self.days:
            return today + timedelta(days=self.days)
        years = [self.year] if self.year else range(today.year, today.year + 8)  # 29 February may be far away
        return next((found for year in years if (found := _date(year, self.month, self.day)) and found >= today), None)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaShow:
    """Show what is left: one's own, or (admins) of somebody else, a group, a department or everybody's default."""

    of: Payer = Payer.USER
    who: str = ""  # a name without @, or feishu:ou_123 | a chat: feishu:oc_1 | a department; empty = me, or this chat


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaSet:
    """Let an account spend `amount` units in each such period from now on; its other periods stay as they are."""

    of: Payer = Payer.USER
    who: str
    unit: Unit
    amount: int
    period: str  # day | week | month


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaClear:
    """Take back what was set for an account: it has what everybody has."""

    of: Payer = Payer.USER
    who: str
    unit: Unit | None  # None = every unit
    period: str = ""  # empty = every period


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaGrant:
    """Give an account units once, beside its allowance."""

    of: Payer = Payer.USER
    who: str
    unit: Unit
    amount: int
    until: Until | None = None  # None = they do not lapse


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
class Sources:
    """Show where the knowledge base comes from, and how each source was read last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRole:
    """Make somebody an admin, a reviewer or a user."""

    who: str
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Ban:
    """Shut somebody out: for a time, until the end of a day, or until an admin lifts it."""

    said: str  # a name or feishu:ou_123, perhaps followed by the reason: only who knows the names can part them
    span: timedelta | None = None
    until: Until | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unban:
    """Let somebody in again."""

    who: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Start no further job until resumed; accepted work waits."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    now: bool = False  # what runs is put back at once; otherwise it is finished


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """Start jobs again."""

    kinds: tuple[Kind, ...] = tuple(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateList:
    """List the templates there are here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateShow:
    """Show a template, and how it is used."""

    name: str
    scope: Scope | None = None  # None = the one that an order would take


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateSave:
    """Keep a template, or a new version of one."""

    name: str
    body: str  # text with {slots}, and flags: it was read, and can be drawn
    scope: Scope = Scope.USER


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateDelete:
    """Take a template away."""

    name: str
    scope: Scope | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateForm:
    """Show a template's card with its form open, or closed again. Comes with a pressed button only."""

    id: int  # of the version on the card; of one of the settings: its number
    settings: bool
    open: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewList:
    """List the pictures that wait for a reviewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decide:
    """Let a job's held pictures go, or reject them."""

    job: int
    approve: bool
    reason: str = ""  # of a rejection: never empty
    review: int = 0  # the one that is meant; 0 = the open one


@dataclass(frozen=True, kw_only=True, slots=True)
class Appeal:
    """Have a rejection looked at again."""

    job: int
    plea: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KbAdd:
    """Put the file that the message answers into the knowledge base."""

    name: str = ""  # of the document; empty = the file's


@dataclass(frozen=True, kw_only=True, slots=True)
class KbList:
    """List the documents of the knowledge base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KbUnanswered:
    """List the questions that the knowledge base did not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KbRemove:
    """Take a document out of the knowledge base."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelList:
    """List the models that can draw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUse:
    """Draw with another model from now on."""

    name: str  # as it was written


Command = (
    Draw
    | Variation
    | Enlarge
    | Preview
    | Reserve
    | Retime
    | OnReservation
    | Ask
    | AskPrivately
    | Suggest
    | OnSuggestion
    | Jobs
    | Gallery
    | Cancel
    | Redo
    | ShowForm
    | Vote
    | QuotaShow
    | QuotaSet
    | QuotaClear
    | QuotaGrant
    | Help
    | New
    | Status
    | Sources
    | SetRole
    | Ban
    | Unban
    | Pause
    | Resume
    | TemplateList
    | TemplateShow
    | TemplateSave
    | TemplateDelete
    | TemplateForm
    | ReviewList
    | Decide
    | Appeal
    | KbAdd
    | KbList
    | KbRemove
    | KbUnanswered
    | ModelList
    | ModelUse
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
