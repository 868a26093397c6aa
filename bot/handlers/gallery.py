"""/gallery: pictures that were drawn, for whom they may be shown to here."""

from __future__ import annotations

from bot import access
from bot.commands import Gallery
from bot.commands.gallery import people, span
from bot.context import Context, Handled
from bot.finding import terms
from bot.handlers.draw import refused
from bot.replies import gallery as replies
from bot.replies.gallery import Search
from scheduler import quota
from scheduler.policy import Refusal
from storage import attendance, users
from storage import gallery as pictures
from storage.gallery import Wanted

SHOWN = 6  # pictures of one answer: what a chat shows beside each other

_MYSELF = frozenset({"我", "me"})


def gallery(ctx: Context, command: Gallery) -> Handled:
    """The newest pictures that fit; in a group only what everybody there has seen."""
    zone = ctx.house.policy.timezone
    try:
        first, last = span(command.days, quota.today(ctx.now, zone))
    except (ValueError, OverflowError):
        return refused(ctx, Refusal(code="gallery_days"))
    said, who = people(command.words, [one.name for one in ctx.event.mentions])
    said = said if terms(said) else ""
    owners = _owners(ctx, who)
    wanted = Wanted(
        terms=terms(said),
        owners=owners,
        model=command.model,
        first_day=first.isoformat() if first else "",
        last_day=last.isoformat() if last else "",
        size=command.size,
    )
    here = ctx.event.origin
    seer = access.sight(ctx.user, attendance.of(ctx.conn, ctx.user.id), here)
    found = pictures.page(ctx.conn, seer, wanted, limit=SHOWN + 1)
    by = owners[0] if owners is not None and len(owners) == 1 else 0
    search = Search(words=said, people=who, by=by, first=first, last=last, size=command.size, model=command.model)
    words = ctx.house.words
    if not found:
        return Handled(outcome="reply", reply=replies.nothing(words, search, group=bool(here.group)))
    more, page = len(found) > SHOWN, ctx.house.page
    return Handled(outcome="reply", reply=replies.card(words, search, found[:SHOWN], more=more, page=page, zone=zone))


def _owners(ctx: Context, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Everybody who may be meant. Who is not known is found as little as somebody whose pictures are hidden."""
    if not names:
        return None
    mentioned = {one.name: one.identity for one in ctx.event.mentions}
    found: set[int] = set()
    for name in names:
        if name.lower() in _MYSELF:
            found.add(ctx.user.id)
        elif name in mentioned:
            known = users.of_identity(ctx.conn, mentioned[name])
            found |= {known.id} if known else set()
        else:
            found |= {one.id for one in users.find(ctx.conn, name)}
    return tuple(sorted(found))
