"""`moqi ban …`: who is shut out, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed
from bot.cli.people import AsJson, Who

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from sqlalchemy import Connection


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    ban = typer.Typer(help="Who is shut out.", no_args_is_help=True, rich_markup_mode=None)
    ban.command("add")(shut_out)
    ban.command("remove")(let_in)
    ban.command("list")(listing)
    app.add_typer(ban, name="ban")


def shut_out(
    who: Who,
    reason: Annotated[str, typer.Option(help="Told to them, and kept in the audit log.")] = "",
    lasts: Annotated[str, typer.Option("--for", help="7 days, 2 hours; without it until `moqi ban remove`.")] = "",
    until: Annotated[str, typer.Option(help="The last day: 2026-12-31.")] = "",
) -> None:
    """Shut somebody out: their open jobs are cancelled and cost nothing, their reservations are refused."""
    from bot import bans, manage
    from storage import users
    from storage.records import utcnow

    now, zone = utcnow(), common.settings().policy.queue().timezone
    ends = _end(lasts, until, zone, now)

    def act(conn: Connection) -> bans.Banned:
        person = manage.find_or_make(conn, who, now)
        return bans.ban(conn, common.actor(), person, users.shown(reason), ends, now)

    with common.database() as db:
        done = common.change(db, act)
    span = f"until {common.moment(ends)}" if ends else "until `moqi ban remove`"
    print(f"{done.person.name} is shut out {span}; open jobs cancelled: {done.cancelled + len(done.stopping)}")


def let_in(who: Who) -> None:
    """Let somebody in again."""
    from bot import bans, manage
    from storage.records import utcnow

    def act(conn: Connection) -> str:
        return bans.unban(conn, common.actor(), manage.find(conn, who), utcnow()).name

    with common.database() as db:
        print(f"{common.change(db, act)} may go on")


def listing(as_json: AsJson = False) -> None:
    """List who is shut out."""
    from storage import users

    with common.database() as db:
        found = common.look(db, users.banned)
    if as_json:
        rows = [{"who": p.name, "reason": p.ban_reason, "until": common.iso(p.banned_until)} for p in found]
        common.show_json(rows)
        return
    cells = [(p.name, p.ban_reason, common.moment(p.banned_until)) for p in found]
    common.show_table(("who", "reason", "until"), cells, "nobody is shut out")


def _end(lasts: str, until: str, zone: tzinfo, now: datetime) -> datetime | None:
    """When it ends, as the chat's parser and handler read it."""
    from bot.bans import end
    from bot.commands import Ban, Rules, parse

    written = f" until {until}" if until else f" {lasts}" if lasts else ""
    found = parse(f"/ban x{written}", Rules())
    if not isinstance(found, Ban) or found.said != "x":
        raise Failed(f"{(until or lasts)!r} is no time: write --for '7 days' or --until 2026-12-31.", Exit.USAGE)
    ends = end(found.span, found.until, zone, now)
    if ends is not None and ends <= now:
        raise Failed(f"{until!r}: there is no such day, or it is over. Write a coming one.", Exit.USAGE)
    return ends
