"""/model: which models there are, which of them draws, and another one from now on."""

from __future__ import annotations

from datetime import tzinfo

from sqlalchemy import Connection

from bot.commands import ModelList, ModelUse
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.models import Shelf, UnknownModel
from bot.replies.models import Choice
from scheduler import switching
from scheduler.policy import Refusal
from storage import models, users
from storage.models import Chosen
from storage.records import Kind


def model_list(ctx: Context, command: ModelList) -> Handled:
    """Every model, and who chose the one that draws."""
    shelf = _shelf(ctx)
    found = chosen_by(ctx.conn, ctx.house.policy.timezone)
    return Handled(outcome="reply", reply=ctx.house.words.models(shelf.models(), found))


def model_use(ctx: Context, command: ModelUse) -> Handled:
    """Choose another model, if it can be loaded as far as can be seen; the engine follows (bot/switcher.py)."""
    shelf = _shelf(ctx)
    try:
        name = shelf.find(command.name)
    except UnknownModel as error:
        near = " ".join(f"/model use {one}" for one in error.near)
        code = "unknown_model" if near else "no_such_model"
        return refused(ctx, Refusal(code=code, detail={"name": command.name, "near": near}))
    choice = shelf.choice(name)
    now = models.chosen(ctx.conn, Kind.DRAW)
    if now.settled and now.name == name and not ctx.house.engines[Kind.DRAW].problem:
        return refused(ctx, Refusal(code="model_in_use", detail={"name": choice.name}))
    found = shelf.check(choice)
    if not found.ok:
        problem = f"{found.problems[0].problem} {found.problems[0].next_step}"
        return refused(ctx, Refusal(code="model_broken", detail={"name": choice.name, "problem": problem}))
    switching.choose(ctx.conn, name, f"user:{ctx.user.id}", ctx.now, origin=ctx.event.origin)
    reply = ctx.house.words.model_chosen(choice.name, default=not name)
    return Handled(outcome="reply", reply=reply, switch=True)


def chosen_by(conn: Connection, zone: tzinfo) -> Choice:
    """The newest choice, and who made it, as people are told."""
    found = models.chosen(conn, Kind.DRAW)
    return Choice(
        name=found.name,
        who=_who(conn, found),
        at=None if found.at is None else found.at.astimezone(zone),
        settled=found.settled,
    )


def _who(conn: Connection, chosen: Chosen) -> str:
    kind, _, number = chosen.actor.partition(":")
    person = users.get(conn, int(number)) if kind == "user" and number.isdigit() else None
    return chosen.actor if person is None else person.name


def _shelf(ctx: Context) -> Shelf:
    assert ctx.house.shelf is not None, "a house that serves people knows its models"
    return ctx.house.shelf
