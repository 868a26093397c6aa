"""`moqi models …`: which models compute, whether their files are whole, bringing one in, and drawing with another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed
from bot.cli.memory import memory

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bot.models import Model, Shelf
    from bot.settings import Settings
    from inference.images.checkpoint_files import Problem
    from inference.images.store.lock import Advance
    from inference.images.store.parts import Found
    from storage.models import Chosen

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
COLUMNS = ("kind", "name", "in use", "why", "size", "dtype", "verified", "path")


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The models that draw and answer.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_models)
    group.command("pull")(pull)
    group.command("verify")(verify)
    group.command("use")(use)
    group.command("memory")(memory)
    app.add_typer(group, name="models")


def list_models(as_json: AsJson = False) -> None:
    """List the models there are, which of them are in use, and why."""
    settings = common.settings()
    chosen = _chosen()
    listed = [*(_image(one, settings, chosen) for one in _shelf(settings).models()), _text(settings)]
    listed += _styles(settings, chosen)
    if as_json:
        common.show_json(listed)
        return
    common.show_table(COLUMNS, [_row(one) for one in listed], "")


def pull(
    source: Annotated[
        str,
        typer.Argument(
            help="A checkpoint folder, a .tar of one, or a model of the hub as owner/name.", metavar="SOURCE"
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call it here; else its folder's name.")] = "",
    revision: Annotated[str, typer.Option(help="Branch, tag or commit at the hub; else its newest.")] = "",
    keep_dtype: Annotated[
        bool, typer.Option("--keep-dtype", help="Keep float32 weights as they are: twice the disk, the same pictures.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a model in, whole or not at all. Only a hub's name needs a network (HF_ENDPOINT, HF_TOKEN)."""
    from inference.errors import PullError
    from inference.images.store import pull as pulling
    from storage.records import utcnow

    store = _shelf(common.settings()).store
    try:
        with _opened(store, source, revision, quiet=as_json) as found:
            plan = pulling.prepare(store, found, name, keep_dtype=keep_dtype)
            with _counted(plan.name, plan.size, quiet=as_json) as advance:
                lock = pulling.execute(plan, utcnow(), advance)
    except PullError as error:
        raise Failed(f"{error.problem}\n→ {error.next_step}", Exit.UNAVAILABLE) from error
    if as_json:
        told = {"name": plan.name, "path": str(plan.target), "bytes": lock.size, "source": lock.source}
        common.show_json({**told, "revision": lock.revision, "converted": list(lock.converted)})
        return
    smaller = f", {' and '.join(lock.converted)} stored as bfloat16" if lock.converted else ""
    print(f"{plan.name}: {_size(lock.size)} in {plan.target}{smaller}")
    print(f"  to draw with it: moqi models use {plan.name}, or image.path in model.yaml")


