"""/model: which model draws. Pure."""

from __future__ import annotations

import re

from bot.commands.clean import half_width
from bot.commands.flags import clip
from bot.commands.rules import Rules
from bot.commands.values import Mistake, ModelList, ModelUse

_ACT = re.compile(r"(list|use|列表|使用|换成|切换到|切换|用|换)(?![A-Za-z])\s*", re.IGNORECASE)
_LISTS = ("list", "列表")


def model(rest: str, rules: Rules) -> ModelList | ModelUse:
    """/model · /model list · /model use NAME. Raises Mistake."""
    rest = half_width(rest).strip("?？!！。~ ")
    if not rest:
        return ModelList()
    match = _ACT.match(rest)
    if match is None:
        raise Mistake("model_form", given=clip(rest, 20))
    name = rest[match.end() :].strip("\"'“”: ")
    if match[1].lower() in _LISTS:
        if name:
            raise Mistake("takes_nothing", given=clip(name))
        return ModelList()
    if not name:
        raise Mistake("model_name")
    return ModelUse(name=clip(name, 100))
