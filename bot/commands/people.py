"""Commands about people, groups and departments: /quota and /role. Names may contain spaces, so the end of the text is
read first. Pure."""

from __future__ import annotations

import re

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip
from bot.commands.names import nearest
from bot.commands.rules import Rules
from bot.commands.values import Command, Mistake, QuotaClear, QuotaGrant, QuotaSet, QuotaShow, SetRole, Until
from storage.records import Payer, Role, Unit

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
_PER = r"(?:/|每|per|a)"
_RATE = re.compile(
    rf"^{_WHO}{_UNIT}(?:(?P<amount>[+-]?[0-9]+){_COUNTER}\s*{_PER}\s*(?P<period>{_PERIOD})"
    rf"|每\s*(?P<period2>{_PERIOD})\s*(?P<amount2>[+-]?[0-9]+){_COUNTER})$",
    re.IGNORECASE,
)
_CLEAR = re.compile(
    rf"^{_WHO}{_UNIT}(?:default|默认|恢复默认|(?:none|off|无|取消)\s*{_PER}\s*(?P<period>{_PERIOD}))$", re.IGNORECASE
)
DATE = (
    r"(?:until|till|by|到|至|截至|截止|有效到|有效至)?\s*(?:(?P<year>[0-9]{4})\s*[-/.年]\s*)?"
    r"(?P<month>[0-9]{1,2})\s*[-/.月]\s*(?P<day>[0-9]{1,2})\s*[日号]?"
)
_DAYS = r"(?:for|有效|有效期)?\s*(?P<days>[0-9]{1,5})\s*(?:days?|d|天|日)(?:内?有效)?"
_GRANT = re.compile(
    rf"^{_WHO}{_UNIT}(?P<amount>[+-]?[0-9]+){_COUNTER}(?:[\s,，、;；(（]+(?:{DATE}|{_DAYS})\s*[)）]?)?$", re.IGNORECASE
)
_NOBODY = {"group": Payer.GROUP, "this group": Payer.GROUP, "本群": Payer.GROUP, "这个群": Payer.GROUP}
_NOBODY |= {"default": Payer.DEFAULT, "默认": Payer.DEFAULT, "everybody": Payer.DEFAULT, "所有人": Payer.DEFAULT}
_NAMED = re.compile(r"(?:(?P<of>group|群|department|dept|部门)(?:\s*:\s*|\s+)|部门)(?P<who>\S.*)", re.IGNORECASE)
_OF = {"group": Payer.GROUP, "群": Payer.GROUP}

#: Ten years: units that lapse later may as well not.
DAYS_MAX = 3660


def quota(rest: str, rules: Rules) -> Command:
    """/quota · /quota @x · /quota set @x [ask] 5/day · /quota set @x default · /quota grant @x [ask] 3 [7 days].

    Instead of @x: group (this chat), group feishu:oc_1, dept NAME, default.
    """
    text = one_line(half_width(rest))
    if not text:
        return QuotaShow()
    action, after = _action(text)
    if action == "set":
        return _set(after)
    if action == "grant":
        return _grant(after)
    of, who = account(after) if after else (Payer.USER, "")
    return QuotaShow(of=of, who=who)


def account(text: str) -> tuple[Payer, str]:
    """Whose account is meant: a person, `group`, `group feishu:oc_1`, `dept NAME`, `default`. @ is always a person."""
    nobody = _NOBODY.get(text.lower())
    if nobody is not None:
        return nobody, ""
    named = _NAMED.fullmatch(text)
    if named is not None:
        return _OF.get((named["of"] or "").lower(), Payer.DEPARTMENT), named["who"]
    return Payer.USER, _who(text)


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
    if word.startswith("@") or ":" in word or account(text)[0] is not Payer.USER:
        return "show", text
    for name in sorted(_ACTIONS, key=len, reverse=True):  # 给@张三 3 and 给本群 3 have no space
        if not name.isascii() and text.removeprefix(name).startswith(("@", "本群", "部门", "默认")):
            return _ACTIONS[name], text.removeprefix(name)
    near = nearest(word.lower(), ["show", "set", "grant"])
    raise Mistake("quota_action", given=clip(word), near=near[0] if len(near) == 1 else "")


def _set(text: str) -> Command:
    match = _RATE.match(text)
    if match is None:
        return _clear(text)
    of, who = account(match["who"])
    return QuotaSet(
        of=of,
        who=who,
        unit=_unit(match["unit"]),
        amount=_amount(match["amount"] or match["amount2"], least=0),
        period=_PERIODS[(match["period"] or match["period2"]).lower()],
    )


def _clear(text: str) -> QuotaClear:
    match = _CLEAR.match(text)
    if match is None:
        raise _incomplete("quota_set_form", text)
    of, who = account(match["who"])
    if match["period"]:
        return QuotaClear(of=of, who=who, unit=_unit(match["unit"]), period=_PERIODS[match["period"].lower()])
    return QuotaClear(of=of, who=who, unit=_unit(match["unit"]) if match["unit"] else None)


def _grant(text: str) -> QuotaGrant:
    match = _GRANT.match(text)
    if match is None:
        raise _incomplete("quota_grant_form", text)
    of, who = account(match["who"])
    if of is Payer.DEFAULT:
        raise Mistake("grant_default")
    return QuotaGrant(
        of=of, who=who, unit=_unit(match["unit"]), amount=_amount(match["amount"], least=1), until=_until(match)
    )


def _until(match: re.Match[str]) -> Until | None:
    if match["days"]:
        days = int(match["days"])
        if not 1 <= days <= DAYS_MAX:
            raise Mistake("days_range", given=days, high=DAYS_MAX)
        return Until(days=days)
    if match["month"]:
        return Until(year=int(match["year"] or 0), month=int(match["month"]), day=int(match["day"]))
    return None


def _incomplete(code: str, text: str) -> Mistake:
    """The right form, with the person already named in it."""
    first = text.split(" ")[0]
    who = first if first.startswith("@") or ":" in first or first.lower() in _NOBODY else "@name"
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
