"""/review: what waits for a reviewer, deciding about it, and appealing. Pure."""

from __future__ import annotations

import re

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip
from bot.commands.names import nearest
from bot.commands.rules import Rules
from bot.commands.values import Appeal, Command, Decide, Mistake, ReviewList

REASON_MAX = 500  # characters of a reason
_JOB_MAX = 2**31 - 1  # the largest id both databases can hold

_ACTS = {"list": "list", "列表": "list", "看": "list", "查看": "list"}
_ACTS |= {"approve": "approve", "pass": "approve", "ok": "approve", "通过": "approve", "批准": "approve"}
_ACTS |= {"同意": "approve", "reject": "reject", "deny": "reject", "驳回": "reject", "拒绝": "reject"}
_ACTS |= {"不通过": "reject", "appeal": "appeal", "申诉": "appeal"}
_ACT = re.compile("|".join(sorted(map(re.escape, _ACTS), key=len, reverse=True)) + r"(?![a-z])", re.IGNORECASE)
_JOB = re.compile(r"^[\s:,]*(?:任务|job)?\s*#?\s*([0-9]+)(?![0-9A-Za-z])", re.IGNORECASE)


def review(rest: str, rules: Rules) -> Command:
    """/review · /review list · /review approve 17 · /review reject 17 WHY · /review appeal 17 WHY."""
    text = one_line(half_width(rest))
    if not text.strip("?!.。~ "):
        return ReviewList()
    act = _ACT.match(text)
    if act is None:
        word = text.split()[0]
        near = nearest(word.lower(), ["list", "approve", "reject", "appeal"])
        raise Mistake("review_form", given=clip(word), near=near[0] if len(near) == 1 else "")
    name, after = _ACTS[act[0].lower()], text[act.end() :].strip()
    if name == "list":
        return ReviewList()
    job, why = _job(after, name)
    if name == "approve":
        return Decide(job=job, approve=True, reason=why)
    return reject(job, why) if name == "reject" else appeal(job, why)


def reject(job: int, why: str, review: int = 0) -> Decide:
    """A rejection: who is rejected is told why."""
    return Decide(job=job, approve=False, reason=_said(why, "review_reason", job), review=review)


def appeal(job: int, why: str) -> Appeal:
    """An appeal: whoever decides has to know what speaks for the picture."""
    return Appeal(job=job, plea=_said(why, "appeal_reason", job))


def _said(why: str, code: str, job: int) -> str:
    said = one_line(why).strip(" ,，:：")
    if not said:
        raise Mistake(code, job=job)
    return clip(said, REASON_MAX)


def _job(text: str, act: str) -> tuple[int, str]:
    match = _JOB.match(text)
    digits = match[1].lstrip("0") if match else ""
    if match is None or not digits or len(digits) > 10 or int(digits) > _JOB_MAX:
        raise Mistake("review_job", given=clip(text), act=act)
    return int(digits), text[match.end() :].strip(" ,，:：")
