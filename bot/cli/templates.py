"""`moqi templates …`: prompts with slots under a name, for who sits at the machine. All of them here are an admin's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from storage.records import Template
    from storage.templates import Place

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
Of = Annotated[
    str, typer.Option("--of", help="Whose: team, group:<platform>:<chat id>, or a person such as feishu:ou_123.")
]
Name = Annotated[str, typer.Argument(help="The template's name.")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="Prompts with slots under a name.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(listing)
    group.command("show")(show)
    group.command("save")(save)
    group.command("delete")(delete)
    group.command("export")(export)
    group.command("import")(take)
    app.add_typer(group, name="templates")


def listing(of: Of = "team", as_json: AsJson = False) -> None:
    """List the templates of the team, with those of policy.yaml; or of a group or a person."""
    found = _held(of)
    if as_json:
        common.show_json([_json(one) for one in found])
        return
    rows = [(one.name, one.scope.value, one.version or "", one.body) for one in found]
    common.show_table(("name", "whose", "version", "text"), rows, "there are no templates")


def show(name: Name, of: Of = "team", as_json: AsJson = False) -> None:
    """Show one, with its slots."""
    from bot.commands import filling
    from bot.commands.options import MEASURES
    from storage.templates import key_of

    found = next((one for one in _held(of) if key_of(one.name) == key_of(name)), None)
    if found is None:
        raise Failed(f"there is no template {name!r}: `moqi templates list` shows those there are", Exit.USAGE)
    slots = filling.read(found.body, MEASURES).slots
    if as_json:
        common.show_json(_json(found) | {"slots": [{"name": one.name, "default": one.default} for one in slots]})
        return
    print(found.body)
    for one in slots:
        print(f"  {one.name}" + ("" if one.default is None else f" = {one.default}"))


def save(
    name: Name,
    text: Annotated[str, typer.Argument(help="As after /draw, with {slots}: 一张{主题}的海报 --size 1024x1360")],
    of: Of = "team",
) -> None:
    """Keep a template, or a new version of one."""
    print(_report(_keep(of, [(name, text)])))


def delete(name: Name, of: Of = "team") -> None:
    """Take a template away; its versions stay readable for what was ordered from it."""
    from storage import templates

    def act(conn: Connection) -> bool:
        place = _place(conn, of)
        templates.lock(conn, place)
        if templates.newest(conn, place, name) is None:
            return False
        _write(conn, place, name, None)
        return True

    with common.database() as db:
        if not common.change(db, act):
            raise Failed(f"there is no template {name!r}: `moqi templates list` shows those there are", Exit.USAGE)
    print(f"took away {name}")


def export(of: Of = "team") -> None:
    """Print the templates of a place, for `moqi templates import`; those of policy.yaml are in Git already."""
    common.show_json([{"name": one.name, "text": one.body} for one in _held(of) if one.id])


def take(
    file: Annotated[Path, typer.Argument(help="What `moqi templates export` printed.", metavar="FILE")],
    of: Of = "team",
) -> None:
    """Keep every template of a file; what is the same already stays. All or none."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        wanted = [(str(one["name"]), str(one["text"])) for one in read]
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}", Exit.USAGE) from error
    except (ValueError, TypeError, KeyError) as error:
        wrong = f'{file} is no list of {{"name": …, "text": …}}: see `moqi templates export`'
        raise Failed(wrong, Exit.USAGE) from error
    print(_report(_keep(of, wanted)))


def _keep(of: str, wanted: list[tuple[str, str]]) -> tuple[int, int]:
    """Keep these; returns how many changed and how many were so already."""
    from storage import templates

    checked = [(_checked(name, text), text) for name, text in wanted]

    def act(conn: Connection) -> tuple[int, int]:
        place = _place(conn, of)
        templates.lock(conn, place)
        before = {templates.key_of(one.name): (one.name, one.body) for one in templates.held(conn, [place])}
        changed = [one for one in checked if before.get(templates.key_of(one[0])) != one]
        for name, text in changed:
            _write(conn, place, name, text)
        return len(changed), len(checked) - len(changed)

    with common.database() as db:
        return common.change(db, act)


def _checked(name: str, text: str) -> str:
    """The name as it is kept, once name and text are found to be right; else the end, with the chat's sentence."""
    from bot.commands import options
    from bot.commands.templates import known_name
    from bot.commands.values import Mistake
    from bot.replies import Words
    from bot.settings.rules import rules
    from storage.templates import key_of

    settings = common.settings()
    known = rules(settings.parameters, settings.policy.limits)
    try:
        kept = known_name(name)
        options.template(text, known)
    except Mistake as mistake:
        said = Words(settings.interface.language).usage(mistake.about("template")).text
        raise Failed(f"{name}: {said}", Exit.USAGE) from None
    if key_of(kept) in {key_of(one) for one in settings.policy.templates}:
        raise Failed(f"{name} is a template of policy.yaml: change it there", Exit.USAGE)
    return kept


def _write(conn: Connection, place: Place, name: str, body: str | None) -> None:
    from storage import audit, templates
    from storage.records import utcnow

    now = utcnow()
    kept = templates.save(conn, place, name, body, user_id=None, saved_by=common.actor(), now=now)
    act, version = ("template.delete", {}) if kept is None else ("template.save", {"version": kept.version})
    detail = {"scope": place[0].value, "owner": place[1], **version}
    audit.append(conn, common.actor(), act, f"template:{name}", detail, now)


def _held(of: str) -> list[Template]:
    from bot.templates import of_settings
    from storage import templates
    from storage.records import Scope

    def held(conn: Connection) -> tuple[Place, list[Template]]:
        place = _place(conn, of)
        return place, templates.held(conn, [place])

    with common.database() as db:
        place, found = common.look(db, held)
    return found + (of_settings(common.settings().policy.templates) if place[0] is Scope.TEAM else [])


def _place(conn: Connection, of: str) -> Place:
    from bot import manage
    from storage.records import Scope

    if of == "team":
        return Scope.TEAM, ""
    if of.startswith("group:"):
        return Scope.CHAT, of.removeprefix("group:")
    return Scope.USER, str(manage.find(conn, of).id)


def _json(one: Template) -> dict[str, Any]:
    return {
        "name": one.name,
        "text": one.body,
        "whose": one.scope.value,
        "version": one.version or None,
        "saved_by": one.saved_by or None,
        "saved_at": common.iso(one.saved_at),
    }


def _report(kept: tuple[int, int]) -> str:
    return f"templates kept: {kept[0]}; the same already: {kept[1]}"
