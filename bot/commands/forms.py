"""What somebody sent with a form, by the same rules as what they could have written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.commands import options
from bot.commands.clean import clean
from bot.commands.rules import Rules
from bot.commands.values import Mistake, Redo, UsageError

#: What a form may have; anything else that comes back with it is not ours.
FIELDS = ("prompt", "size", "seed")


def prefilled(params: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the fields of a picture's form at first."""
    size = f"{params['width']}x{params['height']}"
    return {"prompt": str(params["prompt"]), "size": size, "seed": str(params["seed"])}


def redo_form(job: int, before: Mapping[str, Any], filled: Mapping[str, str], rules: Rules) -> Redo | UsageError:
    """The picture of `before` again, with what was changed in its form.

    What was left as it stood is not checked: it was allowed, and `/redo` would keep it too. The description may hold
    flags, as after /redo. An emptied size stays as it was, an emptied seed means another one.
    """
    stood = prefilled(before)
    said = {name: clean(filled.get(name, stood[name])) for name in FIELDS}
    changed = {name: text for name, text in said.items() if text != clean(stood[name])}
    try:
        wanted = _described(job, changed, rules)
        wanted = _sized(wanted, changed.get("size", ""), rules)
        return _seeded(wanted, changed.get("seed"), rules)
    except Mistake as mistake:
        return mistake.about("redo")


def _described(job: int, changed: Mapping[str, str], rules: Rules) -> Redo:
    if "prompt" not in changed:
        return Redo(job=job)
    wanted = options.redo(job, changed["prompt"], rules)
    if wanted.prompt is None:
        raise Mistake("empty_prompt")
    return wanted


def _sized(wanted: Redo, size: str, rules: Rules) -> Redo:
    if not size:
        return wanted
    width, height = options.measured(size, rules)
    return replace(wanted, width=width, height=height)


def _seeded(wanted: Redo, seed: str | None, rules: Rules) -> Redo:
    if seed is None:
        return wanted
    number = options.seed_or_any(seed) if seed else None
    return replace(wanted, seed=number, reseed=number is None)