def verify(
    model: Annotated[
        str | None, typer.Argument(help="Name or folder of a model; without one, the one in use.", metavar="[MODEL]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every file of a model against its lock file, and that it could be loaded; exit 1 when it is not whole."""
    from inference.images.preflight import preflight

    settings = common.settings()
    folder = _folder(settings, model)
    found = preflight(folder, dtype=settings.model.image.dtype)
    problems, locked = _against_lock(folder, quiet=as_json)
    problems = list(dict.fromkeys([*found.problems, *problems]))
    if as_json:
        told = [{"problem": one.problem, "next_step": one.next_step} for one in problems]
        ok = {"ok": not problems, "path": str(folder), "bytes": found.weight_bytes, "locked": locked}
        common.show_json({**ok, "problems": told})
    else:
        how = "" if locked else " (it has no lock file: contents were not compared)"
        print(f"{folder}: {'broken' if problems else 'ok'}, {found.weight_bytes:,} bytes of weights{how}")
        for one in problems:
            print(f"  {one.problem}\n    → {one.next_step}")
    if problems:
        raise typer.Exit(Exit.BROKEN)


def use(
    name: Annotated[str, typer.Argument(help="Name of a model; default = what model.yaml says.", metavar="NAME")],
) -> None:
    """Draw with another model from now on. A running server changes within seconds, without losing its queue."""
    from bot.models import UnknownModel
    from scheduler import switching
    from storage.records import utcnow

    settings = common.settings()
    shelf = _shelf(settings)
    try:
        meant = shelf.find(name)
        choice = shelf.choice(meant)
    except UnknownModel as error:
        raise Failed(f"{error} `moqi models list` shows those there are.", Exit.USAGE) from error
    found = shelf.check(choice)
    if not found.ok:
        first = found.problems[0]
        raise Failed(
            f"{choice.name} is not whole, nothing was changed: {first.problem}\n→ {first.next_step}", Exit.BROKEN
        )
    with common.database() as db:
        common.change(db, switching.choose, meant, common.actor(), utcnow())
    print(f"{choice.name} draws from now on; a running server loads it now, any other with its start")


# --- what there is ----------------------------------------------------------------------------------------------


def _shelf(settings: Settings) -> Shelf:
    from bot.models import Shelf

    return Shelf(settings, common.environment().data)


def _chosen() -> Chosen:
    """What an admin chose; a database that cannot be read is no reason to say nothing of the models."""
    from bot.opening import chosen_model
    from storage.errors import StorageError
    from storage.models import Chosen

    try:
        return chosen_model(common.environment())
    except StorageError as error:
        print(f"whether another model was chosen is not known: {error}", file=sys.stderr)
        return Chosen()


def _image(model: Model, settings: Settings, chosen: Chosen) -> dict[str, Any]:
    in_use = model.name == chosen.name if chosen.name else model.default
    lock = model.lock
    return {
        "kind": "image",
        "name": model.name,
        "path": str(model.choice.path),
        "builtin": model.choice.builtin,
        "in_use": in_use,
        "reason": _reason(model, chosen, in_use=in_use),
        "bytes": model.size,
        "dtype": model.dtype,
        "verified_at": common.iso(lock.verified_at) if lock else None,
        "source": lock.source if lock else None,
        "revision": lock.revision if lock else None,
    }


def _styles(settings: Settings, chosen: Chosen) -> Iterator[dict[str, Any]]:
    """The style adapters for the model in use, those that do not fit it included."""
    from bot.models import UnknownModel
    from bot.opening import load_options
    from inference.images.registry import styles

    try:
        used = _shelf(settings).choice(chosen.name)
    except UnknownModel:  # the chosen one is gone: its row says so
        return
    found = styles(used, load_options(settings, common.environment().data))
    for one in found.adapters:
        what = f"--lora {one.name}, usually {one.weight:g}, rank {one.rank}"
        yield _style(one.name, str(one.file), in_use=True, reason=what)
    for left_out in found.broken:
        yield _style(left_out.name, "", in_use=False, reason=left_out.problem.problem)


def _style(name: str, path: str, *, in_use: bool, reason: str) -> dict[str, Any]:
    return {"kind": "style", "name": name, "path": path, "builtin": False, "in_use": in_use, "reason": reason}


def _reason(model: Model, chosen: Chosen, *, in_use: bool) -> str:
    if in_use and chosen.name:
        state = "" if chosen.settled else ", not loaded yet"
        return f"chosen by {chosen.actor} at {common.moment(chosen.at)}{state}"
    if not model.default:
        return ""
    return model.choice.reason if in_use else f"{model.choice.reason}; another one was chosen"


def _text(settings: Settings) -> dict[str, Any]:
    from bot.opening import text_options
    from inference.text.registry import chosen

    options = text_options(settings)
    name, wanted = chosen(options), options.engine
    reason = f"text.engine is {wanted}" + (": the best engine that is there" if wanted == "auto" else "")
    path = options.base_url if name == "openai" else str(options.path or "") if name in ("vllm", "transformers") else ""
    return {"kind": "text", "name": name, "path": path, "builtin": not path, "in_use": True, "reason": reason}


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from datetime import datetime

    verified = one.get("verified_at")
    return (
        one["kind"],
        one["name"],
        "yes" if one["in_use"] else "",
        one["reason"],
        _size(one["bytes"]) if "bytes" in one else "",
        one.get("dtype", ""),
        common.moment(datetime.fromisoformat(verified)) if verified else "",
        one["path"],
    )


def _size(count: int) -> str:
    from bot.replies.models import size

    return size(count)


# --- files ------------------------------------------------------------------------------------------------------


def _opened(store: Path, source: str, revision: str, *, quiet: bool) -> AbstractContextManager[Found]:
    """The source: what lies here comes before what a hub may have of the same name."""
    from inference.images.store import hub, parts

    path = Path(source).expanduser()
    if path.exists() or not hub.ID.fullmatch(source):
        if revision:
            raise Failed("--revision is for models of the hub: name the folder of one snapshot instead.", Exit.USAGE)
        return parts.local(path)
    if not quiet:
        print(f"fetching {source}", flush=True)
    return hub.downloaded(store, source, revision or None)


def _folder(settings: Settings, model: str | None) -> Path:
    from bot.models import UnknownModel

    shelf = _shelf(settings)
    try:
        if model is None:
            return shelf.choice(_chosen().name).path
        return Path(model) if Path(model).exists() else shelf.choice(shelf.find(model)).path
    except UnknownModel as error:
        if model is not None and "/" in model:
            return Path(model)  # a folder that is not there: the check says so
        raise Failed(f"{error} `moqi models list` shows those there are.", Exit.USAGE) from error


def _against_lock(folder: Path, *, quiet: bool) -> tuple[list[Problem], bool]:
    """What is not as the lock file says, and whether there is one; notes when everything is."""
    from inference.images.checkpoint_files import BrokenFileError
    from inference.images.store import lock
    from storage.records import utcnow

    try:
        known = lock.read(folder)
    except BrokenFileError as error:
        return [error.found], True
    if known is None:
        return [], False
    with _counted(folder.name, known.size, quiet=quiet) as advance:
        problems = list(lock.verify(folder, known, advance))
    if not problems and not lock.verified(folder, known, utcnow()) and not quiet:
        print(f"{folder} cannot be written: when it was verified is not kept", file=sys.stderr)
    return problems, True


@contextmanager
def _counted(title: str, total: int, *, quiet: bool) -> Iterator[Advance]:
    """Shows how far it is: a bar of bytes on a terminal, else a line for each file; `quiet` says nothing then."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def line(name: str, count: int) -> None:
            if name not in seen and not quiet:
                print(f"  {name}", flush=True)
            seen.add(name)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda name, count: bar.update(task, advance=count, description=name)
