"""What WeCom's error codes mean for a call of the app: try again, give up, or call the operator. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered


class Busy(Retry):
    """Too many calls; nothing was done."""


class MediaGone(Undelivered):
    """A file that was uploaded is not there any more (they are kept three days): upload it again."""


class Verdict(StrEnum):
    """What to do about a code."""

    RENEW = "renew"  # get a new token and try once more
    BUSY = "busy"  # slow down, then the same again
    AGAIN = "again"  # the same again later
    UPLOAD = "upload"  # upload the file again, then the same
    NEVER = "never"  # this will never work
    OPERATOR = "operator"  # nothing will work until somebody sets it right


_APP: Final = "管理后台 > 应用管理 > the app"
_SCOPE: Final = f"is the person in the app's visible range ({_APP} > 可见范围)?"

CODES: Final[Mapping[int, tuple[Verdict, str]]] = {
    -1: (Verdict.AGAIN, "the system is busy"),
    # Also what a token of a secret that was reset since gets: worth one new token, whose answer then tells.
    40001: (Verdict.RENEW, f"the app's secret is not valid: copy it again from {_APP} > Secret"),
    40014: (Verdict.RENEW, "the access token is not valid"),
    41001: (Verdict.RENEW, "the access token is missing"),
    42001: (Verdict.RENEW, "the access token is expired"),
    40003: (Verdict.NEVER, f"there is no such member, or the app does not see them: {_SCOPE}"),
    40004: (Verdict.NEVER, "files of this kind are not taken"),
    40005: (Verdict.NEVER, "a file of this type is not taken there"),
    40006: (Verdict.NEVER, "the file is too large or empty"),
    40007: (Verdict.UPLOAD, "the file is not there (any more)"),
    40008: (Verdict.NEVER, "there is no such kind of message"),
    40009: (Verdict.NEVER, "the picture is too large"),
    40013: (Verdict.OPERATOR, "wecom.app.corp_id is wrong: copy it from 管理后台 > 我的企业 > 企业ID"),
    40016: (Verdict.NEVER, "the card has too many buttons or none"),
    40029: (Verdict.NEVER, "the log-in code is used or expired: log in again"),
    40033: (Verdict.NEVER, "the request has characters that are not taken"),
    40035: (Verdict.NEVER, "a parameter is wrong"),
    40056: (Verdict.OPERATOR, f"wecom.app.agent_id is wrong: copy it from {_APP} > AgentId"),
    40058: (Verdict.NEVER, "a parameter is missing, wrong or too long"),
    40125: (Verdict.OPERATOR, f"the app's secret is not valid: copy it again from {_APP} > Secret"),
    41002: (Verdict.OPERATOR, "wecom.app.corp_id is missing"),
    41004: (Verdict.OPERATOR, "wecom.app.secret is missing"),
    44001: (Verdict.NEVER, "the file is empty"),
    44004: (Verdict.NEVER, "the text is empty"),
    45001: (Verdict.NEVER, "the file is too large"),
    45002: (Verdict.NEVER, "the text is too long"),
    45009: (Verdict.BUSY, "the organisation's limit of calls"),
    45033: (Verdict.BUSY, "too many calls at once"),
    48002: (Verdict.OPERATOR, f"the app may not use this API: give it the permission in {_APP} > 接口权限"),
    50001: (
        Verdict.OPERATOR,
        f"people come back to no trusted domain: set {_APP} > 网页授权及JS-SDK",
    ),
    50002: (Verdict.NEVER, f"the person is outside the app's range: {_SCOPE}"),
    50003: (Verdict.OPERATOR, f"the app is switched off: enable it in {_APP}"),
    60011: (Verdict.NEVER, f"the app may not see this member or department: {_SCOPE}"),
    60020: (Verdict.OPERATOR, "this machine's address is not trusted"),
    60111: (Verdict.NEVER, f"there is no such member: {_SCOPE}"),
    80001: (Verdict.OPERATOR, f"the trusted domain is another one: set {_APP} > 网页授权及JS-SDK > 可信域名"),
    81013: (Verdict.NEVER, f"nobody of those it is for is in reach: {_SCOPE}"),
    82001: (Verdict.NEVER, f"it is for nobody in reach: {_SCOPE}"),
    85005: (Verdict.OPERATOR, f"the trusted domain is not verified: do so in {_APP} > 网页授权及JS-SDK > 可信域名"),
    86001: (Verdict.NEVER, "there is no such chat"),
    86003: (Verdict.NEVER, "there is no such chat"),
    86008: (Verdict.NEVER, "the chat is not the app's own"),
    301002: (Verdict.OPERATOR, "wecom.app.agent_id and wecom.app.secret are of two apps: copy both from the same page"),
}
UNREACHED: Final = frozenset({40003, 50002, 60011, 60111, 81013, 82001})  # the member is out of reach
_WAIT: Final = 60.0  # seconds; WeCom blocks for about the window of the limit, a minute
_ADDRESS: Final = re.compile(r"from ip: ?([0-9a-fA-F.:]{3,45})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What WeCom answered, read without trust."""

    code: int | None = 0  # errcode; None = nothing that is WeCom's JSON
    body: Mapping[str, Any]
    status: int = 200  # HTTP; 0 = none came
    trouble: str = ""  # why there is no answer

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def verdict(self) -> Verdict:
        """What to do about it. A call that nobody answered may have been carried out."""
        if self.code is None or self.code < 0:
            return Verdict.AGAIN
        # A code that we do not know was still said by somebody who understood the call and refused it.
        return CODES.get(self.code, (Verdict.NEVER, ""))[0]


def error_of(answer: Answer, what: str) -> PlatformError:
    """The error that says what to do about an answer to `what` (a path) that is not a success."""
    error = _error(answer, what)
    error.code, error.status = answer.code, answer.status
    return error


def _error(answer: Answer, what: str) -> PlatformError:
    text = sentence(answer, what)
    match answer.verdict:
        case Verdict.BUSY:
            return Busy(text, after=_WAIT)
        case Verdict.AGAIN:
            return Retry(text)
        case Verdict.UPLOAD:
            return MediaGone(text)
        case Verdict.NEVER:
            return Undelivered(text)
        case Verdict.OPERATOR:
            return Unconfigured(text)
        case Verdict.RENEW:  # by gettoken itself, or a fresh token was refused as well
            return Unconfigured(text)


def sentence(answer: Answer, what: str) -> str:
    """What happened and what to do next, for an operator."""
    if answer.code is None:
        return f"WeCom did not answer {what} ({answer.trouble or f'HTTP {answer.status}, not its JSON'})"
    meaning = CODES.get(answer.code, (None, "refused"))[1]
    if answer.code == 60020:
        meaning = _untrusted(str(answer.body.get("errmsg", "")))
    return f"WeCom {answer.code} at {what}: {meaning}; it said: {_said(answer)}"


def _untrusted(errmsg: str) -> str:
    """WeCom names the address that it sees us come from: the one to enter."""
    found = _ADDRESS.search(errmsg)
    seen = found[1].rstrip(".:") if found else "(see what it said)"
    return (
        f"this machine's address {seen} is not among the app's trusted ones: add it in {_APP} > 企业可信IP "
        "(it must be the organisation's own, and takes about a minute)"
    )


def _said(answer: Answer) -> str:
    return " ".join(str(answer.body.get("errmsg", "")).split())[:300]
