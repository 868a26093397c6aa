"""`moqi models …`: which models compute, and whether their files are whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit

if TYPE_CHECKING:
    from bot.settings import Settings
    from inference.images.registry import Choice

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The models that draw and answer.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_models)
    group.command("verify")(verify)
    app.add_typer(group, name="models")


def list_models(as_json: AsJson = False) -> None:
    """List the models there are, which of them are in use, and why."""
    settings = common.settings()
    listed = [*_images(settings), _text(settings), *_styles(settings)]
    if as_json:
        common.show_json(listed)
        return
    rows = [(one["kind"], one["name"], "yes" if one["in_use"] else "", one["reason"], one["path"]) for one in listed]
    common.show_table(("kind", "name", "in use", "why", "path"), rows, "")


def verify(
    path: Annotated[
        Path | None, typer.Argument(help="Checkpoint folder; without one, the one in use.", metavar="[PATH]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a checkpoint is whole, without loading it; exit 1 when it is not."""
    from bot.opening import image_choice
    from inference.images.preflight import preflight

    settings = common.settings()
    folder = path or image_choice(settings).path
    found = preflight(folder, dtype=settings.model.image.dtype)
    if as_json:
        problems = [{"problem": one.problem, "next_step": one.next_step} for one in found.problems]
        common.show_json({"ok": found.ok, "path": str(folder), "bytes": found.weight_bytes, "problems": problems})
    else:
        print(f"{folder}: {'ok' if found.ok else 'broken'}, {found.weight_bytes:,} bytes of weights")
        for one in found.problems:
            print(f"  {one.problem}\n    → {one.next_step}")
    if not found.ok:
        raise typer.Exit(Exit.BROKEN)


def _images(settings: Settings) -> list[dict[str, object]]:
    from bot.opening import image_choice
    from inference.images.registry import resolve

    used, builtin = image_choice(settings), resolve(None)
    others = [] if used.builtin else [builtin]
    return [
        _image(used, in_use=True, reason=used.reason),
        *(_image(one, in_use=False, reason=f"{used.reason}, which comes first") for one in others),
    ]


def _image(choice: Choice, *, in_use: bool, reason: str) -> dict[str, object]:
    return {
        "kind": "image",
        "name": choice.name,
        "path": str(choice.path),
        "builtin": choice.builtin,
        "in_use": in_use,
        "reason": reason,
    }


def _styles(settings: Settings) -> Iterator[dict[str, object]]:
    """The style adapters for the model in use, those that do not fit it included."""
    from bot.opening import image_choice, wanted_adapters
    from inference.images.registry import LoadOptions, styles

    found = styles(image_choice(settings), LoadOptions(adapters=wanted_adapters(settings)))
    for one in found.adapters:
        what = f"--lora {one.name}, usually {one.weight:g}, rank {one.rank}"
        yield _style(one.name, str(one.file), in_use=True, reason=what)
    for left_out in found.broken:
        yield _style(left_out.name, "", in_use=False, reason=left_out.problem.problem)


def _style(name: str, path: str, *, in_use: bool, reason: str) -> dict[str, object]:
    return {"kind": "style", "name": name, "path": path, "builtin": False, "in_use": in_use, "reason": reason}


def _text(settings: Settings) -> dict[str, object]:
    from inference.text.registry import chosen

    options = settings.model.text.options()
    name, wanted = chosen(options), options.engine
    reason = f"text.engine is {wanted}" + (": the best engine that is there" if wanted == "auto" else "")
    path = options.base_url if name == "openai" else ""
    return {"kind": "text", "name": name, "path": path, "builtin": not path, "in_use": True, "reason": reason}
