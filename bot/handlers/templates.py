"""/template: prompts with slots are listed, shown, kept and taken away; and the form of one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from bot import access, commands
from bot import templates as shelves
from bot.commands import (
    Command,
    TemplateDelete,
    TemplateForm,
    TemplateList,
    TemplateSave,
    TemplateShow,
    UsageError,
)
from bot.context import Context, Handled, Shown
from bot.events import ChatEvent
from bot.handlers.draw import refused
from bot.handlers.forms import NONCE
from bot.replies.templates import SETTINGS, TEMPLATE
from bot.reply import Reply
from bot.templates import Prompts
from scheduler.policy import Refusal
from storage import audit, templates, users
from storage.records import Scope, Template


def listing(ctx: Context, command: TemplateList) -> Handled:
    """All there are here, by whose they are."""
    return Handled(outcome="reply", reply=ctx.house.words.templates(ctx.prompts.all))


def show(ctx: Context, command: TemplateShow) -> Handled:
    """One with its slots, its flags and a form to use it."""
    found = ctx.prompts.named(command.name, command.scope)
    if not found:
        return refused(ctx, _unknown(ctx, command.name))
    return Handled(outcome="reply", reply=_card(ctx, found[0], found[1:]))


def save(ctx: Context, command: TemplateSave) -> Handled:
    """Keep it, as a new version where there is one of the name; say what that changes."""
    place = shelves.place(command.scope, ctx.user, ctx.event.origin)
    if place is None:
        return refused(ctx, Refusal(code="template_no_group"))
    templates.lock(ctx.conn, place)
    before = templates.newest(ctx.conn, place, command.name)
    refusal = access.template(ctx.user, command.scope, before) or _no_room(ctx, command, place, before)
    if refusal is not None:
        return refused(ctx, refusal)
    if before is not None and (before.body, before.name) == (command.body, command.name):
        return Handled(outcome="reply", reply=ctx.house.words.template_saved(before, before))
    actor = f"user:{ctx.user.id}"
    kept = templates.save(ctx.conn, place, command.name, command.body, user_id=ctx.user.id, saved_by=actor, now=ctx.now)
    assert kept is not None  # it has a text
    _note(ctx, "save", kept)
    hidden = next((one for one in ctx.prompts.named(kept.name) if one.scope is not kept.scope), None)
    taken = hidden if hidden is not None and ctx.prompts.named(kept.name)[0] == hidden else None
    return Handled(outcome="reply", reply=ctx.house.words.template_saved(kept, before, taken))


def delete(ctx: Context, command: TemplateDelete) -> Handled:
    """Take away the one that an order would take, or the one that was named."""
    found = next(iter(ctx.prompts.named(command.name, command.scope)), None)
    if found is None:
        return refused(ctx, _unknown(ctx, command.name))
    refusal = access.template(ctx.user, found.scope, found)
    if refusal is not None:
        return refused(ctx, refusal)
    place = (found.scope, found.owner)
    templates.lock(ctx.conn, place)
    if templates.newest(ctx.conn, place, found.name) is None:  # somebody was quicker
        return refused(ctx, _unknown(ctx, command.name))
    actor = f"user:{ctx.user.id}"
    templates.save(ctx.conn, place, found.name, None, user_id=None, saved_by=actor, now=ctx.now)
    _note(ctx, "delete", found)
    left = Prompts(ctx.conn, ctx.user, ctx.event.origin, ctx.house.templates).find(found.name)
    return Handled(outcome="reply", reply=ctx.house.words.template_deleted(found, left))


def form(ctx: Context, command: TemplateForm) -> Handled:
    """Show the pressed card with its form open, or closed again; the toast says why not."""
    found = ctx.prompts.known(command.id, settings=command.settings)
    shown = None if found is None else pressed(ctx, found, opened=command.open)
    return Handled(outcome="reply", shown=shown)


def about(event: ChatEvent) -> bool:
    """Whether what was pressed stands on a template's card."""
    return any(name in event.value for name in (TEMPLATE, SETTINGS))


def wanted(ctx: Context, *, sent: bool, opened: bool) -> Command | UsageError:
    """What was pressed on a template's card: its form was sent, or is to be opened or closed."""
    found = _pressed(ctx)
    if found is None:
        return UsageError(code="template_stale")
    if not sent:
        return TemplateForm(id=shelves.number(found), settings=found.scope is Scope.SETTINGS, open=opened)
    filled = ctx.event.value.get("form")
    said = filled if isinstance(filled, dict) else {}
    return commands.template_form(found, {str(n): text for n, text in said.items() if isinstance(text, str)}, ctx.rules)


def again(ctx: Context) -> Shown | None:
    """The card of a template that was just ordered from, with its form closed."""
    found = _pressed(ctx)
    return None if found is None else pressed(ctx, found, opened=False)


def _pressed(ctx: Context) -> Template | None:
    """The template on whose card something was pressed, if it is as it was and this person's to use."""
    value = ctx.event.value
    settings = TEMPLATE not in value
    number = value.get(SETTINGS if settings else TEMPLATE)
    return ctx.prompts.known(number, settings=settings) if type(number) is int else None


def pressed(ctx: Context, found: Template, *, opened: bool) -> Shown:
    """The card that was pressed, as it stands now."""
    others = [one for one in ctx.prompts.named(found.name) if one != found]
    reply = _card(ctx, found, others)
    assert reply.form is not None  # every template has one
    value = {**reply.form.value, NONCE: secrets.token_hex(4)} if opened else reply.form.value
    return Shown(reply=replace(reply, form=replace(reply.form, value=value, open=opened)), receipt={"images": {}})


def _card(ctx: Context, found: Template, others: Sequence[Template]) -> Reply:
    at = found.saved_at
    here = replace(found, saved_at=None if at is None else at.astimezone(ctx.house.policy.timezone))
    return ctx.house.words.template(here, _saver(ctx, found), others)


def _no_room(ctx: Context, command: TemplateSave, place: templates.Place, before: Template | None) -> Refusal | None:
    """Why this name cannot be kept here: one of the settings has it, or there are too many."""
    taken = {templates.key_of(name) for name in ctx.house.templates}
    if command.scope is Scope.TEAM and templates.key_of(command.name) in taken:
        return Refusal(code="template_in_settings", detail={"name": command.name})
    limit = shelves.MOST[command.scope]
    if before is None and len(templates.held(ctx.conn, [place])) >= limit:
        return Refusal(code="templates_full", detail={"limit": limit, "scope": command.scope.value})
    return None


def _unknown(ctx: Context, name: str) -> Refusal:
    return Refusal(code="unknown_template", detail={"name": name, "there": tuple(ctx.prompts.names()[:20])})


def _saver(ctx: Context, found: Template) -> str:
    """Who saved it, as people know them."""
    kind, _, number = found.saved_by.partition(":")
    person = users.get(ctx.conn, int(number)) if kind == "user" and number.isdigit() else None
    return person.name if person is not None else found.saved_by


def _note(ctx: Context, act: str, found: Template) -> None:
    """The audit log names the template and its version; its text stands in the table of templates."""
    detail = {"scope": found.scope.value, "version": found.version, "owner": found.owner}
    audit.append(ctx.conn, f"user:{ctx.user.id}", f"template.{act}", f"template:{found.name}", detail, ctx.now)
