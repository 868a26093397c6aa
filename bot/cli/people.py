"""`moqi quota …`, `moqi dept …` and `moqi role set`: what somebody may spend and do, and where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed
from bot.cli.report import report

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bot.commands import Command
    from bot.manage import Holder
    from scheduler.policy import Policy
    from scheduler.standing import Limit, Standing
    from storage.records import Unit

    Row = dict[str, Any]  # what --json prints of one allowance
    Shown = tuple[Holder, list[Row]]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
WHO = "<platform>:<user id>, for example feishu:ou_123 or web:alice, or a name that only one person has."
Who = Annotated[str, typer.Argument(help=WHO, metavar="WHO")]
OTHERS = "Also: group:feishu:oc_123, dept:NAME, default (everybody who has no quota of their own)."
Whose = Annotated[str, typer.Argument(help=f"{WHO} {OTHERS}", metavar="WHO")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    quota = typer.Typer(help="What somebody may spend.", no_args_is_help=True, rich_markup_mode=None)
    quota.command("show")(show)
    quota.command("set")(set_quota)
    quota.command("grant")(grant)
    quota.command("report")(report)
    app.add_typer(quota, name="quota")
    dept = typer.Typer(help="Who belongs to which department.", no_args_is_help=True, rich_markup_mode=None)
    dept.command("set")(set_department)
    dept.command("list")(list_departments)
    app.add_typer(dept, name="dept")
    role = typer.Typer(help="What somebody may do.", no_args_is_help=True, rich_markup_mode=None)
    role.command("set")(set_role)
    app.add_typer(role, name="role")


def show(
    who: Annotated[
        str, typer.Argument(help=f"{WHO} {OTHERS} Without one: you, on this terminal.", metavar="[WHO]")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what somebody has left."""
    from storage.records import utcnow

    policy = common.settings().policy.queue()
    with common.database() as db:
        _say(*common.change(db, _standings, who, policy, utcnow()), as_json)


def set_quota(
    who: Whose,
    amount: Annotated[
        list[str],
        typer.Argument(help="5/day, 20/week, 100/month; answers: ask 50/day; or default, none/day.", metavar="AMOUNT"),
    ],
    as_json: AsJson = False,
) -> None:
    """Give somebody a quota of their own, from this period on.

    Counted are pictures (5/day) or answers (ask 50/day); day, week and month count side by side. `none/day` takes one
    of them back, `default` all. Somebody who never wrote yet is made known.
    """
    from bot import manage
    from bot.commands import QuotaClear, QuotaSet
    from storage.records import Allowance, Unit, utcnow

    wanted = _parsed("set", amount)
    policy = common.settings().policy.queue()
    now = utcnow()

    def act(conn: Connection) -> Shown:
        found, actor = _holder(conn, who, now), common.actor()
        if isinstance(wanted, QuotaSet):
            allowance = Allowance(amount=wanted.amount, period=wanted.period)
            manage.set_quota(conn, actor, found.subject, wanted.unit, allowance, now)
            return _of(conn, found, (wanted.unit,), policy, now)
        assert isinstance(wanted, QuotaClear)
        units = tuple(Unit) if wanted.unit is None else (wanted.unit,)
        for unit in units:
            manage.clear_quota(conn, actor, found.subject, unit, wanted.period, now)
        return _of(conn, found, units, policy, now)

    with common.database() as db:
        _say(*common.change(db, act), as_json)


