"""One language: its sentences, and how it writes times and rates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from bot.commands import clip
from bot.replies import en, zh
from storage.records import Allowance

TABLES: dict[str, dict[str, str]] = {"zh": zh.TABLE, "en": en.TABLE}


class Language:
    """Looks sentences up and fills them in."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._table = TABLES[code]

    def say(self, key: str, /, **values: object) -> str:
        """The sentence `key` with its placeholders filled. A missing key is a defect, and raises."""
        return self._table[key].format(**values)

    def knows(self, key: str) -> bool:
        return key in self._table

    def listed(self, items: list[str] | tuple[str, ...]) -> str:
        return self.say("list").join(items)

    def duration(self, seconds: float) -> str:
        """A rough length of time in its largest sensible unit; never 0."""
        for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
            if seconds >= 2 * length:
                return self.say(f"time.{unit}", n=round(seconds / length))
        return self.say("time.seconds", n=max(1, round(seconds)))

    def span(self, low: float, high: float) -> str:
        """A length of time that is known to lie between two, in the unit of the longer one: 40–70 s."""
        for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
            if high >= 2 * length or length == 1:
                least, most = (max(1, round(seconds / length)) for seconds in (low, high))
                return self.say(f"time.{unit}", n=str(most) if least == most else f"{least}–{most}")
        raise AssertionError("unreachable: seconds fit every length")

    def took(self, seconds: float) -> str:
        """A measured length of time."""
        return self.say("time.took", n=f"{seconds:.1f}" if seconds < 100 else round(seconds))

    def moment(self, at: datetime) -> str:
        """A day and time, in the zone that `at` carries."""
        return self.say("time.moment", month=at.month, day=at.day, clock=f"{at:%H:%M}")

    def date(self, day: date) -> str:
        return self.say("time.date", year=day.year, month=day.month, day=day.day)

    def rate(self, allowance: Allowance) -> str:
        return self.say(f"rate.{allowance.period}", amount=allowance.amount)

    def rates(self, allowances: Sequence[Allowance]) -> str:
        """Several allowances that all count."""
        return self.listed([self.rate(allowance) for allowance in allowances])


def short(text: str, limit: int) -> str:
    """The beginning of something a person wrote, on one line."""
    return clip(" ".join(text.split()), limit)
