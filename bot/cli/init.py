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
_PLATFORMS = {
    **dict.fromkeys(("n", "no", "neither"), frozenset[str]()),
    **dict.fromkeys(("feishu", "f", "y", "yes"), frozenset({"feishu"})),
    **dict.fromkeys(("wecom", "w"), frozenset({"wecom"})),
    **dict.fromkeys(("both", "b"), frozenset({"feishu", "wecom"})),
}


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
    chosen = _ask_platforms()
    if "feishu" in chosen:
        answers = _ask_feishu(answers)
    if "wecom" in chosen:
        answers = _ask_wecom(answers)
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


def _ask_platforms() -> frozenset[str]:
    """The chat platforms that are to be served besides the web chat."""
    while True:
        given = str(typer.prompt("Serve Feishu, WeCom or neither? (feishu, wecom, both, n)", "n")).strip().lower()
        if given in _PLATFORMS:
            return _PLATFORMS[given]
        print("  Answer feishu, wecom, both or n.")


def _ask_feishu(answers: Answers) -> Answers:
    asked = "App ID of the self-built app (cli_…)"
    answers = _answered(answers, "feishu_app_id", lambda usual: str(typer.prompt(asked)).strip())
    asked = "Shall Feishu post to a public address of yours (webhook)? Without one, Moqi dials out"
    return _answered(answers, "feishu_webhook", lambda usual: typer.confirm(asked, usual))


def _ask_wecom(answers: Answers) -> Answers:
    """The robot, the app, or both."""
    while not (answers.wecom_bot_id or answers.wecom_agent_id):
        answers = _ask_app(_ask_robot(answers))
        if not (answers.wecom_bot_id or answers.wecom_agent_id):
            print("  WeCom needs the robot, the app, or both.")
    return answers


def _ask_robot(answers: Answers) -> Answers:
    asked = "Bot ID of the smart robot (智能机器人, API 模式; empty = without one)"
    answers = _answered(answers, "wecom_bot_id", lambda usual: _ask_text(asked, usual))
    if not answers.wecom_bot_id:
        return answers
    asked = "Name of the robot, as people mention it"
    return _answered(answers, "wecom_bot_name", lambda usual: _ask_text(asked, answers.title))


def _ask_app(answers: Answers) -> Answers:
    asked = "Corp ID (企业ID), where there is a self-built app (自建应用; empty = without one)"
    answers = _answered(answers, "wecom_corp_id", lambda usual: _ask_text(asked, usual))
    if not answers.wecom_corp_id:
        return answers
    asked = "Agent ID of the app (AgentId)"
    answers = _answered(answers, "wecom_agent_id", lambda usual: str(typer.prompt(asked)).strip())
    asked = "Shall members write to the app, too? WeCom then posts to a public address of yours"
    return _answered(answers, "wecom_listens", lambda usual: typer.confirm(asked, usual))


def _ask_text(question: str, usual: str) -> str:
    return str(typer.prompt(question, usual, show_default=bool(usual))).strip()


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
            print(f"  export {name}=…   # {where}")
    if answers.feishu_app_id:
        print("\nThe app's scopes, ready for the console's batch import: moqi feishu scopes")
    print("\nNext: moqi doctor, then moqi serve")
