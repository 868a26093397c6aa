"""What an order begins with when it begins with a picture: which one, how large, how much of it is drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot import access, ordering
from bot.commands import Draw, From
from bot.context import Context
from scheduler.policy import Refusal
from storage import assets, jobs
from storage.records import Asset, Job, JobState

#: The parameters in which a job carries the picture it begins with and how much of it is drawn anew.
SOURCE, STRENGTH = "source", "strength"

VARIED = 0.6  # strength of a variation: the same things in the same places, drawn by another hand
ENLARGED = 0.3  # of the second pass of an enlargement: details are added, nothing is moved


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A finished picture of a job."""

    job: Job
    asset: Asset

    @property
    def source(self) -> dict[str, Any]:
        """The parameter of an order that begins with it."""
        return {"sha256": self.asset.sha256, "job": self.job.id, "picture": self.asset.index + 1}

    @property
    def seed(self) -> int:
        """The seed it was drawn with."""
        seeds = (self.job.result or {}).get("seeds") or [self.job.params["seed"]]
        return int(seeds[min(self.asset.index, len(seeds) - 1)])


def ordered(ctx: Context, command: Draw) -> dict[str, Any] | Refusal:
    """The parameters of an order, with the picture it begins with; a seed that nobody named stays None."""
    params = ordering.later_params(command)
    if command.source is None:
        return params
    found = _named(ctx, command.source) if command.source.job else _sent(ctx)
    if isinstance(found, Refusal):
        return found
    source, width, height = found
    if not command.sized:
        params["width"], params["height"] = ctx.house.rules.size.like(width, height)
    strength = ctx.house.rules.strength.default if command.strength is None else command.strength
    return {**params, SOURCE: source, STRENGTH: strength}


def drawn(ctx: Context, wanted: From) -> Drawn | Refusal:
    """The picture of a job, if this person may draw from it."""
    job = jobs.get(ctx.conn, wanted.job)
    refusal = access.picture(ctx.user, job, ctx.event.origin)
    if job is None:
        return Refusal(code="unknown_job", detail={"job": wanted.job})
    if refusal is not None:
        return refusal
    if job.state is JobState.REVIEW:
        return Refusal(code="under_review", detail={"job": job.id})
    made = {asset.index: asset for asset in assets.of_job(ctx.conn, job.id)} if job.state is JobState.DONE else {}
    if not made:
        return Refusal(code="no_picture", detail={"job": job.id})
    if wanted.picture - 1 not in made:
        return Refusal(code="no_such_picture", detail={"job": job.id, "picture": wanted.picture, "count": len(made)})
    return Drawn(job=job, asset=made[wanted.picture - 1])


def _named(ctx: Context, wanted: From) -> tuple[dict[str, Any], int, int] | Refusal:
    found = drawn(ctx, wanted)
    return found if isinstance(found, Refusal) else (found.source, found.asset.width, found.asset.height)


def _sent(ctx: Context) -> tuple[dict[str, Any], int, int] | Refusal:
    """The picture that came with the message, or that it answers: see bot/enclosures.py."""
    value = ctx.event.value
    if "trouble" in value:
        return Refusal(code=str(value["trouble"]), detail=dict(value.get("detail", {})))
    if "job" in value:
        return _named(ctx, From(job=int(value["job"])))
    found = assets.given(ctx.conn, str(value.get("picture", "")))
    if found is None:
        return Refusal(code=f"no_source_{ctx.event.platform}" if ctx.event.platform in _WAYS else "no_source")
    return {"sha256": found.sha256}, found.width, found.height


#: Platforms on which a picture comes in a way of its own.
_WAYS = ("web", "terminal")
