"""Pictures that were found, as a card: numbered, each with the name under which orders begin with it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from urllib.parse import urlencode

from bot.replies.cards import ALT_SHOWN, what
from bot.replies.language import Language, short
from bot.reply import Picture, Reply
from storage.gallery import Found

PROMPT_SHOWN = 48  # characters of each description


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What was looked for, as people say it and as the page's address does."""

    words: str = ""
    people: tuple[str, ...] = ()
    by: int = 0  # the one person meant; 0 = nobody, or several of one name
    first: date | None = None
    last: date | None = None
    size: tuple[int, int] | None = None
    model: str = ""

    @property
    def query(self) -> str:
        """The part of an address behind its question mark."""
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        given = {"q": self.words, "by": self.by or "", "first": self.first or "", "last": self.last or ""}
        return urlencode(
            {name: str(value) for name, value in (given | {"size": size, "model": self.model}).items() if value}
        )


def card(words: Language, search: Search, found: Sequence[Found], *, more: bool, page: str, zone: tzinfo) -> Reply:
    """The pictures, newest first. `page`: where the web page is, empty when nobody knows."""
    rows = [_row(words, number, one, zone) for number, one in enumerate(found, 1)]
    url = f"{page}/gallery?{search.query}".rstrip("?")
    rows += [words.say("gallery.page", url=url)] if page else []
    notes = [words.say("gallery.use", named=named(found[0]))] + ([words.say("gallery.more")] if more else [])
    return Reply(
        title=words.say("gallery.title", what=said(words, search) or words.say("gallery.newest")),
        text="\n".join(rows),
        pictures=tuple(_picture(one) for one in found),
        note=" · ".join((words.say("note.ai"), *notes)),
    )


def nothing(words: Language, search: Search, *, group: bool) -> Reply:
    """Nothing that may be shown here: what could be tried."""
    looked = said(words, search)
    which = words.say("gallery.none.what", what=looked) if looked else words.say("gallery.none.any")
    lines = [words.say("gallery.none", what=which)] + ([words.say("gallery.none.group")] if group else [])
    return Reply(text="\n".join(lines))


def said(words: Language, search: Search) -> str:
    """What was looked for, in a line: 金毛 · @小墨 · 2026年11月16日 到 2026年11月22日."""
    size = f"{search.size[0]}x{search.size[1]}" if search.size else ""
    people = (f"@{name}" for name in search.people)
    parts = (short(search.words, 40), *people, _days(words, search), size, search.model)
    return " · ".join(part for part in parts if part)


def named(found: Found) -> str:
    """The picture as --from takes it: 17, or the second of several 17.2."""
    several = int(found.job.params.get("count", 1)) > 1
    return f"{found.job.id}.{found.asset.index + 1}" if several else str(found.job.id)


def _days(words: Language, search: Search) -> str:
    first, last = (words.date(day) if day else "" for day in (search.first, search.last))
    if first and first == last:
        return first
    kind = "days" if first and last else "since" if first else "until"
    return words.say(f"gallery.{kind}", first=first, last=last) if first or last else ""


def _row(words: Language, number: int, one: Found, zone: tzinfo) -> str:
    day = words.moment(one.asset.created_at.astimezone(zone))
    prompt = what(one.job, PROMPT_SHOWN)
    return words.say("gallery.row", n=number, named=named(one), prompt=prompt, who=short(one.owner, 20), date=day)


def _picture(one: Found) -> Picture:
    asset = one.asset
    return Picture(
        asset=asset.id, width=asset.width, height=asset.height, alt=f"{named(one)} {what(one.job, ALT_SHOWN)}"
    )
