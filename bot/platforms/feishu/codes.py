"""What Feishu's error codes mean for a message: try again, give up, or call the operator. Pure.

The SDK's own table takes a rate limit for a missing permission, so this one is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bot.platforms.base import Blocked, PlatformError, Retry, Unconfigured, Undelivered


class MessageGone(Undelivered):
    """The message to answer or to change is recalled, deleted, invisible or too old: say it in a new one."""


class Busy(Retry):
    """Too many calls; nothing was done."""


class CardRefused(Undelivered):
    """CardKit does not take this card (any more): the message itself may still be changed."""


class StreamClosed(CardRefused):
    """Nobody may type in the card now: open it again."""


class Stale(CardRefused):
    """An operation with a higher sequence was there before."""


class Verdict(StrEnum):
    """What to do about a code."""

    RENEW = "renew"  # get a new tenant token and try once more
    BUSY = "busy"  # slow down, then the same again
    AGAIN = "again"  # the same again later
    GONE = "gone"  # that message cannot be answered or changed any more
    NEVER = "never"  # this message will never arrive there
    BLOCKED = "blocked"  # what it says is not allowed: tell the person
    REFUSED = "refused"  # not by CardKit: change the message instead
    REOPEN = "reopen"  # switch the typing on again, then the same
    STALE = "stale"  # the same with a higher sequence
    OPERATOR = "operator"  # nothing will work until somebody sets it right


CODES: Final[Mapping[int, tuple[Verdict, str]]] = {
    99991661: (Verdict.RENEW, "the tenant token is missing"),
    99991663: (Verdict.RENEW, "the tenant token is not valid"),
    99991664: (Verdict.RENEW, "the token is of another kind"),
    99991665: (Verdict.RENEW, "the token is of another kind"),
    99991668: (Verdict.RENEW, "the access token is not valid"),
    99991671: (Verdict.RENEW, "the tenant token has a wrong form"),
    99991677: (Verdict.RENEW, "the tenant token is expired"),
    99991400: (Verdict.BUSY, "the app's rate limit"),
    11232: (Verdict.BUSY, "messages are created too fast"),
    11233: (Verdict.BUSY, "messages are created too fast"),
    230020: (Verdict.BUSY, "this chat's rate limit, which all its bots share"),
    230049: (Verdict.AGAIN, "the message is still being sent"),
    230011: (Verdict.GONE, "the message was recalled"),
    230019: (Verdict.GONE, "the topic does not exist"),
    230031: (Verdict.GONE, "the card is older than 14 days"),
    230050: (Verdict.GONE, "the message is not visible to the bot"),
    230071: (Verdict.GONE, "the topic takes no replies"),
    230072: (Verdict.GONE, "the message was edited 20 times"),
    230110: (Verdict.GONE, "the message was deleted"),
    230001: (Verdict.NEVER, "a parameter is wrong"),
    230002: (Verdict.NEVER, "the bot is not in this group: add it again"),
    230013: (Verdict.NEVER, "the person is outside the app's availability range: widen it in the console"),
    230022: (Verdict.BLOCKED, "Feishu's content audit blocked it"),
    230025: (Verdict.NEVER, "the content is too long"),
    230028: (Verdict.BLOCKED, "the company's data-loss rules blocked it"),
    230029: (Verdict.NEVER, "the person has left the company"),
    230034: (Verdict.NEVER, "the receiver does not exist"),
    230035: (Verdict.NEVER, "the bot may not write there"),
    230038: (Verdict.NEVER, "the person belongs to another company"),
    230053: (Verdict.NEVER, "the person stopped the bot"),
    230054: (Verdict.NEVER, "this kind of message cannot be changed"),
    230055: (Verdict.NEVER, "the kind of file does not fit the kind of message"),
    230099: (Verdict.NEVER, "the card is not well formed"),
    232009: (Verdict.NEVER, "the group is dissolved"),
    234001: (Verdict.NEVER, "the picture's parameters are wrong"),
    234003: (Verdict.NEVER, "the file is not in this message"),
    234004: (Verdict.NEVER, "the bot is not in the message's chat"),
    234037: (Verdict.NEVER, "the file is too large to be fetched"),
    234038: (Verdict.NEVER, "the chat is restricted: its files cannot be fetched"),
    234043: (Verdict.NEVER, "files of this type of message cannot be fetched"),
    234006: (Verdict.NEVER, "the picture is too large"),
    234010: (Verdict.NEVER, "the picture is empty"),
    234011: (Verdict.NEVER, "the picture's format is not known to Feishu"),
    234039: (Verdict.NEVER, "the picture has too many pixels"),
    200220: (Verdict.REFUSED, "CardKit could not write the text"),
    200740: (Verdict.REFUSED, "CardKit does not know the card"),
    200750: (Verdict.REFUSED, "the card is older than 14 days"),
    200770: (Verdict.REFUSED, "CardKit has seen this uuid before"),
    200810: (Verdict.AGAIN, "somebody is pressing a button of the card"),
    200850: (Verdict.REOPEN, "nobody has typed in the card for too long"),
    200860: (Verdict.NEVER, "the card is longer than 30 KB"),
    300301: (Verdict.NEVER, "two elements of the card have the same id"),
    300302: (Verdict.NEVER, "the card's update_multi is not true"),
    300303: (Verdict.NEVER, "the card's schema is not 2.0"),
    300305: (Verdict.NEVER, "the card has more than 200 elements"),
    300307: (Verdict.NEVER, "the card is empty"),
    300309: (Verdict.REOPEN, "the card's typing has closed after ten minutes"),
    300311: (Verdict.REFUSED, "the card belongs to another app"),
    300317: (Verdict.STALE, "the card has seen a higher sequence"),
    99992361: (Verdict.NEVER, "the person's open_id belongs to another app"),
    99992402: (Verdict.NEVER, "a field is wrong"),
    131001: (Verdict.AGAIN, "the wiki could not reach its own parts"),
    131005: (Verdict.NEVER, "this page or space of the wiki does not exist"),
    131006: (Verdict.NEVER, "the app may not read this part of the wiki: add the app to the space as a member"),
    131007: (Verdict.AGAIN, "the wiki has an internal error"),
    1069704: (Verdict.AGAIN, "the drive has an internal error"),
    1770002: (Verdict.NEVER, "the page does not exist"),
    1770003: (Verdict.NEVER, "the page was deleted"),
    1770032: (Verdict.NEVER, "the app may not read this page"),
    1770033: (Verdict.NEVER, "the page is too large"),
    2889925: (Verdict.NEVER, "the page is too large"),
    10003: (Verdict.OPERATOR, "feishu.app_id is wrong"),
    10014: (Verdict.OPERATOR, "feishu.app_secret is wrong: copy it again from the developer console"),
    10015: (Verdict.OPERATOR, "feishu.app_secret is wrong: copy it again from the developer console"),
    230006: (Verdict.OPERATOR, "the app has no bot: add the bot capability in the console and publish a version"),
    230027: (Verdict.OPERATOR, "a permission is missing: grant it in the console and publish a version"),
    99991401: (Verdict.OPERATOR, "this machine's address is not in the app's IP allow-list"),
    99991672: (Verdict.OPERATOR, "a scope is missing: grant it in the console and publish a version"),
}
_DEFAULT_WAIT: Final = 1.0  # seconds; the limits are per second
_LONGER: Final = {11232: 5.0, 11233: 5.0}  # when all apps send on the hour, a second later is as bad
_LONGEST_WAIT: Final = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What Feishu's API answered, read without trust."""

    status: int  # HTTP
    code: int | None  # None = the body is not Feishu's JSON
    body: Mapping[str, Any]
    reset: str = ""  # x-ogw-ratelimit-reset: seconds until the limit is lifted

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.status < 400

    @property
    def verdict(self) -> Verdict:
        """What to do about it; the code counts, whatever the HTTP status says."""
        known = CODES.get(self.code or 0)
        if known is not None:
            return known[0]
        if self.status == 429:
            return Verdict.BUSY
        # An unreadable answer says nothing about what was done, nor does a code we do not know with a success.
        understood = self.code is not None and 400 <= self.status < 500
        return Verdict.NEVER if understood else Verdict.AGAIN

    @property
    def wait(self) -> float:
        """Seconds Feishu asks to wait."""
        try:
            asked = float(self.reset)
        except ValueError:
            asked = float("nan")
        if asked != asked:
            return _LONGER.get(self.code or 0, _DEFAULT_WAIT)
        return min(max(asked, 0.1), _LONGEST_WAIT)


