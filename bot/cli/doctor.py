"""`moqi doctor`: every dependency, credential, model file and port: what is wrong, and the next step."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit

if TYPE_CHECKING:
    from rich.table import Table

    from bot.doctor import Check

_ADDRESS = r"https?://[^\s<>]+[\w/]"
_NAMED = r"(?m)^  \S+(?= — )"


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("doctor")(doctor)


def doctor(
    host: Annotated[str, typer.Option(help="Address the server is to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port the server is to listen on.", envvar="PORT", min=0)] = 8080,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Look at everything Moqi needs: what is wrong and the next step.

    Exit code 1 when something needed is broken.
    """
    from bot.doctor import examine

    checks = list(examine(common.environment(), os.environ, host, port))
    ok = all(check.ok for check in checks)
    if as_json:
        names = ("name", "ok", "problem", "next_step", "detail")
        common.show_json({"ok": ok, "checks": [{name: getattr(one, name) for name in names} for one in checks]})
    else:
        _show(checks)
    if not ok:
        raise typer.Exit(Exit.BROKEN)


def _show(checks: Sequence[Check]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_table(checks))
    else:
        for check in checks:
            print(f"{'ok    ' if check.ok else 'BROKEN'} {check.name}: {check.detail or check.problem}")
            if check.next_step:
                print(textwrap.indent(f"next step: {check.next_step}", " " * 7))
    broken = sum(not check.ok for check in checks)
    print("Everything needed is there." if not broken else f"{broken} of {len(checks)} checks found something broken.")


def _table(checks: Sequence[Check]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        said = Text(check.detail or check.problem)
        if check.next_step:
            said.append(f"\n→ {check.next_step}", style="cyan" if check.ok else "yellow")
            said.highlight_regex(_NAMED, "bold")
            said.highlight_regex(_ADDRESS, lambda address: f"link {address}")  # whole, also where a line breaks it
        mark = Text("✓", style="green") if check.ok else Text("✗", style="bold red")
        table.add_row(mark, Text(check.name, style="bold"), said)
    return table
