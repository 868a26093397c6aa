"""`moqi quota report`: what a month cost, by department and person."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from storage.usage import Usage

_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would execute


def report(
    month: Annotated[str, typer.Option(help="2026-11, in the team's time zone. Without: the present one.")] = "",
    csv_file: Annotated[
        str, typer.Option("--csv", help="Write a line per person into this file; - prints them.", metavar="FILE")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Show what was drawn and answered in a month, and what it cost, by department and person.

    A job counts in the month it ended in. Failed, cancelled and never delivered ones cost nothing and are counted
    apart. A person stands in the department they belong to now.
    """
    from storage import usage
    from storage.records import utcnow

    zone = common.settings().policy.queue().timezone
    month = month or f"{utcnow().astimezone(zone):%Y-%m}"
    since, until = span(month, zone)
    with common.database() as db:
        found = common.look(db, usage.of_people, since, until)
    if as_json:
        common.show_json({"month": month, "departments": [_json(name, many) for name, many in _departments(found)]})
    elif csv_file == "-":
        print(table(month, found), end="")
    elif csv_file:
        _write(Path(csv_file), table(month, found))
    else:
        _show(month, found)


def span(month: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """A month's first instant and the next one's, in the team's zone."""
    from scheduler.policy import renewal

    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        raise Failed(f"{month!r} is no month: write 2026-11.", Exit.USAGE)
    first = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=zone)
    return first, renewal("month", first, zone)


def table(month: str, found: Sequence[Usage]) -> str:
    """The lines of the CSV file: a person each, departments to be added up by whoever reads it."""
    from storage.usage import COUNTED

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("month", "department", "person", "user", *COUNTED))
    for one in found:
        counts = (getattr(one, name) for name in COUNTED)
        writer.writerow((month, _plain(one.department), _plain(one.name), one.user_id, *counts))
    return out.getvalue()


def _plain(text: str) -> str:
    """A name as text: people choose theirs, and a spreadsheet must not compute it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8-sig")  # the mark lets Excel read Chinese names
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}", Exit.USAGE) from error
    print(path)


def _departments(found: Sequence[Usage]) -> list[tuple[str, list[Usage]]]:
    return [(name, list(many)) for name, many in groupby(found, key=lambda one: one.department)]


def _json(name: str, many: Sequence[Usage]) -> dict[str, object]:
    from storage.usage import COUNTED, total

    summed = total(many, name)
    people = [{k: v for k, v in asdict(one).items() if k != "department"} for one in many]
    return {"department": name, **{key: getattr(summed, key) for key in COUNTED}, "people": people}


def _show(month: str, found: Sequence[Usage]) -> None:
    from storage.usage import COUNTED, total

    rows = []
    for name, many in _departments(found):
        rows += [(name or "-", one.name, *(getattr(one, key) for key in COUNTED)) for one in many]
        summed = total(many, name)
        rows.append((name or "-", "(all)", *(getattr(summed, key) for key in COUNTED)))
    print(month)
    headers = ("department", "person", *(key.replace("_", " ") for key in COUNTED))
    common.show_table(headers, rows, "nothing was drawn or answered in this month")
