"""Commands about people: /quota and /role. Names may contain spaces, so the end of the text is read first. Pure."""

from __future__ import annotations

import re

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip
from bot.commands.names import nearest
from bot.commands.rules import Rules
from bot.commands.values import Command, Mistake, QuotaGrant, QuotaSet, QuotaShow, SetRole
from storage.records import Role, Unit

#: More units than anybody could use: a slip of the keyboard.
AMOUNT_MAX = 1_000_000

_ACTIONS = {
    "show": "show",
    "查看": "show",
    "看": "show",
    "set": "set",
    "设置": "set",
    "设定": "set",
    "设": "set",
    "grant": "grant",
    "give": "grant",
    "add": "grant",
    "发放": "grant",
    "追加": "grant",
    "加": "grant",
    "给": "grant",
}
_PERIODS = {"day": "day", "d": "day", "天": "day", "日": "day"}
_PERIODS |= {"week": "week", "w": "week", "周": "week", "星期": "week"}
_PERIODS |= {"month": "month", "m": "month", "月": "month"}
_UNITS = {"draw": Unit.DRAW, "图": Unit.DRAW, "画": Unit.DRAW, "画图": Unit.DRAW, "图片": Unit.DRAW}
_UNITS |= {"ask": Unit.ASK, "问": Unit.ASK, "问答": Unit.ASK, "提问": Unit.ASK, "回答": Unit.ASK}
_ROLES = {"admin": Role.ADMIN, "管理员": Role.ADMIN, "reviewer": Role.REVIEWER, "审核员": Role.REVIEWER}
_ROLES |= {"user": Role.USER, "用户": Role.USER, "成员": Role.USER}


def _one_of(words: dict[str, object] | dict[str, Unit] | dict[str, str] | dict[str, Role]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_PERIOD = _one_of(_PERIODS)
_COUNTER = r"(?:\s*(?:张|次|幅|个))?"
_UNIT = rf"(?:(?P<unit>{_one_of(_UNITS)})\s*[:=]?\s*)?"
_WHO = r"(?P<who>\S.*?)\s+"
_RATE = re.compile(
    rf"^{_WHO}{_UNIT}(?:(?P<amount>[+-]?[0-9]+){_COUNTER}\s*(?:/|每|per|a)\s*(?P<period>{_PERIOD})"
    rf"|每\s*(?P<period2>{_PERIOD})\s*(?P<amount2>[+-]?[0-9]+){_COUNTER})$",
    re.IGNORECASE,
)
_AMOUNT = re.compile(rf"^{_WHO}{_UNIT}(?P<amount>[+-]?[0-9]+){_COUNTER}$", re.IGNORECASE)


def quota(rest: str, rules: Rules) -> Command:
    """/quota · /quota @x · /quota set @x [ask] 5/day · /quota grant @x [ask] 3."""
    text = one_line(half_width(rest))
    if not text:
        return QuotaShow()
    action, after = _action(text)
    if action == "set":
        return _set(after)
    if action == "grant":
        return _grant(after)
    return QuotaShow(who=_who(after))


def role(rest: str, rules: Rules) -> Command:
    """/role @x admin|reviewer|user."""
    text = re.sub(r"^(?:set|设为?|设置)\s+", "", one_line(half_width(rest)), flags=re.IGNORECASE)
    who, _, word = text.rpartition(" ")
    if not who:
        raise Mistake("role_form")
    wanted = _ROLES.get(word.lower())
    if wanted is None:
        near = nearest(word.lower(), ["admin", "reviewer", "user"])
        raise Mistake("bad_role", given=clip(word), near=near[0] if len(near) == 1 else "")
    return SetRole(who=_who(who), role=wanted)


def _action(text: str) -> tuple[str, str]:
    word, _, after = text.partition(" ")
    if word.lower() in _ACTIONS:
        return _ACTIONS[word.lower()], after.strip()
    if word.startswith("@") or ":" in word:
        return "show", text
    for name in sorted(_ACTIONS, key=len, reverse=True):  # 给@张三 3 has no space
        if not name.isascii() and text.startswith(f"{name}@"):
            return _ACTIONS[name], text[len(name) :]
    near = nearest(word.lower(), ["show", "set", "grant"])
    raise Mistake("quota_action", given=clip(word), near=near[0] if len(near) == 1 else "")


def _set(text: str) -> QuotaSet:
    match = _RATE.match(text)
    if match is None:
        raise _incomplete("quota_set_form", text)
    return QuotaSet(
        who=_who(match["who"]),
        unit=_unit(match["unit"]),
        amount=_amount(match["amount"] or match["amount2"], least=0),
        period=_PERIODS[(match["period"] or match["period2"]).lower()],
    )


def _grant(text: str) -> QuotaGrant:
    match = _AMOUNT.match(text)
    if match is None:
        raise _incomplete("quota_grant_form", text)
    return QuotaGrant(who=_who(match["who"]), unit=_unit(match["unit"]), amount=_amount(match["amount"], least=1))


def _incomplete(code: str, text: str) -> Mistake:
    """The right form, with the person already named in it."""
    who = text.split(" ")[0] if text.startswith("@") or ":" in text.split(" ")[0] else "@name"
    return Mistake(code, who=clip(who), given=clip(text))


def _unit(word: str | None) -> Unit:
    return _UNITS[word.lower()] if word else Unit.DRAW


def _amount(digits: str, *, least: int) -> int:
    value = int(digits) if len(digits) <= 12 else AMOUNT_MAX + 1
    if not least <= value <= AMOUNT_MAX or digits.startswith("-"):
        raise Mistake("amount_range", given=clip(digits), low=least, high=AMOUNT_MAX)
    return value


def _who(text: str) -> str:
    who = text.strip().lstrip("@").strip()
    if not who:
        raise Mistake("nobody")
    return who
