"""Commands that keep the house in order: /ban, /unban, /pause and /resume. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip
from bot.commands.people import DATE
from bot.commands.rules import Rules
from bot.commands.values import Ban, Mistake, Pause, Resume, Unban, Until
from storage.records import Kind

#: Ten years, in minutes: a longer ban may as well have no end.
SPAN_MAX = 3660 * 24 * 60

_MINUTES = {"minutes": 1, "minute": 1, "min": 1, "分钟": 1, "分": 1}
_MINUTES |= {"hours": 60, "hour": 60, "h": 60, "小时": 60, "个小时": 60, "钟头": 60}
_MINUTES |= {"days": 1440, "day": 1440, "d": 1440, "天": 1440, "日": 1440}
_MINUTES |= {"weeks": 10080, "week": 10080, "w": 10080, "周": 10080, "星期": 10080, "个星期": 10080}
_LENGTH = "|".join(sorted(map(re.escape, _MINUTES), key=len, reverse=True))
_SPAN = re.compile(
    rf"[\s,，、;；(（]+(?:for|为期|期限)?\s*[:：]?\s*(?P<n>[0-9]{{1,6}})\s*(?P<length>{_LENGTH})\s*[)）]?$",
    re.IGNORECASE,
)
_DAY = re.compile(
    rf"[\s,，、;；(（]+(?=(?:期限\s*[:：]?\s*)?(?:until|till|by|到|至|截))(?:期限\s*[:：]?\s*)?{DATE}\s*[)）]?$",
    re.IGNORECASE,
)

_BECAUSE = re.compile(
    r"^[\s,，:：、;；]*(?:(?:原因|因为|because of|because|reason|for)(?:\s*[:：]\s*|\s+|(?<=[因为])))?", re.IGNORECASE
)

_KINDS = {"draw": Kind.DRAW, "画图": Kind.DRAW, "画画": Kind.DRAW, "绘图": Kind.DRAW, "画": Kind.DRAW}
_KINDS |= {"ask": Kind.ASK, "问答": Kind.ASK, "回答": Kind.ASK, "提问": Kind.ASK, "问": Kind.ASK}
_NOW = ("right now", "immediately", "now", "立即", "立刻", "马上", "现在")
_WORDS = re.compile("|".join(sorted((*_KINDS, *_NOW, "and", "和"), key=len, reverse=True)), re.IGNORECASE)


def ban(rest: str, rules: Rules) -> Ban:
    """/ban @x [reason] [7 days | until 12-31]."""
    text = one_line(half_width(rest))
    if not text.lstrip("@").strip():
        raise Mistake("ban_form")
    found = _SPAN.search(text)
    if found is not None:
        return Ban(said=_said(text[: found.start()]), span=_span(found))
    found = _DAY.search(text)
    if found is not None:
        return Ban(said=_said(text[: found.start()]), until=_until(found))
    return Ban(said=_said(text))


def unban(rest: str, rules: Rules) -> Unban:
    """/unban @x."""
    who = one_line(half_width(rest)).lstrip("@").strip()
    if not who:
        raise Mistake("nobody")
    return Unban(who=who)


def pause(rest: str, rules: Rules) -> Pause:
    """/pause [draw|ask] [now]."""
    kinds, now = _which("pause", rest)
    return Pause(kinds=kinds, now=now)


def resume(rest: str, rules: Rules) -> Resume:
    """/resume [draw|ask]."""
    kinds, _ = _which("resume", rest)
    return Resume(kinds=kinds)


def reason(text: str) -> str:
    """What was written behind a name, without the word that announces it."""
    return _BECAUSE.sub("", text).strip(" ,，;；.。")


def _said(text: str) -> str:
    said = text.strip().lstrip("@").strip()
    if not said:
        raise Mistake("ban_form")
    return said


def _span(found: re.Match[str]) -> timedelta:
    minutes = int(found["n"]) * _MINUTES[found["length"].lower()]
    if not 1 <= minutes <= SPAN_MAX:
        raise Mistake("ban_span", given=clip(found[0].strip()))
    return timedelta(minutes=minutes)


def _until(found: re.Match[str]) -> Until:
    return Until(year=int(found["year"] or 0), month=int(found["month"]), day=int(found["day"]))


def _which(command: str, rest: str) -> tuple[tuple[Kind, ...], bool]:
    """The kinds of work that are named, all when none is; and whether at once."""
    text = one_line(half_width(rest)).strip("?？!！.。~ ")
    words = [word.lower() for word in _WORDS.findall(text)]
    left = _WORDS.sub(" ", text).strip(" ,，、+")
    now = any(word in _NOW for word in words)
    if left or (now and command == "resume"):
        raise Mistake(f"{command}_form", given=clip(left or text))
    named = {_KINDS[word] for word in words if word in _KINDS}
    return tuple(kind for kind in Kind if kind in named) or tuple(Kind), now
