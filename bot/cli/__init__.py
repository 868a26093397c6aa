"""The command line: `moqi <word>`. Each module adds its words; heavy imports wait until a word is run."""

from __future__ import annotations

import sys

import typer

from bot.cli import admin, config, knowledge, serve, upkeep, work
from bot.cli.common import Failed


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
    for module in (serve, work, config, knowledge, admin, upkeep):
        module.add(app)
    return app


def main() -> None:
    """Entry point. An expected failure is one sentence and its exit code; a defect keeps its traceback for a report."""
    try:
        build()()
    except Failed as failure:
        print(failure, file=sys.stderr)
        sys.exit(failure.code)
