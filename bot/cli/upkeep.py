"""`moqi verify`, `moqi migrate`, `moqi doctor`, `moqi backup`, `moqi restore`, `moqi init`: keeping it well."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("verify")(verify)
    app.command("migrate")(migrate)


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False) -> None:
    """Check the invariants on the database, at rest or while a server runs; exit 1 when one is broken."""
    from scheduler.verify import verify as check
    from storage.files import Files
    from storage.records import utcnow

    environment = common.environment()
    with common.database() as db:
        checks = db.read_sync(check, Files(environment.data / "files"), utcnow())
    ok = all(item.ok for item in checks)
    if as_json:
        listed = [{"invariant": item.invariant, "ok": item.ok, "broken": item.broken} for item in checks]
        common.show_json({"ok": ok, "checks": listed})
    else:
        for item in checks:
            print(f"{'ok    ' if item.ok else 'BROKEN'} {item.invariant}")
            for line in item.broken:
                print(f"         {line}")
    if not ok:
        raise typer.Exit(Exit.BROKEN)


def migrate() -> None:
    """Bring the database to this version's tables. `moqi serve` does so by itself."""
    from storage.migrations import current

    with common.database() as db:
        print(f"{db.url.render_as_string()}: {current(db.url)}")
