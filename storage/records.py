"""The nouns of Moqi as frozen values. Pure: queries live in the sibling modules, one per noun.

Times are timezone-aware UTC datetimes; a naive one is refused at construction. Money does not exist here:
what is counted are *units* (see `Unit`), always whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

#: Platforms whose ids of people mean the same in upper and lower case; everything here is keyed by the lower one.
CASELESS: Final = frozenset({"wecom"})


def utcnow() -> datetime:
    """The current instant, aware, in UTC. The one clock of the process; tests pass their own instants."""
    return datetime.now(UTC)


def aware(value: datetime | None, name: str) -> None:
    """Refuse a naive datetime, which would silently mean another instant on another machine."""
    if value is not None and value.tzinfo is None:
        raise ValueError(f"{name} must be timezone-aware, got {value!r}")


class Role(StrEnum):
    """What a person may do."""

    USER = "user"  # draws and asks within the quota
    REVIEWER = "reviewer"  # also decides on pictures held for review
    ADMIN = "admin"  # also sets quotas, roles, settings


class ChatType(StrEnum):
    """Who reads along where a message was written."""

    DIRECT = "direct"  # one person and the bot
    GROUP = "group"  # everybody in the group sees the answer


class Kind(StrEnum):
    """What kind of work a job is; each kind has its own lane of workers."""

    DRAW = "draw"
    ASK = "ask"


class Unit(StrEnum):
    """What a quota counts."""

    DRAW = "draw"  # 1 = one picture up to 1024x1024 at the default steps
    ASK = "ask"  # 1 = one answer


class Payer(StrEnum):
    """Whose units a job is paid with. The value begins the subject of the account: user:12, group:feishu:oc_1."""

    USER = "user"  # the person who ordered it, always
    GROUP = "group"  # the group chat it was ordered in, where that has an allowance
    DEPARTMENT = "dept"  # the person's department, where that has an allowance
    DEFAULT = "default"  # pays nothing: what everybody gets who has no allowance of their own


class JobState(StrEnum):
    """Where a job stands. The last three are terminal: they are entered once and never left.

    One way leads back: a rejected picture whose appeal is approved is done after all.
    """

    QUEUED = "queued"  # waits for its turn
    RUNNING = "running"  # a worker holds its lease
    REVIEW = "review"  # drawn and held: a reviewer decides whether it is delivered; its price stays held, too
    DONE = "done"  # has its result
    FAILED = "failed"  # has its error; cost nothing
    CANCELLED = "cancelled"  # stopped by its owner or an admin; cost nothing

    @property
    def terminal(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class ReviewState(StrEnum):
    """Where a review stands. All but the first are its end."""

    PENDING = "pending"  # waits for a reviewer
    APPROVED = "approved"  # the pictures were delivered
    REJECTED = "rejected"  # they were not; `reason` says why
    WITHDRAWN = "withdrawn"  # its job was cancelled before anybody decided


class EntryKind(StrEnum):
    """Why a balance changed. The ledger is append-only."""

    GRANT = "grant"  # a period began, or an admin gave units (amount > 0), or lowered a quota (amount < 0)
    HOLD = "hold"  # a job was accepted (amount < 0)
    SETTLE = "settle"  # its result was kept: the hold stands; what it used beyond that is taken now (amount <= 0)
    REFUND = "refund"  # it failed, was cancelled or refused: the hold is given back (amount > 0)
    RETURN = "return"  # settled, but its result could never be delivered: the price is given back (amount > 0)
    JOIN = "join"  # two accounts turned out to be one person's: what the other one used (< 0) or brings along (> 0)


class ReservationState(StrEnum):
    """Where a reservation stands. The last two are terminal."""

    PROPOSED = "proposed"  # shown to its owner, not confirmed yet
    ACTIVE = "active"  # fires at `next_at`
    PAUSED = "paused"  # by its owner: what falls due meanwhile is not done
    ENDED = "ended"  # has fired for the last time
    CANCELLED = "cancelled"  # by its owner or an admin, or never confirmed; `reason` says which

    @property
    def terminal(self) -> bool:
        return self in (ReservationState.ENDED, ReservationState.CANCELLED)


class Fate(StrEnum):
    """What became of one due time of a reservation."""

    FIRED = "fired"  # made its job
    SKIPPED = "skipped"  # too late, or a later one stands for it; `reason` says which
    REFUSED = "refused"  # its job was not accepted; `reason` is the refusal's code


class DeliveryState(StrEnum):
    """Where an outgoing message stands."""

    PENDING = "pending"  # waits for the sender, or for its next try
    SENT = "sent"  # the platform confirmed it
    SKIPPED = "skipped"  # a later message took its place before it was ever sent
    FAILED = "failed"  # given up; `reason` says why


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A person, however many platforms they come from."""

    id: int
    name: str  # as shown to others
    role: Role
    department: str  # empty when the platform does not tell
    banned: bool
    created_at: datetime
    ban_reason: str = ""  # as an admin gave it; empty = none
    banned_until: datetime | None = None  # None = until an admin lifts it
    department_set: bool = False  # an admin said so: the platform's directory does not change it


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One platform's name for a person."""

    platform: str  # web, terminal, feishu, wecom
    external_id: str  # the platform's own id (open_id, userid, chosen name)

    def __post_init__(self) -> None:
        if not self.platform or not self.external_id:
            raise ValueError("an identity needs a platform and an external id")

    @classmethod
    def written(cls, platform: str, external_id: str) -> Self:
        """The identity that somebody means who writes it: platforms that do not tell case apart are kept in lower."""
        platform, external_id = platform.strip().lower(), external_id.strip()
        return cls(platform=platform, external_id=external_id.lower() if platform in CASELESS else external_id)

    def __str__(self) -> str:
        return f"{self.platform}:{self.external_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Department:
    """A department as a platform's directory knows it."""

    id: str  # the platform's own
    name: str
    above: tuple[tuple[str, str], ...] = ()  # (id, name) of those it is part of, the nearest first


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What a platform's directory says about one of its people. What it does not tell is empty."""

    identity: Identity
    name: str = ""
    departments: tuple[Department, ...] = ()  # the primary one first
    union_id: str = ""
    tenant_key: str = ""  # the organisation they belong to
    guest: bool = False  # of another organisation than ours
    fetched_at: datetime | None = None  # None = the directory was not asked yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """What somebody may read beside what is theirs."""

    departments: frozenset[str] = frozenset()  # by name (设计部) and by id (feishu:od-1), those above included
    guest: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where to answer. Opaque below `bot`: carried along, never looked into."""

    platform: str
    chat_id: str
    chat_type: ChatType
    message_id: str  # the message answered to; empty for work nobody wrote a message for
    sender: str  # the platform's id of the person
    thread_id: str = ""

    @property
    def group(self) -> str:
        """The group chat, by platform and id; empty for a direct chat."""
        return f"{self.platform}:{self.chat_id}" if self.chat_type is ChatType.GROUP else ""

    def to_json(self) -> dict[str, str]:
        return {
            "platform": self.platform,
            "chat_id": self.chat_id,
            "chat_type": self.chat_type.value,
            "message_id": self.message_id,
            "sender": self.sender,
            "thread_id": self.thread_id,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Origin:
        return cls(**{**data, "chat_type": ChatType(data["chat_type"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One piece of work: a set of pictures, or one answer."""

    id: int
    kind: Kind
    user_id: int
    state: JobState
    params: dict[str, Any]  # what to compute; see scheduler/runners/<kind>.py
    origin: Origin
    cost: int  # units held; once it is done, units charged
    weight: float  # predicted work (megapixel-steps, answers): fairness and waiting times count in it
    priority: int  # 0 interactive, 10 reserved, 20 batch
    vtag: float  # start-time fair queueing tag: the order within a priority
    batch_key: str  # equal keys may share a forward pass; empty = alone
    attempt: int  # how often it was started
    lost: int  # how often its worker vanished
    token: str  # fencing token of the present lease
    cancel_requested: bool
    parent_id: int | None  # the job this one redoes
    result: dict[str, Any] | None  # seeds, timings, assets, answer
    error: str | None  # stable code of bot.replies; the operator's cause is in `cause`
    cause: str | None
    created_at: datetime
    not_before: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    not_after: datetime | None = None  # it may not start from then on: the window it was booked in has closed
    notices: tuple[dict[str, Any], ...] = ()  # what its owner is told beside it; see scheduler/standing.py
    foreseen: float | None = None  # Place.foreseen and Place.doubt when it was ordered; None = nothing was promised
    doubt: float | None = None
    cleared: int | None = None  # its question and answer were taken out by the retention rule, after so many days

    def __post_init__(self) -> None:
        for name in ("created_at", "not_before", "started_at", "finished_at", "not_after"):
            aware(getattr(self, name), name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One question to the reviewers: whether a job's pictures may be delivered."""

    id: int
    job_id: int
    state: ReviewState
    why: tuple[dict[str, Any], ...]  # the verdicts that hold it: see inference/moderation.py
    appeal_of: int | None  # the review that rejected it; None = this is the first
    plea: str  # what its owner says against that
    reviewer_id: int | None  # who decided
    reason: str  # theirs
    created_at: datetime
    decided_at: datetime | None

    def __post_init__(self) -> None:
        for name in ("created_at", "decided_at"):
            aware(getattr(self, name), name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """Work that is ordered when its time comes, once or again and again."""

    id: int
    user_id: int
    kind: Kind
    state: ReservationState
    origin: Origin  # where it was ordered: its pictures go there
    params: dict[str, Any]  # as Job.params; a seed of None = another one each time
    work: float  # Job.weight of one firing: what it takes of a window's capacity
    rule: dict[str, Any]  # scheduler.calendar.to_json
    choices: tuple[dict[str, Any], ...]  # rules it may mean; its owner chooses before it can be confirmed
    window: dict[str, Any] | None  # scheduler.calendar.window_to_json: any time in it will do
    zone: str  # IANA name of the zone the rule is read in
    late_limit: int | None  # seconds; later than that it is skipped. None = it runs however late it is
    version: int  # grows with every change of its time: a card of an older one confirms nothing
    since: datetime | None  # every due time after this instant has an occurrence, or is still to come
    next_at: datetime | None  # when it fires next; None when it does not
    closes_at: datetime | None  # of the window that begins at next_at
    reason: str  # why it ended or was cancelled
    card: str  # key of the message that shows it
    created_at: datetime

    def __post_init__(self) -> None:
        for name in ("since", "next_at", "closes_at", "created_at"):
            aware(getattr(self, name), name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """One due time of a reservation and what became of it."""

    reservation_id: int
    key: str  # scheduler.calendar.occurrence_key: unique within the reservation
    due_at: datetime
    fate: Fate
    job_id: int | None
    reason: str
    at: datetime  # when that was decided


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What one account may spend of a unit in each period."""

    amount: int
    period: str  # day | week | month


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a queued job stands: 1 = it is next. `seconds` until its result, None when nothing can be said.

    `low` and `high` are what it most likely lies between, rounded; None while too little was measured.
    """

    place: int
    seconds: float | None
    low: int | None = None
    high: int | None = None
    foreseen: float | None = None  # the seconds by measured rates alone: see scheduler/estimate.py
    doubt: float | None = None  # how sure these are: a relative standard deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """One change of one account."""

    id: int
    account: str  # subject: user:12 | group:feishu:oc_1 | dept:设计部
    unit: Unit
    bucket: str  # day:2026-11-21 (a period's allowance) | extra (granted) | extra:2026-12-31 (granted until that day)
    kind: EntryKind
    amount: int
    job_id: int | None
    actor: str  # who caused it
    note: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """A file the platform made, by content."""

    id: int
    sha256: str
    media_type: str
    size: int  # bytes
    width: int
    height: int
    job_id: int
    index: int  # which picture of the job
    created_at: datetime
    day: str = ""  # of its making, in the team's zone: 2026-11-21
    seq: int = 0  # which picture of that day; from 1
    removed: int | None = None  # its file was deleted by the retention rule, after so many days


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A picture that somebody gave to draw from, by content: the same picture twice is one."""

    sha256: str
    media_type: str
    size: int  # bytes
    width: int
    height: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A text the knowledge base holds."""

    id: int
    name: str  # path relative to what was added: how people and measurements name it
    title: str
    sha256: str
    updated_at: datetime
    url: str = ""  # where people open the original; empty = nowhere but here


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A quotable piece of a document."""

    id: int
    document_id: int
    document: str  # the document's name
    heading: str  # headings above it, joined by " › "
    ordinal: int
    start: int  # character offset in the document's text
    end: int
    text: str
    url: str = ""  # where people open the document's original; empty = nowhere but here


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchTerms:
    """A text cut for the full-text index: the same cutting for what is kept and for what is asked."""

    words: tuple[str, ...]
    bigrams: tuple[str, ...]  # neighbouring Chinese characters, where words are cut differently on both sides


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPassage:
    """A passage before it is kept."""

    heading: str
    start: int  # character offset in the document's text
    end: int
    text: str
    terms: SearchTerms  # of title, heading and text


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredPassage:
    """A passage that was found, best first; a larger score is better."""

    passage: Passage
    score: float
    coverage: float = 1.0  # 0..1: how much of what the question asks about occurs here, rare words counting more


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One outgoing message of the outbox."""

    id: int
    key: str  # unique; the platform's idempotency key is derived from it
    origin: Origin
    job_id: int | None
    #: "card" = first answer, "outcome" = end of the job, "held" and "appeal" = its review, "reply" = without a job,
    #: "review" = to a reviewer, "revision" = see replaces
    slot: str
    body: dict[str, Any]  # bot.reply.Reply as JSON; empty for an outcome: the job's row says it all
    state: DeliveryState
    attempts: int
    receipt: dict[str, Any]  # what the platform gave back (message id, image keys): kept before the next step
    reason: str
    created_at: datetime
    sent_at: datetime | None
    replaces: str = ""  # key of the earlier message whose place this one takes


class Scope(StrEnum):
    """Whose a prompt template is. In the order in which a name is looked up."""

    USER = "user"  # one person's: nobody else sees it
    CHAT = "chat"  # everybody's in one group chat
    TEAM = "team"  # everybody's, kept by admins
    SETTINGS = "settings"  # everybody's, from policy.yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One version of a prompt with `{slots}` and flags, under a name."""

    id: int  # of this version; 0 for one of the settings
    scope: Scope
    owner: str  # id of the person, <platform>:<chat id>, or empty
    name: str
    version: int  # from 1; 0 for one of the settings, which have their versions in Git
    body: str  # as after /draw: text with {slots}, and flags
    user_id: int | None = None  # who made it and may change it; None: nobody but an admin
    saved_by: str = ""  # user:12 | cli:<name of the machine's user>
    saved_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One line of the audit log. Sealed entries carry the chain's hash."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    seq: int | None = None
    hash: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxEntry:
    """One accepted event, kept before it was acknowledged."""

    id: int
    platform: str
    key: str  # the platform's message id: unique per platform
    event: dict[str, Any] = field(default_factory=dict)
    received_at: datetime
    handled_at: datetime | None = None
    outcome: str = ""  # job:<id> | reply | refused:<code> | ignored:<why>
