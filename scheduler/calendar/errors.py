"""What can be wrong with a rule or a window.

ValueError
└── BadCalendar
    ├── BadRule    not a rule, or one that can never be meant
    └── BadWindow  not a window of the day
"""

from __future__ import annotations


class BadCalendar(ValueError):
    """A calendar value is wrong. Show the message to whoever wrote it and ask for another one."""


class BadRule(BadCalendar):
    """This is no rule for when something fires. The message says which part is wrong."""


class BadWindow(BadCalendar):
    """This is no window of the day. Write one such as 22:00-06:00."""
