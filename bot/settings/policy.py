"""policy.yaml: who may do how much, and when."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from bot.naming import FIELDS, Naming, checked
from bot.settings.base import LATER, Section
from bot.settings.hours import OpeningHours
from bot.settings.moderation import Moderation
from bot.settings.templates import Templates
from inference.images import glyphs, label
from scheduler.policy import Policy as QueuePolicy
from scheduler.policy import Rate
from storage.records import Allowance as Amount
from storage.records import Payer, Role, Unit

_AMOUNT = re.compile(r"(?P<amount>[0-9]{1,7}) ?/ ?(?P<period>day|week|month)")
_OFTEN = re.compile(r"(?P<count>[1-9][0-9]{0,5}) ?/ ?(?P<period>second|minute|hour|day)")
_IDENTITY = re.compile(r"[a-z]+:\S+")
_SPACE = re.compile(r"(?:feishu(?:-[a-z0-9-]+)?|wecom|web|terminal)(?::\S+)?")


def _amounts(value: Any) -> Any:
    """50/day, or a list of one for each period, all of which count."""
    found = [_amount(one) for one in (value if isinstance(value, list) and value else [value])]
    if len({one.period for one in found}) < len(found):
        raise ValueError("write each period once: the smaller of two would count alone")
    return tuple(found)


def _amount(value: Any) -> Amount:
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write units per period: 50/day, 200/week, 1000/month, or several: [50/day, 500/month]")
    return Amount(amount=int(match["amount"]), period=match["period"])


def _written(found: tuple[Amount, ...]) -> str | list[str]:
    written = [f"{one.amount}/{one.period}" for one in found]
    return written[0] if len(written) == 1 else written


def _often(value: Any) -> Any:
    match = _OFTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write orders per period: 30/minute, 200/hour, 1000/day")
    return Rate(count=int(match["count"]), name=match["period"])


def _chat(value: str) -> str:
    if not _IDENTITY.fullmatch(value):
        raise ValueError("write <platform>:<chat id>, for example feishu:oc_123")
    return value


def _identity(value: str) -> str:
    if not _IDENTITY.fullmatch(value):
        raise ValueError("write <platform>:<user id>, for example feishu:ou_123 or web:alice")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone: write a name such as Asia/Shanghai or UTC") from None
    return value


def _space(value: str) -> str:
    if not _SPACE.fullmatch(value):
        raise ValueError("write a platform or <platform>:<chat id>: feishu, wecom, web, terminal, feishu:oc_123")
    return value


def _mark(value: str) -> str:
    if problem := glyphs.trouble(value):
        raise ValueError(problem)
    return value


def _code(value: str) -> str:
    if problem := label.trouble(value):
        raise ValueError(problem)
    return value


_RATE = {"type": "string", "pattern": r"^[0-9]{1,7} ?/ ?(day|week|month)$", "examples": ["50/day"]}
Allowances = Annotated[
    tuple[Amount, ...],
    BeforeValidator(_amounts),
    PlainSerializer(_written),
    WithJsonSchema({"anyOf": [_RATE, {"type": "array", "items": _RATE, "minItems": 1, "maxItems": 3}]}),
]
Often = Annotated[
    Rate,
    BeforeValidator(_often),
    PlainSerializer(lambda rate: f"{rate.count}/{rate.name}"),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9][0-9]{0,5} ?/ ?(second|minute|hour|day)$"}),
]
Chat = Annotated[str, AfterValidator(_chat)]
Space = Annotated[str, AfterValidator(_space)]
Identity = Annotated[str, AfterValidator(_identity)]
Weight = Annotated[float, Field(gt=0, le=100)]


class Spending(Section):
    """What one person may spend: units per period, or a list of several that all count."""

    draw: Allowances = Field(
        default=(Amount(amount=50, period="day"),),
        description="Pictures: 1 unit is one picture up to 1024x1024 at the default steps.",
    )
    ask: Allowances = Field(default=(Amount(amount=200, period="day"),), description="Answers.")


class Shared(Section):
    """What all members together may spend, beside what each of them may."""

    draw: Allowances | None = Field(default=None, description="Pictures; left out = not limited.")
    ask: Allowances | None = Field(default=None, description="Answers; left out = not limited.")

    def by_unit(self) -> dict[Unit, tuple[Amount, ...]]:
        """The units that are limited."""
        return {unit: found for unit, found in ((Unit.DRAW, self.draw), (Unit.ASK, self.ask)) if found}


class Quotas(Section):
    """What may be spent."""

    user: Spending = Field(default=Spending(), description="Everybody who has no quota of their own.")
    group: dict[Chat, Shared] = Field(
        default_factory=dict, description="Group chats, by <platform>:<chat id>: what is ordered there counts."
    )
    department: dict[str, Shared] = Field(
        default_factory=dict, description="Departments, by name: what their people order counts, wherever."
    )
    warn_at: int = Field(
        default=80, ge=0, le=100, description="Percent of a quota at which a card says how much is left; 0 = never."
    )
    answer_tokens: int = Field(
        default=2000, ge=0, description="Tokens read and written that one unit of answers buys; 0 = any answer costs 1."
    )

    def shared(self) -> dict[str, dict[Unit, tuple[Amount, ...]]]:
        """The quotas of groups and departments, by the subject of their account."""
        groups = {f"{Payer.GROUP}:{chat}": quota.by_unit() for chat, quota in self.group.items()}
        return groups | {f"{Payer.DEPARTMENT}:{name}": quota.by_unit() for name, quota in self.department.items()}


class Rates(Section):
    """How often one person may order; left out = as often as they like. /cancel, /help, /quota … are never limited."""

    user: Often | None = Field(default=None, description="Orders of every kind together: 30/minute.")
    draw: Often | None = Field(default=None, description="Pictures, drawn again included.")
    ask: Often | None = Field(default=None, description="Questions.")
    reserve: Often | None = Field(default=None, description="Reservations, and new times for them.")

    def by_scope(self) -> dict[str, Rate]:
        """The scopes that are limited."""
        return {name: rate for name in type(self).model_fields if (rate := getattr(self, name)) is not None}


class Limits(Section):
    """What keeps one person from taking everything."""

    concurrency: int = Field(default=3, ge=1, le=16, description="Jobs of one person that run at once.")
    count: int = Field(default=2, ge=1, le=16, description="Pictures of one command.")
    pixels: int = Field(default=2048 * 2048, ge=256 * 256, description="Largest picture: width x height in pixels.")
    queue: int = Field(default=2000, ge=1, le=100_000, description="Jobs that may wait, of everybody together.")
    queue_per_user: int = Field(default=200, ge=1, le=100_000, description="Jobs of one person that may wait.")
    weights: dict[Role, Weight] = Field(
        default_factory=dict,
        description="Share of a busy queue by role: 2 gets double of what 1 gets. A role that is left out has 1.",
    )
    ageing: int = Field(default=15, ge=1, le=1440, description="Minutes after which work that waits rises a class.")
    rate: Rates = Field(default=Rates(), description="How often one person may order.")


class Labels(Section):
    """How pictures say that they are generated. The field in the file is always written; a change is audited."""

    visible: bool = Field(default=True, description="Print the mark into every copy that is shown or sent.")
    text: Annotated[str, AfterValidator(_mark)] = Field(
        default="AI生成", description="The mark: names AI and says that it made the picture."
    )
    spaces: dict[Space, bool] = Field(
        default_factory=dict, description="Otherwise for a chat, <platform>:<chat id>, or for a whole <platform>."
    )
    producer: Annotated[str, AfterValidator(_code)] = Field(
        default="moqi", description="Who is responsible, as the field in the file names them: a code or an ASCII name."
    )

    def mark(self, space: str) -> str:
        """What is printed into pictures in a chat, <platform>:<chat id>; empty = nothing."""
        platform = space.partition(":")[0]
        return self.text if self.spaces.get(space, self.spaces.get(platform, self.visible)) else ""

    def off(self) -> tuple[str, ...]:
        """Where nothing is printed: spaces, and * for wherever nothing else is said."""
        return ("*",) * (not self.visible) + tuple(name for name, visible in self.spaces.items() if not visible)

    def summary(self) -> str:
        """The policy in one line, for a log."""
        off = ", ".join(self.off())
        return f"the mark {self.text!r} is printed everywhere{f' but in {off}' if off else ''}; made by {self.producer}"


class Retention(Section):
    """After how many days things are deleted; 0 = kept."""

    pictures_days: int = Field(
        default=0,
        ge=0,
        le=36500,
        description="Pictures, drawn or given to draw from; not while something that waits begins with one.",
    )
    conversations_days: int = Field(
        default=0,
        ge=0,
        le=36500,
        description="Questions and answers: what was said goes; who asked when, and what it cost, stays.",
    )
    messages_days: int = Field(default=0, ge=0, json_schema_extra=LATER)
    audit_days: int = Field(default=0, ge=0, json_schema_extra=LATER)


class Policy(Section):
    """policy.yaml"""

    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="Asia/Shanghai", description="Where days, weeks and months begin."
    )
    roles: dict[Identity, Literal["admin", "reviewer", "user"]] = Field(
        default_factory=dict, description="Roles of people by <platform>:<user id>.", json_schema_extra=LATER
    )
    quotas: Quotas = Field(default=Quotas(), description="What may be spent.")
    limits: Limits = Field(default=Limits(), description="What keeps one person from taking everything.")
    hours: OpeningHours = Field(default=OpeningHours(), description="When work may run.")
    moderation: Moderation = Field(default=Moderation(), description="What is checked.")
    templates: Templates = Field(
        default={},
        description="Prompt templates for everybody, by name: as after /draw, with {slots} and {slots=with defaults}.",
    )
    labels: Labels = Field(default=Labels(), description="How pictures are marked.")
    naming: Annotated[str, AfterValidator(checked)] = Field(
        default=Naming().template, description=f"Names of downloaded pictures, of {', '.join(FIELDS)} in braces."
    )
    project: str = Field(
        default=Naming().project, min_length=1, max_length=40, description="What {project} stands for in a name."
    )
    retention: Retention = Field(default=Retention(), description="What is deleted when.")

    def names(self) -> Naming:
        """How downloaded pictures are named."""
        return Naming(template=self.naming, project=self.project, zone=ZoneInfo(self.timezone))

    def queue(self) -> QueuePolicy:
        """The rules as the scheduler wants them."""
        return QueuePolicy(
            timezone=ZoneInfo(self.timezone),
            allowances={Unit.DRAW: self.quotas.user.draw, Unit.ASK: self.quotas.user.ask},
            rates=self.limits.rate.by_scope(),
            interactive=self.hours.interactive,
            reserved=self.hours.reserved,
            exempt=frozenset(Role(name) for name in self.hours.exempt),
            concurrency=self.limits.concurrency,
            queue_per_user=self.limits.queue_per_user,
            queue_total=self.limits.queue,
            shares=self.limits.weights,
            ageing=timedelta(minutes=self.limits.ageing),
            shared=self.quotas.shared(),
            warn_at=self.quotas.warn_at,
            answer_tokens=self.quotas.answer_tokens,
        )
