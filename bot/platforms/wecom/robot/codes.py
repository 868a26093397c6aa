"""What the error codes of the robot's long connection mean: another way, try again, give up, call the operator. Pure.

WeCom publishes no table of these; they were met, by us and by others. An answer with a code, whichever it is, says that
nothing was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom.robot.frames import Frame


class Unsure(Retry):
    """It was written to the connection and no answer came: it may have arrived or not."""


class Busy(Retry):
    """Too many messages; nothing was sent."""


class WindowClosed(Undelivered):
    """What is answered cannot be answered any more (its connection, its time or its stream is over): send instead."""


class MediaGone(Undelivered):
    """The uploaded file is not known (any more): upload it again."""


class Verdict(StrEnum):
    """What to do about a code."""

    CLOSED = "closed"  # not as an answer: send it by itself
    MEDIA = "media"  # upload again, then the same
    BUSY = "busy"  # slow down, then the same again
    AGAIN = "again"  # the same again later
    NEVER = "never"  # it will never arrive there
    OPERATOR = "operator"  # nothing will work until somebody sets it right


WRONG_SECRET: Final = 853000
CODES: Final[Mapping[int, tuple[Verdict, str]]] = {
    846605: (Verdict.CLOSED, "the message was received over an earlier connection, or is an event"),
    846608: (Verdict.CLOSED, "the stream is too old to be written on"),
    6000: (Verdict.CLOSED, "the message is already answered by another stream"),
    -1: (Verdict.AGAIN, "WeCom is busy"),
    45009: (Verdict.BUSY, "this conversation's limit of 30 messages a minute and 1000 an hour"),
    45033: (Verdict.BUSY, "too many calls at once"),
    40007: (Verdict.MEDIA, "the uploaded file is not known, or older than three days"),
    40004: (Verdict.NEVER, "the kind of file is not taken"),
    40005: (Verdict.NEVER, "the file is not of its kind"),
    40006: (Verdict.NEVER, "the file is too large"),
    40008: (Verdict.NEVER, "this kind of message is not taken here"),
    40058: (Verdict.NEVER, "a field is wrong or too long"),
    44001: (Verdict.NEVER, "the file is empty"),
    44004: (Verdict.NEVER, "the text is empty"),
    45001: (Verdict.NEVER, "the file is too large"),
    45002: (Verdict.NEVER, "the text is too long"),
    40003: (Verdict.NEVER, "the person is not known to the robot"),
    81013: (Verdict.NEVER, "nobody of those it goes to may see the robot"),
    86001: (Verdict.NEVER, "the group is not known to the robot: add it again"),
    86003: (Verdict.NEVER, "the group is not named"),
    86008: (Verdict.NEVER, "the robot is not in this group: add it again"),
    93006: (Verdict.NEVER, "nobody has written to the robot in this chat yet"),
    48002: (Verdict.OPERATOR, "the robot may not do this: look at its permissions in the admin console"),
    60011: (Verdict.OPERATOR, "the robot may not reach this person or group: widen its visibility"),
    WRONG_SECRET: (
        Verdict.OPERATOR,
        "bot_id or secret of wecom.aibot is wrong, or the robot is in callback mode: see its API 模式 page",
    ),
}
_WAIT: Final = 60.0  # seconds for which a limit holds


def verdict(code: int) -> Verdict:
    """What to do about a code; one that nobody knows will not go away by being asked again."""
    known = CODES.get(code)
    if known is not None:
        return known[0]
    return Verdict.AGAIN if code < 0 else Verdict.NEVER


def error_of(answer: Frame) -> PlatformError:
    """The error that says what to do about an answer that is not a success."""
    error = _error(answer)
    error.code = answer.code
    return error


def _error(answer: Frame) -> PlatformError:
    code = answer.code or 0
    text = _sentence(code, answer.said)
    match verdict(code):
        case Verdict.CLOSED:
            return WindowClosed(text)
        case Verdict.MEDIA:
            return MediaGone(text)
        case Verdict.BUSY:
            return Busy(text, after=_WAIT)
        case Verdict.AGAIN:
            return Retry(text)
        case Verdict.NEVER:
            return Undelivered(text)
        case Verdict.OPERATOR:
            return Unconfigured(text)


def _sentence(code: int, said: str) -> str:
    meaning = CODES.get(code, (None, "unknown"))[1]
    return f"WeCom {code}: {meaning}; it said: {' '.join(said.split())[:200]}"
