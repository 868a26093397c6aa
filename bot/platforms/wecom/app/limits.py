"""How much one member may be sent: WeCom drops what is beyond and says that all is well, so we count ourselves.

30 messages a minute and 1000 an hour from one app to one member. The counts are this process's: after a restart the
first minute may be fuller than it should.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bot.platforms.budget import Budget
from bot.platforms.wecom.app.codes import Busy

PATIENCE: Final = 2.0  # seconds to wait for a budget in place; a longer wait goes back to the caller's queue
_NETWORK: Final = 1.05  # two messages may come closer together than they left


class Sends:
    """Messages to members, counted."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        # Passing: what would be said again anyway. The rest is kept for outcomes.
        self._budgets = (Budget(30, 60 * _NETWORK, passing=10), Budget(1000, 3600 * _NETWORK, passing=500))

    async def turn(self, member: str, *, passing: bool = False) -> None:
        """Count one message to `member`, waiting a moment if need be.

        Raises Busy with the seconds to wait: at once where it is only `passing`, else where they are many.
        """
        now = self._clock()
        wait = max(budget.wait(member, now) for budget in self._budgets)
        if passing and not all(budget.room(member, now) for budget in self._budgets):
            raise Busy("the part of a member's messages that may pass by is used up", after=max(wait, 1.0))
        if wait > PATIENCE:
            raise Busy(f"WeCom would drop it: {member} has had as many messages as it allows", after=wait)
        for budget in self._budgets:
            budget.take(member, now + wait)
        if wait > 0:
            await self._sleep(wait)