def error_of(answer: Answer) -> PlatformError:
    """The error that says what to do about an answer that is not a success."""
    error = _error(answer)
    error.code, error.status = answer.code, answer.status
    return error


def _error(answer: Answer) -> PlatformError:
    text = _sentence(answer)
    match answer.verdict:
        case Verdict.BUSY:
            return Busy(text, after=answer.wait)
        case Verdict.AGAIN:
            return Retry(text)
        case Verdict.GONE:
            return MessageGone(text)
        case Verdict.NEVER:
            return Undelivered(text)
        case Verdict.BLOCKED:
            return Blocked(text)
        case Verdict.REFUSED:
            return CardRefused(text)
        case Verdict.REOPEN:
            return StreamClosed(text)
        case Verdict.STALE:
            return Stale(text)
        case Verdict.OPERATOR:
            return Unconfigured(text)
        case Verdict.RENEW:  # a fresh token was refused as well
            return Unconfigured(f"{text}: are feishu.domain, app_id and app_secret of the same app?")


def _sentence(answer: Answer) -> str:
    if answer.code is None:
        return f"Feishu's answer is not its JSON (HTTP {answer.status}): a proxy, or an outage"
    meaning = CODES.get(answer.code, (None, "unknown"))[1]
    # Feishu's own words name the missing scopes; they never repeat what we sent.
    said = " ".join(str(answer.body.get("msg", "")).split())[:300]
    return f"Feishu {answer.code} (HTTP {answer.status}): {meaning}; it said: {said}"
