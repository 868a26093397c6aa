"""The opening hours of policy.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from bot.settings.base import Section
from scheduler.calendar import BadWindow, Window, window_from_text, window_to_text


def _window(value: Any) -> Any:
    try:
        return window_from_text(value) if isinstance(value, str) else _not_text()
    except BadWindow:
        raise ValueError("must look like 22:00-07:00 or mon-fri 09:00-18:00") from None


def _not_text() -> Window:
    raise ValueError("must look like 22:00-07:00 or mon-fri 09:00-18:00")


Hours = Annotated[
    Window,
    BeforeValidator(_window),
    PlainSerializer(window_to_text),
    WithJsonSchema({"type": "string", "examples": ["22:00-07:00", "mon-fri 09:00-18:00"]}),
]


class OpeningHours(Section):
    """When work may run, in the team's zone. What was accepted in time is done, even when it gets late."""

    interactive: tuple[Hours, ...] = Field(
        default=(), description="When people may order for now; outside they may reserve. Empty = always."
    )
    reserved: tuple[Hours, ...] = Field(
        default=(), description="When what was reserved may start; what falls due outside waits. Empty = always."
    )
    exempt: tuple[Literal["admin", "reviewer", "user"], ...] = Field(
        default=(), description="Roles that may always order for now."
    )
