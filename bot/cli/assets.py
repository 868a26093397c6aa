"""`moqi assets …`: pictures as an archive, and the retention rule by hand, beside a running server or without one."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from storage.database import Database
    from storage.gallery import Found, Sight, Wanted

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day in the team's zone: 2026-11-01.")]

AT_ONCE = 200  # pictures whose rows are read at once


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The pictures that are kept.", no_args_is_help=True, rich_markup_mode=None)
    group.command("export")(export)
    group.command("purge")(purge)
    app.add_typer(group, name="assets")


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="Archive to write.", metavar="FILE.zip")],
    user: Annotated[str, typer.Option(help="Only of this person: a name, or <platform>:<user id>.")] = "",
    words: Annotated[str, typer.Option(help="Only with these words in their description.")] = "",
    model: Annotated[str, typer.Option(help="Only by this model.")] = "",
    since: Day = None,
    until: Day = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
) -> None:
    """Write pictures into a ZIP with a manifest: recipe, SHA-256, job, model and time of each, newest first.

    Finished pictures as they are shown, each file once. What is private is nobody's but its owner's, and left out.
    """
    from bot import manage
    from bot.finding import terms
    from storage import gallery
    from storage.gallery import Sight, Wanted

    if output.exists() and not force:
        raise Failed(f"{output} is there already. Add --force to replace it.", Exit.REFUSED)
    sight = Sight(user_id=0, everything=True)
    with common.database() as db:
        owners = (common.look(db, manage.find, user).id,) if user else None
        wanted = Wanted(
            terms=terms(words),
            owners=owners,
            model=model,
            first_day=f"{since:%Y-%m-%d}" if since else "",
            last_day=f"{until:%Y-%m-%d}" if until else "",
        )
        count = db.read_sync(gallery.count, sight, wanted)
        if not count:
            raise Failed(
                "No picture fits. Leave something out: --user, --words, --model, --since, --until.", Exit.USAGE
            )
        _write(db, output, sight, wanted, count)
    print(f"{output}: {output.stat().st_size:,} bytes, {count} pictures")


def _write(db: Database, output: Path, sight: Sight, wanted: Wanted, count: int) -> None:
    """The whole archive, or nothing under its name."""
    from bot import naming
    from bot.export import Export, written
    from bot.showing import Showing
    from storage.files import Files

    settings = common.settings()
    policy, showing = settings.policy, Showing(db, Files(common.environment().data / "files"))
    asyncio.run(showing.note(policy.labels, settings.hash))
    how = Export(
        read=partial(showing.picture, space=""),
        name=lambda asset, job, ending: naming.name(policy.names(), asset, job, ending),
        zone=policy.queue().timezone,
    )
    try:
        handle, temporary = tempfile.mkstemp(prefix=".moqi-export-", dir=output.absolute().parent)
    except OSError as error:
        raise Failed(f"cannot write beside {output}: {error.strerror}", Exit.UNAVAILABLE) from error
    try:
        with os.fdopen(handle, "wb") as out, common.progress("packing", count, quiet=True) as done:
            for piece in written(_found(db, sight, wanted), how, done):
                out.write(piece)
        Path(temporary).replace(output)
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror or error}", Exit.UNAVAILABLE) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _found(db: Database, sight: Sight, wanted: Wanted) -> Iterator[Found]:
    from storage import gallery

    before = None
    while page := db.read_sync(gallery.page, sight, wanted, before=before, limit=AT_ONCE):
        yield from page
        before = page[-1].asset.id


def purge(
    days: Annotated[
        int | None, typer.Option(help="Delete what is older; else as retention.pictures_days says.", min=1)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete pictures that are older than the retention rule allows. A server does so by itself, every hour.

    What a waiting job or a reservation begins with, and what is still to be delivered, stays.
    """
    from bot.retention import Keeper
    from storage import audit
    from storage.files import Files
    from storage.records import utcnow
    from storage.thumbnails import Thumbnails

    limit = common.settings().policy.retention.pictures_days if days is None else days
    if not limit:
        raise Failed("Pictures are kept: policy.yaml sets no retention.pictures_days. Or name --days.", Exit.USAGE)
    data = common.environment().data
    with common.database() as db:
        keeper = Keeper(db=db, files=Files(data / "files"), thumbnails=Thumbnails(data / "thumbnails"))
        if dry_run:
            done = asyncio.run(keeper.due(limit, utcnow()))
        else:
            with common.progress("deleting", None, quiet=True) as told:
                done = asyncio.run(keeper.tidy(limit, common.actor(), utcnow(), told))
            db.run_sync(audit.seal)
    what = f"{done.pictures} pictures and {done.given} given to draw from, {done.size:,} bytes"
    print(f"older than {limit} days: {what}{' (nothing was deleted)' if dry_run else ' deleted'}")