def grant(
    who: Whose,
    amount: Annotated[
        list[str],
        typer.Argument(
            help="3 for pictures, ask 20 for answers; 3 7 days, 3 until 2026-12-31: they lapse.", metavar="AMOUNT"
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Give somebody units once, beside their quota."""
    from bot import manage
    from bot.commands import QuotaGrant
    from scheduler import quota
    from storage.records import utcnow

    wanted = _parsed("grant", amount)
    assert isinstance(wanted, QuotaGrant)
    policy = common.settings().policy.queue()
    now = utcnow()
    until = wanted.until.after(quota.today(now, policy.timezone)) if wanted.until else None
    if wanted.until and until is None:
        raise Failed(f"{' '.join(amount)!r}: there is no such day, or it is over. Write a coming one.", Exit.USAGE)

    def act(conn: Connection) -> Shown:
        found = _holder(conn, who, now)
        manage.grant(conn, common.actor(), found.subject, wanted.unit, wanted.amount, policy, now, until)
        return _of(conn, found, (wanted.unit,), policy, now)

    with common.database() as db:
        _say(*common.change(db, act), as_json)


def set_department(
    who: Who,
    name: Annotated[str | None, typer.Argument(help='The department; "" for none.', metavar="[NAME]")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Whatever their platform says, from now on.")] = False,
) -> None:
    """Say which department somebody belongs to: what they order counts against its quota, if it has one.

    It stays, whatever the platform's directory says; --auto gives it back to the directory.
    """
    from bot import manage
    from storage.records import utcnow

    if auto == (name is not None):
        raise Failed('Write either a department ("" for none) or --auto.', Exit.USAGE)
    now = utcnow()

    def act(conn: Connection) -> str:
        person = manage.find_or_make(conn, who, now)
        if name is None:
            person = manage.follow_department(conn, common.actor(), person, now)
        else:
            person = manage.set_department(conn, common.actor(), person, name, now)
        return f"{person.name} belongs to {person.department}" if person.department else f"{person.name}: no department"

    with common.database() as db:
        print(common.change(db, act))


def list_departments(as_json: AsJson = False) -> None:
    """List the departments that somebody belongs to."""
    from storage import users

    with common.database() as db:
        found = common.look(db, users.departments)
    if as_json:
        common.show_json([{"department": name, "people": people} for name, people in found.items()])
        return
    common.show_table(("department", "people"), list(found.items()), "nobody belongs to a department")


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


def _parsed(word: str, amount: Sequence[str]) -> Command:
    """The amount as the chat's parser reads it. The person is kept out of what is parsed: a name may hold anything."""
    from bot.commands import QuotaClear, QuotaGrant, QuotaSet, Rules, parse

    found = parse(f"/quota {word} @x {' '.join(amount)}", Rules())
    if isinstance(found, QuotaSet | QuotaClear | QuotaGrant) and found.who == "x":
        return found
    form = "5/day, 20/week, 100/month or: ask 50/day" if word == "set" else "3 (pictures) or: ask 20 (answers)"
    raise Failed(f"{' '.join(amount)!r} is no amount. Write {form}; at most 1000000.", Exit.USAGE)


def _holder(conn: Connection, who: str, now: datetime) -> Holder:
    from bot import manage
    from bot.commands import account

    return manage.holder(conn, *account(who), now)


def _standings(conn: Connection, who: str, policy: Policy, now: datetime) -> Shown:
    """Looking at somebody does not make them known."""
    from bot import manage
    from bot.commands import account
    from scheduler import quota
    from storage.records import Payer, Unit

    units = tuple(Unit)
    if who and account(who)[0] is not Payer.USER:
        return _of(conn, _holder(conn, who, now), units, policy, now)
    person = manage.find(conn, who) if who else manage.find_or_make(conn, f"terminal:{common.login()}", now)
    shown, rows = _of(conn, manage.of_person(person), units, policy, now)
    if person.department:
        department = manage.Holder(subject=quota.department(person.department))
        rows = [*rows, *_of(conn, department, units, policy, now)[1]]
    return shown, rows


def _of(conn: Connection, found: Holder, units: Sequence[Unit], policy: Policy, now: datetime) -> Shown:
    """What an account may spend and has left; the default may be spent by many, so nothing is left of it."""
    from scheduler import quota
    from storage.records import Payer

    rows: list[Row] = []
    for unit in units:
        if found.payer is Payer.DEFAULT:
            limits = quota.allowed(conn, (found.subject,), unit, policy)[found.subject].limits
            rows += [{"unit": unit.value, "amount": one.amount, "period": one.period} for one in limits]
        elif standing := quota.standing(conn, found.subject, unit, policy, now):
            rows += [_row(standing, limit) for limit in standing.limits]
    return found, rows


def _row(one: Standing, limit: Limit) -> Row:
    return {
        "subject": one.subject,
        "unit": one.unit.value,
        "amount": limit.allowance.amount,
        "period": limit.allowance.period,
        "own": one.own,
        "left": limit.left,
        "extra": one.extra,
        "granted": [{"left": some.left, "until": some.until and some.until.isoformat()} for some in one.granted],
        "renews": common.iso(limit.renews),
    }


def _say(found: Holder, rows: Sequence[Row], as_json: bool) -> None:
    if as_json:
        common.show_json({"who": found.name or found.subject, "units": rows})
        return
    print(found.name or found.subject)
    headers = ("unit", "quota", "whose", "left", "granted", "renews")
    common.show_table(headers, [_cells(found, row) for row in rows], "has no quota: it is not limited")


def _cells(found: Holder, row: Row) -> tuple[object, ...]:
    rate = f"{row['amount']}/{row['period']}"
    if "left" not in row:
        return row["unit"], rate, "default", "", "", ""
    granted = ", ".join(
        f"{one['left']} until {one['until']}" if one["until"] else f"{one['left']}" for one in row["granted"]
    )
    whose = row["subject"] if row["subject"] != found.subject else "own" if row["own"] else "default"
    return row["unit"], rate, whose, row["left"], granted or 0, common.moment(datetime.fromisoformat(row["renews"]))
