"""What of one outgoing message was sent, step by step, as its receipt keeps it.

Nothing that the robot sends can be sent a second time under a key, so each step is kept before it is taken and again
when it is answered. A step that was begun and never answered (the connection ended, the program died) is unsure: it is
not taken again, and the person is told.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from bot.platforms.base import Elsewhere, Outgoing, PlatformError, Undelivered
from bot.platforms.wecom.robot.codes import Unsure

PART: Final = "robot"  # of a receipt: the rest of it belongs to others
_TASK: Final = "moqi-"  # how the ids of our cards begin
MEDIA_LIFE: Final = 2.5 * 86400  # seconds for which an uploaded file is used: WeCom keeps it for three days


class State(StrEnum):
    """How far a step is."""

    BEGUN = "begun"  # kept, perhaps sent
    SENT = "sent"  # answered
    UNSURE = "unsure"  # will never be answered
    REFUSED = "refused"  # not taken, and the message is good without it


def kept(receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the robot keeps in a receipt."""
    found = receipt.get(PART)
    return found if isinstance(found, Mapping) else {}


def is_task(message_id: str) -> bool:
    """Whether it is one of our cards, which was pressed, and nothing that somebody wrote."""
    return message_id.startswith(_TASK)


class Journal:
    """The steps of one message over all its tries."""

    def __init__(self, message: Outgoing, *, wall: Callable[[], float] = time.time) -> None:
        self._message = message
        self._wall = wall
        known = kept(message.receipt)
        #: A card's id. WeCom refuses one twice, and our keys count from 1 in every new data folder.
        self.task: str = known.get("task") or f"{_TASK}{secrets.token_hex(12)}"
        self.stream: str = known.get("stream", "")
        self.rated: bool = known.get("rated", False)  # WeCom shows 👍 and 👎 under its text
        self._media: dict[str, list[Any]] = dict(known.get("media", {}))  # by asset: media_id, when
        self._steps: dict[str, State] = {}
        for name, state in known.get("steps", {}).items():
            self._steps[name] = State.UNSURE if state == State.BEGUN else State(state)

    def due(self, step: str) -> bool:
        """Whether a step is still to be taken."""
        return step not in self._steps

    def refused(self, step: str) -> bool:
        """Whether WeCom did not take a step that the message is good without."""
        return self._steps.get(step) is State.REFUSED

    @property
    def unsure(self) -> bool:
        """Whether something may not have arrived, and nobody was told."""
        return any(state is State.UNSURE for name, state in self._steps.items()) and self.due("unsure")

    def media(self, asset: int) -> str:
        """The media_id of a picture that was uploaded; empty when it is to be uploaded."""
        media_id, at = self._media.get(str(asset), ("", 0.0))
        return str(media_id) if self._wall() - at < MEDIA_LIFE else ""

    def uploaded(self, asset: int, media_id: str) -> None:
        """Remember a picture; an empty id forgets it."""
        self._media[str(asset)] = [media_id, self._wall() if media_id else 0.0]

    def receipt(self) -> dict[str, Any]:
        """What the outbox keeps."""
        own = {"task": self.task, "steps": {name: state.value for name, state in self._steps.items()}}
        more = {"stream": self.stream, "rated": self.rated, "media": self._media}
        return {"message_id": self.task, PART: own | {name: value for name, value in more.items() if value}}

    async def take(self, step: str, send: Callable[[], Awaitable[object]], *, optional: bool = False) -> bool:
        """Take a step once; whether it was taken now, or may have been. Raises what `send` raises but Unsure.

        An `optional` one that is refused is left out.
        """
        if not self.due(step):
            return False
        self._steps[step] = State.BEGUN
        try:
            await self._message.keep(self.receipt())
            await send()
        except Unsure:
            self._steps[step] = State.UNSURE
        except Undelivered:
            del self._steps[step]
            if not optional:
                raise
            self._steps[step] = State.REFUSED
        except PlatformError:
            del self._steps[step]
            raise
        else:
            self._steps[step] = State.SENT
        return True

    async def failed(self, error: PlatformError) -> None:
        """Put what was achieved into an error that ends this try."""
        error.receipt = self.receipt()
        if isinstance(error, Elsewhere):  # the outbox then keeps nothing by itself: nothing was tried, it thinks
            await self._message.keep(self.receipt())
