"""Opening hours: when what people wait for may be ordered, and when what was reserved may start. Pure.

What was accepted in time is done, even when it gets late: its card promised a time. What was reserved and falls due
outside its hours waits in the queue until they begin.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.calendar import next_opening, window_to_text
from scheduler.policy import Policy, Refusal
from storage.records import Role


def closed(policy: Policy, role: Role, now: datetime) -> Refusal | None:
    """Why nothing may be ordered for now, and from when on it may; None = it may."""
    opens = next_opening(policy.interactive, now, policy.timezone)
    if opens is None or opens <= now or role in policy.exempt:
        return None
    detail = {
        "hours": [window_to_text(window) for window in policy.interactive],
        "opens": opens.astimezone(policy.timezone).isoformat(),
    }
    return Refusal(code="closed", detail=detail)


def starts(policy: Policy, moment: datetime) -> datetime | None:
    """When what was reserved for `moment` may start, if that is later; None = at once."""
    opens = next_opening(policy.reserved, moment, policy.timezone)
    return opens if opens is not None and opens > moment else None


def bookable(policy: Policy, opens: datetime, now: datetime) -> datetime:
    """What somebody who came too early is offered: `opens`, or whenever reserved work may start first."""
    return opens if not policy.reserved else starts(policy, now) or opens
