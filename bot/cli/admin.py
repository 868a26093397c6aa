"""`moqi token …` and `moqi audit …`: who gets in, and what was done."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from storage.audit import Head
    from storage.records import User
    from storage.tokens import Token

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
LOGIN_DAYS = 7  # a login token that nobody used by then is forgotten


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    token = typer.Typer(help="Secrets that stand for a person.", no_args_is_help=True, rich_markup_mode=None)
    token.command("create")(create)
    token.command("list")(list_tokens)
    token.command("revoke")(revoke)
    app.add_typer(token, name="token")
    audit = typer.Typer(help="Who did what, in a chain of hashes.", no_args_is_help=True, rich_markup_mode=None)
    audit.command("list")(entries)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit")


def create(
    who: Annotated[str, typer.Argument(help="<platform>:<user id>, for example web:alice, or a name.", metavar="WHO")],
    purpose: Annotated[
        str,
        typer.Option(help="api = for programs; login = lets somebody back into the web chat under their name, once."),
    ] = "api",
    note: Annotated[str, typer.Option(help="What it is for, in your words.")] = "",
    days: Annotated[
        int | None, typer.Option(help="Days until it ends; 0 = never. Left out: api never, login 7.", min=0, max=36500)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a secret that stands for a person. It is shown this once and cannot be read again."""
    from bot import manage
    from storage.records import utcnow

    if purpose not in manage.PURPOSES:
        raise Failed(f"{purpose!r} is no purpose: write {' or '.join(manage.PURPOSES)}.", Exit.USAGE)
    now = utcnow()
    lasts = days if days is not None else (LOGIN_DAYS if purpose == "login" else 0)
    expires = now + timedelta(days=lasts) if lasts else None

    def act(conn: Connection) -> tuple[User, str, Token]:
        person = manage.find_or_make(conn, who, now)
        return (person, *manage.create_token(conn, common.actor(), person, purpose, note, now, expires))

    with common.database() as db:
        person, secret, token = common.change(db, act)
    if as_json:
        common.show_json({**_json(token, person.name), "secret": secret})
        return
    until = f"until {common.moment(expires)}" if expires else "until it is revoked"
    use = "Enter it on the sign-in page; it works once" if purpose == "login" else "Send it as Authorization: Bearer"
    print(f"Token {token.id} for {person.name}, {until}. {use}. It is shown this once:", file=sys.stderr)
    print(secret)


def list_tokens(
    who: Annotated[str, typer.Option(help="Only of this person.")] = "",
    purpose: Annotated[str, typer.Option(help="Only these: api, login or session (a signed-in browser).")] = "",
    as_json: AsJson = False,
) -> None:
    """List the secrets given out, newest first; the secrets themselves are not kept."""
    with common.database() as db:
        found = common.look(db, _tokens, who, purpose)
    if as_json:
        common.show_json([_json(token, name) for token, name in found])
        return
    rows = [
        (token.id, name, token.purpose, token.note, common.moment(token.created_at), _state(token))
        for token, name in found
    ]
    common.show_table(("token", "who", "purpose", "note", "made", "state"), rows, "No tokens.")


def revoke(
    token_id: Annotated[
        int, typer.Argument(help="Number of the token, as `moqi token list` shows it.", metavar="TOKEN")
    ],
) -> None:
    """End a secret at once."""
    from bot import manage
    from storage.records import utcnow

    with common.database() as db:
        common.change(db, manage.revoke_token, common.actor(), token_id, utcnow())
    print(f"token {token_id} is revoked")


def entries(
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many, newest first.", min=1)] = 50,
    actor: Annotated[str, typer.Option(help="Only by this actor, for example user:3 or cli:root.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, for example quota.set.")] = "",
    subject: Annotated[str, typer.Option(help="Only about this, for example job:7.")] = "",
    as_json: AsJson = False,
) -> None:
    """List what was done, newest first."""
    from storage import audit

    with common.database() as db:
        found = db.read_sync(audit.entries, limit, actor=actor, action=action, subject=subject)
    if as_json:
        names = ("seq", "actor", "action", "subject", "detail", "hash")
        common.show_json([{"at": common.iso(e.at), **{name: getattr(e, name) for name in names}} for e in found])
        return
    rows = [
        (
            e.seq or "",
            common.moment(e.at),
            e.actor,
            e.action,
            e.subject,
            " ".join(f"{k}={v}" for k, v in e.detail.items()),
        )
        for e in found
    ]
    common.show_table(("no.", "when", "actor", "action", "subject", "detail"), rows, "No entries.")


def verify(
    head: Annotated[
        str, typer.Option(help="NUMBER:HASH printed earlier and kept elsewhere: proves that nothing was written anew.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check the chain of hashes; exit 1 when an entry was changed, moved or left out."""
    from storage import audit

    known = _head(head) if head else None
    with common.database() as db:
        broken = db.read_sync(audit.verify, known)
        end = db.read_sync(audit.head)
    if as_json:
        common.show_json({"ok": not broken, "head": {"seq": end.seq, "hash": end.hash}, "broken": broken})
    else:
        print("unbroken" if not broken else "BROKEN", f"({end.seq} entries, head {end.seq}:{end.hash})")
        for line in broken:
            print(f"  {line}")
    if broken:
        raise typer.Exit(Exit.BROKEN)


def _head(text: str) -> Head:
    from storage.audit import Head

    seq, _, value = text.partition(":")
    if not (seq.isascii() and seq.isdigit() and len(value) == 64):
        raise Failed(f"{text!r} is no head: write it as `moqi audit verify` printed it, NUMBER:HASH.", Exit.USAGE)
    return Head(seq=int(seq), hash=value)


def _tokens(conn: Connection, who: str, purpose: str) -> list[tuple[Token, str]]:
    from bot import manage
    from storage import tokens, users

    user_id = manage.find(conn, who).id if who else None
    found = tokens.list_tokens(conn, user_id, purpose or None)
    people = {token.user_id: users.get(conn, token.user_id) for token in found}
    return [(token, person.name if (person := people[token.user_id]) else "") for token in found]


def _state(token: Token) -> str:
    from storage.records import utcnow

    if token.revoked_at:
        return f"ended {common.moment(token.revoked_at)}"
    if token.expires_at is None:
        return "works"
    word = "works until" if token.expires_at > utcnow() else "expired"
    return f"{word} {common.moment(token.expires_at)}"


def _json(token: Token, who: str) -> dict[str, Any]:
    return {
        "token": token.id,
        "who": who,
        "purpose": token.purpose,
        "note": token.note,
        "created_at": common.iso(token.created_at),
        "expires_at": common.iso(token.expires_at),
        "revoked_at": common.iso(token.revoked_at),
    }
