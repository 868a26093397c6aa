"""`moqi reservations …`: what is booked and what became of it, beside a running server or without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from storage.records import Reservation

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
Number = Annotated[int, typer.Argument(help="Number of the reservation: 12 for r12.", metavar="NUMBER", min=1)]

SHOWN = 20  # occurrences of one reservation


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="What is booked for later.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_reservations)
    group.command("show")(show)
    group.command("cancel")(cancel)
    app.add_typer(group, name="reservations")


def list_reservations(
    state: Annotated[
        list[str] | None, typer.Option(help="proposed, active, paused, ended or cancelled; may be repeated.")
    ] = None,
    who: Annotated[str, typer.Option(help="Only of this person: a name, or <platform>:<user id>.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many, newest first.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """List reservations, newest first."""
    from bot import manage
    from storage import reservations

    states = _states(state or [])
    with common.database() as db:
        user_id = common.look(db, manage.find, who).id if who else None
        found = db.read_sync(reservations.recent, user_id=user_id, states=states, limit=limit)
        names = db.read_sync(_names, found)
    if as_json:
        common.show_json([_summary(one, names) for one in found])
        return
    rows = [
        (f"r{one.id}", one.state.value, names[one.user_id], common.moment(one.next_at), str(one.params["prompt"])[:60])
        for one in found
    ]
    common.show_table(("reservation", "state", "who", "next", "what"), rows, "No reservations.")


def show(number: Number, as_json: AsJson = False) -> None:
    """Show one reservation: its rule, when it fires next, what became of its last due times."""
    with common.database() as db:
        details = common.look(db, _details, number)
    if as_json:
        common.show_json(details)
        return
    for name, value in details.items():
        if value not in (None, "", [], {}):
            print(f"{name:12} {_plain(value)}")


def cancel(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of the reservations.", metavar="NUMBER…")],
) -> None:
    """Cancel reservations for good. Pictures they have ordered already are drawn."""
    from bot import manage
    from storage.records import utcnow

    with common.database() as db:
        for number in numbers:
            done = common.change(db, manage.cancel_reservation, common.actor(), number, utcnow())
            print(f"reservation {number}: {done.state.value}")


def _states(words: list[str]) -> list[Any]:
    from storage.records import ReservationState

    try:
        return [ReservationState(word.lower()) for word in words]
    except ValueError as error:
        allowed = ", ".join(state.value for state in ReservationState)
        raise Failed(f"{error.args[0].split(' is ')[0]} is no state: write {allowed}.", Exit.USAGE) from error


def _names(conn: Connection, found: Sequence[Reservation]) -> dict[int, str]:
    from storage import users

    people = {user_id: users.get(conn, user_id) for user_id in {one.user_id for one in found}}
    return {user_id: person.name if person else f"user {user_id}" for user_id, person in people.items()}


def _summary(one: Reservation, names: dict[int, str]) -> dict[str, Any]:
    return {
        "reservation": one.id,
        "state": one.state.value,
        "who": names[one.user_id],
        "next_at": common.iso(one.next_at),
        "closes_at": common.iso(one.closes_at),
        "zone": one.zone,
        "rule": one.rule,
        "created_at": common.iso(one.created_at),
        "reason": one.reason,
        "text": str(one.params["prompt"]),
    }


def _details(conn: Connection, number: int) -> dict[str, Any]:
    from bot import manage
    from storage import reservations

    one = manage.reservation(conn, number)
    return {
        **_summary(one, _names(conn, [one])),
        "from": f"{one.origin.platform}:{one.origin.chat_id}",
        "late_limit": one.late_limit,
        "params": one.params,
        "occurrences": [
            {
                "due_at": common.iso(fate.due_at),
                "fate": fate.fate.value,
                "job": fate.job_id,
                "reason": fate.reason,
                "at": common.iso(fate.at),
            }
            for fate in reservations.occurrences_of(conn, number, SHOWN)
        ],
    }


def _plain(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
