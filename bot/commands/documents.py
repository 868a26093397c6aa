"""/kb: the documents that answers are made from. Pure."""

from __future__ import annotations

import re

from bot.commands.flags import clip
from bot.commands.rules import Rules
from bot.commands.values import KbAdd, KbList, KbRemove, KbUnanswered, Mistake, Sources

_ACT = re.compile(
    r"(add|list|remove|sources|unanswered|添加|加入|列表|删除|移除|来源|没答上的?|未解答)(?=\s|$)\s*", re.IGNORECASE
)
_ACTS = {"add": "add", "添加": "add", "加入": "add", "list": "list", "列表": "list"}
_ACTS |= {"sources": "sources", "来源": "sources"}
_ACTS |= dict.fromkeys(("unanswered", "没答上", "没答上的", "未解答"), "unanswered")
_PLAIN: dict[str, KbList | Sources | KbUnanswered] = {
    "list": KbList(),
    "sources": Sources(),
    "unanswered": KbUnanswered(),
}  # that take nothing
_NAME_MAX = 200  # characters of a document's name


def kb(rest: str, rules: Rules) -> KbAdd | KbList | KbRemove | KbUnanswered | Sources:
    """/kb · /kb list · /kb sources · /kb unanswered · /kb add [NAME] · /kb remove NAME. Raises Mistake."""
    match = _ACT.match(rest)
    if not rest:
        return KbList()
    if match is None:
        raise Mistake("kb_form", given=clip(rest, 20))
    act, name = _ACTS.get(match[1].lower(), "remove"), rest[match.end() :].strip().strip('"“”').strip()
    if len(name) > _NAME_MAX:
        raise Mistake("too_long", length=len(name), limit=_NAME_MAX, over=len(name) - _NAME_MAX)
    if act in _PLAIN:
        if name:
            raise Mistake("takes_nothing", given=clip(name))
        return _PLAIN[act]
    if act == "add":
        return KbAdd(name=name)
    if not name:
        raise Mistake("kb_name")
    return KbRemove(name=name)
