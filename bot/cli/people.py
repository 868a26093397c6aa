"""`moqi quota …` and `moqi role set`: what somebody may spend and do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bot.commands import QuotaGrant, QuotaSet
    from scheduler.policy import Policy
    from scheduler.quota import Standing

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
WHO = "<platform>:<user id>, for example feishu:ou_123 or web:alice, or a name that only one person has."
Who = Annotated[str, typer.Argument(help=WHO, metavar="WHO")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    quota = typer.Typer(help="What somebody may spend.", no_args_is_help=True, rich_markup_mode=None)
    quota.command("show")(show)
    quota.command("set")(set_quota)
    quota.command("grant")(grant)
    app.add_typer(quota, name="quota")
    role = typer.Typer(help="What somebody may do.", no_args_is_help=True, rich_markup_mode=None)
    role.command("set")(set_role)
    app.add_typer(role, name="role")


def show(
    who: Annotated[str, typer.Argument(help=f"{WHO} Without one: you, on this terminal.", metavar="[WHO]")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what somebody has left."""
    from storage.records import utcnow

    policy = common.settings().policy.queue()
    with common.database() as db:
        person, standings = common.change(db, _standings, who, policy, utcnow())
    _say(person, standings, as_json)


def set_quota(
    who: Who,
    amount: Annotated[
        list[str], typer.Argument(help="5/day, 20/week, 100/month; answers: ask 50/day.", metavar="AMOUNT")
    ],
    as_json: AsJson = False,
) -> None:
    """Give somebody a quota of their own, from this period on.

    Counted are pictures (5/day) or answers (ask 50/day). Somebody who never wrote yet is made known.
    """
    from bot import manage
    from bot.commands import QuotaSet
    from storage.records import Allowance, utcnow

    wanted = _parsed("set", amount)
    assert isinstance(wanted, QuotaSet)
    allowance = Allowance(amount=wanted.amount, period=wanted.period)
    policy = common.settings().policy.queue()
    now = utcnow()

    def act(conn: Connection) -> tuple[str, list[Standing]]:
        person = manage.find_or_make(conn, who, now)
        return person.name, [manage.set_quota(conn, common.actor(), person, wanted.unit, allowance, policy, now)]

    with common.database() as db:
        _say(*common.change(db, act), as_json)


def grant(
    who: Who,
    amount: Annotated[list[str], typer.Argument(help="3 for pictures, ask 20 for answers.", metavar="AMOUNT")],
    as_json: AsJson = False,
) -> None:
    """Give somebody units once, beside their quota; they do not lapse."""
    from bot import manage
    from storage.records import utcnow

    wanted = _parsed("grant", amount)
    policy = common.settings().policy.queue()
    now = utcnow()

    def act(conn: Connection) -> tuple[str, list[Standing]]:
        person = manage.find_or_make(conn, who, now)
        return person.name, [manage.grant(conn, common.actor(), person, wanted.unit, wanted.amount, policy, now)]

    with common.database() as db:
        _say(*common.change(db, act), as_json)


def set_role(who: Who, role: Annotated[str, typer.Argument(help="admin, reviewer or user.", metavar="ROLE")]) -> None:
    """Make somebody an admin, a reviewer or a user. Somebody who never wrote yet is made known."""
    from bot import manage
    from storage.records import Role, utcnow

    try:
        wanted = Role(role.lower())
    except ValueError as error:
        raise Failed(f"{role!r} is no role: write admin, reviewer or user.", Exit.USAGE) from error
    now = utcnow()

    def act(conn: Connection) -> str:
        return manage.set_role(conn, common.actor(), manage.find_or_make(conn, who, now), wanted, now).name

    with common.database() as db:
        print(f"{common.change(db, act)} is {wanted.value} now")


def _parsed(word: str, amount: Sequence[str]) -> QuotaSet | QuotaGrant:
    """The amount as the chat's parser reads it. The person is kept out of what is parsed: a name may hold anything."""
    from bot.commands import QuotaGrant, QuotaSet, Rules, parse

    found = parse(f"/quota {word} @x {' '.join(amount)}", Rules())
    if isinstance(found, QuotaSet | QuotaGrant) and found.who == "x":
        return found
    form = "5/day, 20/week, 100/month or: ask 50/day" if word == "set" else "3 (pictures) or: ask 20 (answers)"
    raise Failed(f"{' '.join(amount)!r} is no amount. Write {form}; at most 1000000.", Exit.USAGE)


def _standings(conn: Connection, who: str, policy: Policy, now: datetime) -> tuple[str, list[Standing]]:
    from bot import manage
    from scheduler import quota
    from storage.records import Unit

    person = manage.find(conn, who) if who else manage.find_or_make(conn, f"terminal:{common.login()}", now)
    return person.name, [quota.standing(conn, person.id, unit, policy, now) for unit in Unit]


def _say(person: str, standings: Sequence[Standing], as_json: bool) -> None:
    if as_json:
        listed = [_json(one) for one in standings]
        common.show_json({"who": person, "units": listed})
        return
    rows = [
        (
            one.unit.value,
            f"{one.allowance.amount}/{one.allowance.period}",
            "own" if one.own else "default",
            one.left,
            one.extra,
            common.moment(one.renews),
        )
        for one in standings
    ]
    print(person)
    common.show_table(("unit", "quota", "whose", "left", "granted", "renews"), rows, "")


def _json(one: Standing) -> dict[str, object]:
    return {
        "unit": one.unit.value,
        "amount": one.allowance.amount,
        "period": one.allowance.period,
        "own": one.own,
        "left": one.left,
        "extra": one.extra,
        "renews": common.iso(one.renews),
    }
