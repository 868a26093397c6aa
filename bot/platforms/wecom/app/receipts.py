"""What sending a message by the app has achieved so far: what is shown is not shown again. Pure but for its keeping."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bot.platforms.base import PlatformError
from bot.platforms.wecom.app.codes import Busy

APP: Final = "app"  # where it stands in a receipt
MEDIA_KEPT: Final = timedelta(days=3) - timedelta(hours=1)  # WeCom forgets an upload after three days
CODE_KEPT: Final = timedelta(hours=72) - timedelta(minutes=5)  # and a card's code after 72 hours

Keep = Callable[[Mapping[str, Any]], Awaitable[None]]


class Achieved:
    """The part of a receipt that is the app's, growing step by step.

    sent    steps that are done, with what WeCom calls each
    trying  the step that is under way and its content: sent again it must be the same, which WeCom shows once
    media   asset id -> media_id and when it was uploaded
    card    the task_id, once a card stands in the chat, with the code that it can be changed with, once, and its time
    """

    def __init__(self, receipt: Mapping[str, Any], keep: Keep) -> None:
        known = receipt.get(APP)
        given: Mapping[str, Any] = known if isinstance(known, dict) else {}
        self.sent: dict[str, str] = dict(given.get("sent", {}))
        self.trying: dict[str, Any] = dict(given.get("trying", {}))
        self.media: dict[str, list[str]] = dict(given.get("media", {}))
        self.card: dict[str, str] = dict(given.get("card", {}))
        self._keep = keep

    async def __aenter__(self) -> Achieved:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Puts what was achieved into a PlatformError that leaves the block: it is not done a second time."""
        if isinstance(error, PlatformError):
            error.receipt = {**error.receipt, **self.receipt}

    @property
    def receipt(self) -> dict[str, Any]:
        """As it stands in the outbox."""
        named = {"sent": self.sent, "trying": self.trying, "media": self.media, "card": self.card}
        shown = self.card.get("task") or next(reversed(self.sent.values()), "")
        return {"message_id": shown, APP: {name: dict(part) for name, part in named.items() if part}}

    async def begin(self, step: str, content: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """What to send in this step, and whether that may have been sent before."""
        if self.trying.get("step") == step:
            return self.trying["content"], True
        self.trying = {"step": step, "content": dict(content)}
        await self._keep(self.receipt)
        return content, False

    def refused(self, error: PlatformError, again: bool) -> None:
        """The step under way was not taken. Where no try before it may have been, nothing of it is there."""
        if not again and (isinstance(error, Busy) or error.code is not None):
            self.trying = {}

    def done(self, step: str, name: str) -> None:
        """The step is done; it is kept with the next one, or with the whole."""
        self.sent[step] = name
        self.trying = {}


def code_of(receipt: Mapping[str, Any], now: datetime) -> str:
    """What the card of a receipt can be changed with; empty when there is nothing (any more)."""
    card = (receipt.get(APP) or {}).get("card", {})
    return str(card.get("code", "")) if fresh(card.get("at", ""), now, CODE_KEPT) else ""


def task_of(receipt: Mapping[str, Any]) -> str:
    """The task_id of the card of a receipt; empty without one."""
    return str((receipt.get(APP) or {}).get("card", {}).get("task", ""))


def fresh(at: str, now: datetime, kept: timedelta) -> bool:
    """Whether what WeCom gave us at that time (ISO) is still good."""
    return bool(at) and now - datetime.fromisoformat(at) < kept
