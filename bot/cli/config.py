"""`moqi config check` and `moqi config schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli import common


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The settings in deploy/config.", no_args_is_help=True)
    group.command("check")(check)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def check() -> None:
    """Read every settings file and say what is wrong, as file:line: key: problem."""
    found = common.settings()
    print(f"{found.folder}: ok ({found.hash})")


def schema(
    out: Annotated[Path | None, typer.Argument(help="Folder to write one file per settings file into.")] = None,
) -> None:
    """Print the JSON Schema of the settings files, or write them into a folder."""
    from bot.settings import json_schema

    schemas = json_schema()
    if out is None:
        common.show_json(schemas)
        return
    out.mkdir(parents=True, exist_ok=True)
    import json

    for name, value in schemas.items():
        path = out / f"{name}.schema.json"
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        print(path)
