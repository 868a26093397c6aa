"""From what somebody wants drawn to the job the queue is given, now or when a reservation fires."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot import moderation
from bot.commands import Draw, Used
from bot.context import House
from bot.groups import TO
from bot.replies import job_reply
from inference.images import batching, pricing
from inference.requests import ImageRequest, passes
from scheduler import queue
from scheduler.pausing import held
from scheduler.policy import INTERACTIVE, Refusal
from scheduler.queue import Submission
from storage.records import Job, Kind, Origin, Place, User, utcnow

MAX_SEED = 2**32

#: The parameter in which a job carries the reservation that ordered it.
BOOKED = "booked"
#: Parameters that only those orders carry that asked for them: style adapters, and that nobody else finds them.
ADAPTERS, PRIVATE = "adapters", "private"
#: The parameter that says which template, and which version of it, an order was made from.
TEMPLATE = "template"
#: The parameter in which a job carries the rules whose words have its pictures held, by name.
HELD_BY = "review"
#: What only a booked job carries: a later one that goes back to it does not.
OF_BOOKING = frozenset({BOOKED, TO, queue.COPIES})


def submission(
    house: House,
    *,
    key: str,
    user: User,
    origin: Origin,
    params: dict[str, Any],
    parent_id: int | None = None,
    priority: int = 0,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Submission | Refusal:
    """The job that draws `params`; a refusal when no model can, or it is not allowed any more."""
    if house.card is None:
        return Refusal(code="image_model_unavailable", detail={"problem": house.engines[Kind.DRAW].problem})
    if (refusal := beyond(house, params)) is not None:
        return refusal
    request = ImageRequest(
        prompt=params["prompt"],
        width=params["width"],
        height=params["height"],
        steps=params["steps"],
        seed=params["seed"],
        cfg=params["cfg"],
        negative=params["negative"],
        strength=params.get("strength"),
        adapters=adapters(params),
    )
    return Submission(
        key=key,
        kind=Kind.DRAW,
        user=user,
        origin=origin,
        params=_watched(house, params),
        cost=pricing.price(request.width, request.height, request.passes, params["count"], house.card),
        work=work(params),
        batch_key=batching.batch_key(request, batching.estimated_block(request.prompt)),
        parent_id=parent_id,
        priority=priority,
        not_before=not_before,
        not_after=not_after,
        card=_card(house, origin, priority),
    )


def _watched(house: House, params: dict[str, Any]) -> dict[str, Any]:
    """The same with the rules that want its pictures looked at, as the rules are now."""
    kept = {name: value for name, value in params.items() if name != HELD_BY}
    rules = moderation.holding(house.screen, str(params["prompt"]))
    return {**kept, HELD_BY: rules} if rules else kept


def _card(house: House, origin: Origin, priority: int) -> Callable[[Connection, Job, Place], dict[str, Any]] | None:
    """Nobody waits for the card of what was booked before: it says how things stand when it is sent."""
    if origin.platform == "terminal":
        return None
    return partial(first_card, house) if priority == INTERACTIVE else queue.when_sent


def beyond(house: House, params: dict[str, Any]) -> Refusal | None:
    """Why an order that was allowed once is not any more: a limit was lowered since, a style is gone; None = it is."""
    known = {name for name, _ in house.rules.adapters}
    lost = [name for name, _ in adapters(params) if name not in known]
    if lost:
        return Refusal(code="adapter_gone", detail={"names": lost})
    size, most = house.rules.size, int(house.rules.count.high)
    if params["count"] > most:
        return Refusal(code="count_limit", detail={"count": params["count"], "limit": most})
    width, height = params["width"], params["height"]
    if width * height <= size.max_pixels:
        return None
    nearest = "x".join(map(str, size.nearest(width, height)))
    return Refusal(code="size_limit", detail={"size": f"{width}x{height}", "nearest": nearest})


def adapters(params: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """The style adapters of an order and their weights."""
    return tuple((str(name), float(weight)) for name, weight in params.get(ADAPTERS, ()))


def work(params: dict[str, Any]) -> float:
    """How much work it is: see Job.weight."""
    return pricing.weight(params["width"], params["height"], steps_run(params), params["count"])


def steps_run(params: dict[str, Any]) -> int:
    """How many steps each picture takes: fewer than were ordered where it begins with a picture."""
    return passes(params["steps"], params.get("strength"))


def price(house: House, params: dict[str, Any]) -> int | None:
    """What it would cost with the present model; None without one."""
    if house.card is None:
        return None
    return pricing.price(params["width"], params["height"], steps_run(params), params["count"], house.card)


def first_card(house: House, conn: Connection, job: Job, place: Place) -> dict[str, Any]:
    """What a job's card says at first: its place, even if its turn comes before the card is sent."""
    hold = held(conn, job, house.policy.timezone, utcnow())
    return job_reply(job, house.words, place=place, hold=hold, card=house.card).to_json()


def later_params(command: Draw) -> dict[str, Any]:
    """An order's parameters as they were written: a seed that nobody named is chosen when it is drawn."""
    asked: dict[str, Any] = {}
    if command.adapters:
        asked[ADAPTERS] = [list(one) for one in command.adapters]
    if command.private:
        asked[PRIVATE] = True
    asked |= template(command.template)
    return asked | {
        "prompt": command.prompt,
        "width": command.width,
        "height": command.height,
        "count": command.count,
        "seed": command.seed,
        "steps": command.steps,
        "cfg": command.cfg,
        "negative": command.negative,
    }


def template(used: Used | None) -> dict[str, Any]:
    """What an order keeps of the template it was made from."""
    return {} if used is None else {TEMPLATE: {"name": used.name, "scope": used.scope.value, "version": used.version}}


def seeded(params: dict[str, Any]) -> dict[str, Any]:
    """The same with a seed of its own."""
    return {**params, "seed": fresh_seed()} if params["seed"] is None else params


def fresh_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbelow(MAX_SEED)
