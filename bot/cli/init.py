"""`moqi init`: a few questions, then settings files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from bot.setup import Answers

INTERRUPTED = 130  # as a shell reports a program ended by Ctrl-C
_MODEL = "Folder of a Z-Image-Turbo checkpoint"


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("init")(init)


def init(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the defaults.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace settings that are there; they stay as *.bak.")
    ] = False,
) -> None:
    """Ask a few questions and write the settings into MOQI_CONFIG (default: deploy/config)."""
    from bot import setup

    folder = common.environment().config
    try:
        answers = _defaults(folder) if yes else _ask(folder)
    except typer.Abort as error:
        raise typer.Exit(INTERRUPTED) from error
    made = setup.files(answers)
    try:
        setup.check(made, os.environ)
    except setup.SetupError as error:
        raise Failed(f"{error}\nNothing was written. Run moqi init again.", Exit.USAGE) from error
    try:
        _confirm(setup.present(folder, made), yes, force)
        for path in setup.write(folder, made):
            print(path)
    except OSError as error:
        problem = f"cannot write {error.filename}: {error.strerror}"
        raise Failed(f"{problem}. Name another folder with MOQI_CONFIG.", Exit.UNAVAILABLE) from error
    _what_next(answers)


def _defaults(folder: Path) -> Answers:
    from bot.setup import Answers

    return Answers() if (folder / Answers().knowledge).is_dir() else Answers(knowledge="")


def _ask(folder: Path) -> Answers:
    """Every question in turn; an answer that makes no settings is asked for again."""
    answers = _defaults(folder)
    answers = _answered(answers, "title", lambda usual: typer.prompt("Name of the bot", usual))
    answers = _answered(answers, "language", lambda usual: typer.prompt("Language, zh or en", usual))
    answers = _answered(answers, "timezone", lambda usual: typer.prompt("Time zone, in which days begin", usual))
    answers = _answered(answers, "web", lambda usual: typer.confirm("Serve the web chat?", usual))
    answers = _answered(answers, "feishu_app_id", lambda usual: _ask_feishu())
    if answers.feishu_app_id:
        asked = "Shall Feishu post to a public address of yours (webhook)? Without one, Moqi dials out"
        answers = _answered(answers, "feishu_webhook", lambda usual: typer.confirm(asked, usual))
    answers = _answered(answers, "model", lambda usual: _ask_folder(f"{_MODEL} (empty = the practice model)", usual))
    answers = _answered(answers, "knowledge", lambda usual: _ask_folder("Folder of documents to answer from", usual))
    answers = _answered(answers, "draw", lambda usual: typer.prompt("Pictures for everybody", usual))
    return _answered(answers, "ask", lambda usual: typer.prompt("Answers for everybody", usual))


def _answered(answers: Answers, field: str, ask: Callable[[Any], Any]) -> Answers:
    """The answers with one more, which the settings themselves accept."""
    from bot import setup

    while True:
        candidate = replace(answers, **{field: ask(getattr(answers, field))})
        try:
            setup.check(setup.files(candidate), os.environ)
        except setup.SetupError as error:
            print(f"  {error}")
        else:
            return candidate


def _ask_feishu() -> str:
    if not typer.confirm("Serve Feishu?", False):
        return ""
    return str(typer.prompt("App ID of the self-built app (cli_…)")).strip()


def _ask_folder(question: str, usual: str) -> str:
    """A folder as settings want it: what is not the default is made absolute, whatever folder it was typed in."""
    given = str(typer.prompt(question, usual, show_default=bool(usual))).strip()
    return given if given in ("", usual) else str(Path(given).expanduser().absolute())


def _confirm(present: list[Path], yes: bool, force: bool) -> None:
    """Nothing that was there is replaced unasked."""
    if not present or force:
        return
    names = ", ".join(str(path) for path in present)
    if yes or not typer.confirm(f"Replace {names}? (they stay as *.bak)", False):
        raise Failed(f"There are settings already: {names}. Add --force to replace them.", Exit.REFUSED)


def _what_next(answers: Answers) -> None:
    if answers.secrets:
        print("\nPut these into the environment of Moqi, for example in a file .env that only you can read:")
        for name, where in answers.secrets.items():
            print(f"  export {name}=…   # developer console: {where}")
        print("\nThe app's scopes, ready for the console's batch import: moqi feishu scopes")
    print("\nNext: moqi doctor, then moqi serve")
