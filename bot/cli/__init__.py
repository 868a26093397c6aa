"""The command line: `moqi <word>`. Each module adds its words; heavy imports wait until a word is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import typer
from typer.main import get_command

from bot.cli import (
    admin,
    assets,
    bans,
    bench,
    config,
    doctor,
    feishu,
    init,
    jobs,
    key,
    knowledge,
    models,
    people,
    reservations,
    serve,
    templates,
    upkeep,
    work,
)
from bot.cli.common import Exit, Failed


def build() -> typer.Typer:
    """Every command of `moqi`."""
    app = typer.Typer(
        name="moqi",
        help="Moqi (墨契): pictures and grounded answers in the team's own chat, on the team's own GPU.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for module in (
        serve,
        init,
        doctor,
        feishu,
        work,
        knowledge,
        models,
        bench,
        templates,
        jobs,
        assets,
        reservations,
        people,
        bans,
        admin,
        config,
        upkeep,
        key,
    ):
        module.add(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from bot.version import version

        print(f"moqi {version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Options of `moqi` itself; what they do, they do when they are read."""


@cache
def _command() -> Callable[..., object]:
    """What `build` gives, taken apart once: that takes longer than most commands do."""
    return get_command(build())


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. What went wrong was said in one sentence; a defect comes out as it is."""
    try:
        _command()(list(arguments), prog_name="moqi")
    except Failed as failure:
        print(failure, file=sys.stderr)
        return failure.code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    return Exit.DONE


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that is no text must not end a command while it is printed.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `moqi jobs list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
