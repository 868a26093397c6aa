"""Prompt templates as replies: the list, the card of one with its form, and what was done with one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from bot.commands import slots
from bot.commands.slots import Slot
from bot.commands.templates import MORE, field
from bot.replies.language import Language
from bot.reply import Form, FormField, Reply
from bot.templates import number, slots_of
from storage.records import Scope, Template
from storage.templates import key_of

#: In the value of a form: the version it is about, and the same for one of the settings.
TEMPLATE, SETTINGS = "template", "settings"
_LONGEST = 300  # characters of a field


def listing(words: Language, found: Sequence[Template]) -> Reply:
    """All there are, by whose they are, a line each; a name that another one hides says how it is written."""
    if not found:
        return Reply(text=words.say("templates.none"))
    lines, seen = [], dict[str, Template]()
    for scope, group in groupby(found, key=attrgetter("scope")):
        lines.append(words.say("templates.of", whose=whose(words, scope)))
        for one in group:
            first = seen.setdefault(key_of(one.name), one)
            lines.append(_row(words, one) + ("" if first is one else _hidden(words, one, first)))
    return Reply(title=words.say("templates.title"), text="\n".join(lines), note=words.say("templates.note"))


def card(words: Language, found: Template, saver: str, others: Sequence[Template]) -> Reply:
    """One: its text, its slots, an order to copy, who saved it when, and a form to fill in."""
    wanted = slots_of(found)
    listed = words.listed([_slot(words, slot) for slot in wanted])
    fields = [(words.say("template.slots"), listed)] if wanted else []
    if found.saved_at is not None:
        fields.append((words.say("template.saved"), f"{saver} · {words.moment(found.saved_at)}"))
    fields += (
        [(words.say("template.same_name"), words.listed([_qualified(words, one) for one in others]))] if others else []
    )
    return Reply(
        title=words.say(
            "template.title", name=found.name, whose=whose(words, found.scope), version=_version(words, found)
        ),
        text=f"{found.body}\n{words.say('template.use', example=slots.example(found.name, wanted))}",
        fields=tuple(fields),
        form=_form(words, found, wanted),
    )


def saved(words: Language, kept: Template, before: Template | None, hidden: Template | None) -> Reply:
    """What is kept now, what that changed, and how it is used."""
    values = {"name": kept.name, "whose": whose(words, kept.scope), "version": _version(words, kept)}
    if before is not None and before.id == kept.id:
        return Reply(text=words.say("template.unchanged", **values))
    lines = [words.say("template.new" if before is None else "template.changed", **values)]
    lines += [] if before is None else _changes(words, before, kept)
    lines.append(words.say("template.use", example=slots.example(kept.name, slots_of(kept))))
    if hidden is not None:
        first = whose(words, hidden.scope)
        lines.append(words.say("template.hides", first=first, written=_qualified(words, kept)))
    return Reply(text="\n".join(lines))


def deleted(words: Language, found: Template, left: Template | None) -> Reply:
    """What was taken away, and what the name means from now on."""
    said = words.say("template.deleted", name=found.name, whose=whose(words, found.scope))
    if left is not None:
        said += words.say("template.left", name=left.name, whose=whose(words, left.scope))
    return Reply(text=said)


def whose(words: Language, scope: Scope) -> str:
    return words.say(f"template.scope.{scope.value}")


def _row(words: Language, one: Template) -> str:
    listed = words.listed([_slot(words, slot) for slot in slots_of(one)]) or words.say("template.no_slots")
    return words.say("templates.row", name=one.name, slots=listed)


def _hidden(words: Language, one: Template, first: Template) -> str:
    return words.say("templates.hidden", first=whose(words, first.scope), written=_qualified(words, one))


def _qualified(words: Language, one: Template) -> str:
    """How one of several of a name is written; 全体 is the word for those of the settings, too."""
    scope = Scope.TEAM if one.scope is Scope.SETTINGS else one.scope
    return f"`{words.say(f'template.for.{scope.value}')}/{one.name}`"


def _version(words: Language, found: Template) -> str:
    return words.say("template.version", n=found.version) if found.version else ""


def _slot(words: Language, slot: Slot) -> str:
    return slot.name if slot.default is None else words.say("template.default", slot=slot.name, value=slot.default)


def _changes(words: Language, before: Template, kept: Template) -> list[str]:
    was, now = ({slot.name for slot in slots_of(one)} for one in (before, kept))
    lines = [words.say("template.was", body=before.body)]
    for key, names in (("template.more", now - was), ("template.less", was - now)):
        lines += [words.say(key, names=words.listed(sorted(names)))] if names else []
    return lines


def _form(words: Language, found: Template, wanted: Sequence[Slot]) -> Form:
    fields = [
        FormField(name=field(n), label=slot.name, value=slot.default or "", max=_LONGEST)
        for n, slot in enumerate(wanted)
    ]
    more = FormField(name=MORE, label=words.say("template.form.more"), kind="lines", max=1000)
    value = {(SETTINGS if found.scope is Scope.SETTINGS else TEMPLATE): number(found)}
    return Form(
        action="template_form",
        label=words.say("button.template_form"),
        send=words.say("form.send"),
        close=words.say("form.close"),
        fields=(*fields, more),
        value=value,
    )
