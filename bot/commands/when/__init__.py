"""Time as people write it, in Chinese and English: one instant, a recurrence, a window of the day. Pure.

`now` (aware) and `zone` are arguments, problems are values; which phrase means what, and what is a question, stand at
the top of single.py and repeating.py.
"""

from __future__ import annotations

from bot.commands.when.read import (
    parse_recurrence,
    parse_time,
    parse_window,
    recurrence_length,
    take_recurrence,
    take_time,
    take_window,
    time_length,
    window_length,
)
from bot.commands.when.values import At, Code, Note, Problem, Taken

__all__ = [
    "At",
    "Code",
    "Note",
    "Problem",
    "Taken",
    "parse_recurrence",
    "parse_time",
    "parse_window",
    "recurrence_length",
    "take_recurrence",
    "take_time",
    "take_window",
    "time_length",
    "window_length",
]
