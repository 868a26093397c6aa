"""The calendar: when something fires, when something is open, which days are worked. Pure values and arithmetic."""

from __future__ import annotations

from scheduler.calendar.codec import from_json, to_json, window_from_json, window_to_json
from scheduler.calendar.errors import BadCalendar, BadRule, BadWindow
from scheduler.calendar.firing import firings, keeps_wall_clock, next_after, occurrence_key, upcoming
from scheduler.calendar.rules import (
    LAST_DAY,
    LEAST_GAP,
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
    shortest_gap,
)
from scheduler.calendar.windows import (
    Hours,
    Opening,
    Window,
    closing,
    contains,
    next_opening,
    openings,
    window_from_text,
    window_to_text,
)
from scheduler.calendar.workdays import Country, is_workday, known, known_until

__all__ = [
    "LAST_DAY",
    "LEAST_GAP",
    "BadCalendar",
    "BadRule",
    "BadWindow",
    "Country",
    "EveryCron",
    "EveryDay",
    "EveryInterval",
    "EveryMonth",
    "EveryWeek",
    "EveryWorkday",
    "Hours",
    "Once",
    "Opening",
    "Rule",
    "Window",
    "closing",
    "contains",
    "firings",
    "from_json",
    "is_workday",
    "keeps_wall_clock",
    "known",
    "known_until",
    "next_after",
    "next_opening",
    "occurrence_key",
    "openings",
    "window_from_text",
    "shortest_gap",
    "window_to_text",
    "to_json",
    "upcoming",
    "window_from_json",
    "window_to_json",
]
