"""/kb: the documents that answers are made from. Pure."""

from __future__ import annotations

import re

from bot.commands.flags import clip
from bot.commands.rules import Rules
from bot.commands.values import KbAdd, KbList, KbRemove, Mistake, Sources

_ACT = re.compile(r"(add|list|remove|sources|添加|加入|列表|删除|移除|来源)(?=\s|$)\s*", re.IGNORECASE)
_ACTS = {"add": "add", "添加": "add", "加入": "add", "list": "list", "列表": "list"}
_ACTS |= {"sources": "sources", "来源": "sources"}
_NAME_MAX = 200  # characters of a document's name


def kb(rest: str, rules: Rules) -> KbAdd | KbList | KbRemove | Sources:
    """/kb · /kb list · /kb sources · /kb add [NAME] · /kb remove NAME. Raises Mistake."""
    match = _ACT.match(rest)
    if not rest:
        return KbList()
    if match is None:
        raise Mistake("kb_form", given=clip(rest, 20))
    act, name = _ACTS.get(match[1].lower(), "remove"), rest[match.end() :].strip().strip('"“”').strip()
    if len(name) > _NAME_MAX:
        raise Mistake("too_long", length=len(name), limit=_NAME_MAX, over=len(name) - _NAME_MAX)
    if act in ("list", "sources"):
        if name:
            raise Mistake("takes_nothing", given=clip(name))
        return KbList() if act == "list" else Sources()
    if act == "add":
        return KbAdd(name=name)
    if not name:
        raise Mistake("kb_name")
    return KbRemove(name=name)
