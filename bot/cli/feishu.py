"""`moqi feishu scopes`: what to grant the app in Feishu's developer console, ready to paste."""

from __future__ import annotations

from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    feishu = typer.Typer(help="What to set in Feishu's developer console.", no_args_is_help=True, rich_markup_mode=None)
    feishu.callback()(lambda: None)  # one word below another, also while it is the only one
    feishu.command("scopes")(scopes)
    app.add_typer(feishu, name="feishu")


def scopes(
    wiki: Annotated[bool, typer.Option("--wiki", help="Also those for a knowledge base out of the wiki.")] = False,
) -> None:
    """Print the scopes as JSON for Permissions & Scopes (权限管理) > Batch import (批量导入).

    It asks nobody and needs no settings. `moqi doctor` says which of them an app still lacks, and what each is for.
    """
    from bot.platforms.feishu.requirements import SCOPES, WIKI_SCOPES, import_json

    print(import_json([*SCOPES, *(WIKI_SCOPES if wiki else ())]))
