"""What WeCom's codes mean for a message."""

from __future__ import annotations

import pytest

from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom.robot.codes import CODES, Busy, MediaGone, WindowClosed, error_of
from bot.platforms.wecom.robot.frames import Frame


@pytest.mark.parametrize(
    ("code", "kind", "after"),
    [
        (846605, WindowClosed, None),
        (846608, WindowClosed, None),
        (6000, WindowClosed, None),
        (40008, Undelivered, None),
        (45002, Undelivered, None),
        (93006, Undelivered, None),
        (40007, MediaGone, None),
        (45009, Busy, 60.0),
        (45033, Busy, 60.0),
        (-1, Retry, None),
        (-7, Retry, None),  # unknown, and below nought are WeCom's own troubles
        (853000, Unconfigured, None),
        (60011, Unconfigured, None),
        (123456, Undelivered, None),  # unknown: refused is refused
    ],
)
def test_says_what_to_do(code: int, kind: type[PlatformError], after: float | None) -> None:
    error = error_of(Frame(cmd="", req_id="r", code=code, said="because\n of  it"))
    assert type(error) is kind
    assert error.code == code
    assert getattr(error, "after", None) == after
    assert str(error).endswith("it said: because of it")


def test_every_code_is_explained() -> None:
    assert all(meaning and verdict for verdict, meaning in CODES.values())
