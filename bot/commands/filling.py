"""An order with `--template NAME`: the template's text filled in, and the flags of both. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.commands import slots
from bot.commands.flags import Measures, Taken, clip, take_flags
from bot.commands.names import nearest
from bot.commands.rules import Shelf
from bot.commands.slots import Slot
from bot.commands.values import Mistake, Used
from storage.records import Template

#: Flags that a template cannot have: when it is drawn, and from which picture, is said each time.
EACH_TIME = ("at", "every", "late", "to", "from", "dry-run", "template")
_NAME = re.compile(r"[^\s,，;；、:：=＝\"“”]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A template with what somebody put into its slots, by their keys."""

    template: Template
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A template, taken apart."""

    flags: dict[str, str]
    parts: list[str | Slot]  # of its text
    negative: list[str | Slot]  # of its --neg
    slots: tuple[Slot, ...]  # of both


def name_length(text: str) -> int:
    """How many characters at the beginning of `text` are a template's name."""
    match = _NAME.match(text)
    return match.end() if match else 0


def read(body: str, measures: Measures | None = None) -> Read:
    """Take a template apart. Raises Mistake for flags that it cannot have, and for braces that are no slots."""
    taken = take_flags(body, measures)
    wrong = next((flag for flag in EACH_TIME if flag in taken.flags), None)
    if wrong is not None:
        raise Mistake("template_flag", flag=f"--{wrong}")
    parts, negative = slots.cut(taken.text), slots.cut(taken.flags.get("neg", ""))
    return Read(flags=taken.flags, parts=parts, negative=negative, slots=slots.slots(parts, negative))


def templated(
    taken: Taken, shelf: Shelf | None, filled: Filled | None, measures: Measures
) -> tuple[Taken, Used | None]:
    """The order with its template filled in; its own flags come before the template's. As it is without a template.

    `filled` is a template that was chosen beside the text. Raises Mistake for an unknown template or slot, and for
    slots that nobody filled in.
    """
    name = taken.flags.get("template")
    if name is not None and filled is not None:
        raise Mistake("repeated_flag", flag="--template")
    if name is not None and shelf is None:  # what is read here is only looked at: see Rules.shelf
        return Taken(text=taken.text or name, flags=taken.flags), None
    if name is not None and shelf is not None:
        found = _found(shelf, name)
        values, beside = slots.said(taken.text, read(found.body, measures).slots)
        taken, filled = Taken(text=beside, flags=taken.flags), Filled(template=found, values=values)
    return (taken, None) if filled is None else (_merged(taken, filled, measures), _used(filled.template))


def _found(shelf: Shelf, name: str) -> Template:
    found = shelf.find(name)
    if found is not None:
        return found
    names = {slots.key_of(one): one for one in shelf.names()}
    near = " / ".join(f"--template {names[one]}" for one in nearest(slots.key_of(name), names))
    code = "unknown_template" if names else "no_templates"
    raise Mistake(code, given=clip(name), near=near, names=" ".join(names.values()))


def _merged(taken: Taken, filled: Filled, measures: Measures) -> Taken:
    body = read(filled.template.body, measures)
    values = slots.complete(filled.values, body.slots, filled.template.name)
    flags = dict(body.flags)
    if "neg" in flags:
        flags["neg"] = slots.fill(body.negative, values)
    if "size" in taken.flags or "ar" in taken.flags:
        flags = {name: value for name, value in flags.items() if name not in ("size", "ar")}
    if "from" not in taken.flags:
        flags.pop("strength", None)  # it says how much of a picture is drawn anew, and here is none
    text = slots.beside(slots.fill(body.parts, values), taken.text)
    return Taken(text=text, flags={**flags, **taken.flags})


def _used(template: Template) -> Used:
    return Used(name=template.name, scope=template.scope, version=template.version)
