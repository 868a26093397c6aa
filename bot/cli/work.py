"""`moqi draw` and `moqi ask`: the chat's commands, through the same queue and quotas, from a terminal.

While a server runs on the data folder, it does the work and this process watches the job's row; otherwise, and from
the moment the other one ends, this process serves the queue itself until its own job is done.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed
from bot.cli.like import order
from storage.records import Kind

if TYPE_CHECKING:
    from bot.services import Services
    from storage.records import InboxEntry, Job

T = TypeVar("T")

LOOK = 0.05  # seconds between two looks at the job's row


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("draw", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(draw)
    app.command("ask")(ask)


def draw(
    context: typer.Context,
    prompt: Annotated[
        str, typer.Argument(help="What to draw, with the chat's flags: 一只猫 --size 512x512 --seed 7")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; several pictures become NAME-1, NAME-2 …")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell price, place and waiting time.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Picture to draw from: a file, or a job's picture like 17 or 17.2.", metavar="FILE"
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", help="Draw a picture of Moqi's again, by the recipe in its file.", metavar="FILE"),
    ] = None,
) -> None:
    """Draw a picture into a file."""
    if not prompt and like is None:
        raise Failed("say what to draw, or name a picture to draw again: --like FILE", Exit.USAGE)
    flag, given = _source(source)
    said = " ".join(filter(None, (prompt, *context.args, flag)))
    text = f"/draw {said if like is None else order(like, said)}"
    asked = _asks_only(text)
    if dry_run or asked:
        print(asyncio.run(_ask_about(text if asked else f"{text} --dry-run", given)))
        return
    if out is None:
        raise Failed("name the file to write: -o picture.png", Exit.USAGE)
    _check_target(out)
    job, services_files = asyncio.run(_order(text, Kind.DRAW, not as_json, _read_pictures, given))
    files = _write(out, services_files)
    result = job.result or {}
    summary = {
        "job": job.id,
        "seed": result["seeds"][0],
        "size": f"{job.params['width']}x{job.params['height']}",
        "steps": job.params["steps"],
        "model": result["model"],
        "seconds": result["seconds"],
        "files": [str(path) for path in files],
    }
    if as_json:
        common.show_json(summary)
    else:
        print(f"{', '.join(summary['files'])}  ({summary['size']}, seed {summary['seed']}, {summary['seconds']} s)")
        _remark(job)


def _source(written: str | None) -> tuple[str, bytes]:
    """The chat's flag for what --from names, and the file's bytes where it is one."""
    from inference.images.source import MAX_BYTES

    if written is None:
        return "", b""
    path = Path(written).expanduser()
    if not path.is_file():
        if written.replace(".", "", 1).lstrip("#").isdigit():
            return f"--from {written}", b""
        raise Failed(f"there is no file {written}: name a picture, or a job's like 17 or 17.2", Exit.USAGE)
    if path.stat().st_size > MAX_BYTES:
        raise Failed(f"{written} is larger than {MAX_BYTES // 1_000_000} MB: choose a smaller picture", Exit.USAGE)
    try:
        return "--from", path.read_bytes()
    except OSError as error:
        raise Failed(f"cannot read {written}: {error.strerror}", Exit.USAGE) from error


def _asks_only(text: str) -> bool:
    """Whether --dry-run stands within the quotes of the prompt, like the chat's other flags."""
    from bot.commands.flags import take_flags
    from bot.commands.values import Mistake

    try:
        return "dry-run" in take_flags(text).flags
    except Mistake:  # said later, by the one who reads the whole command
        return False


def _remark(job: Job) -> None:
    """Say on stderr what the practice model did not know, in the words of the chat."""
    from bot.replies import Words, practice_remark

    if said := practice_remark(job, Words(common.settings().interface.language)):
        print(said, file=sys.stderr)


def ask(
    question: Annotated[str, typer.Argument(help="What to ask the knowledge base.")],
    kb: Annotated[str, typer.Option("--kb", help="Look through the source of this name alone.", metavar="NAME")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Answer a question from the knowledge base, with sources."""
    named = f'--kb "{kb}" ' if kb else ""
    job, _ = asyncio.run(_order(f"/ask {named}{question}", Kind.ASK, not as_json, _read_nothing))
    result = job.result or {}
    if as_json:
        marks = ("mark", "document", "passage", "quote")
        cited = [{name: citation[name] for name in marks} for citation in result["citations"]]
        common.show_json({"answer": result["text"], "grounded": result["grounded"], "citations": cited})
        return
    print(result["text"])
    for citation in result["citations"]:
        heading = f" › {citation['heading']}" if citation["heading"] else ""
        print(f"  [{citation['mark']}] {citation['document']}{heading}")


async def _order(
    text: str, kind: Kind, chatty: bool, fetch: Callable[[Services, Job], list[bytes]], given: bytes = b""
) -> tuple[Job, list[bytes]]:
    """Say `text` as the terminal's person, wait for the job it makes, and return it with what `fetch` reads.

    `given` is a picture that comes with it.
    """
    return await _served(kind, lambda services: _follow(services, text, chatty, fetch, given))


async def _ask_about(text: str, given: bytes) -> str:
    """Say `text` and return what is answered; a refusal ends the command."""

    async def answer(services: Services) -> str:
        entry = await _heard(services, text, given)
        if entry.outcome != "reply":
            raise Failed(await _said(services, entry.id), _exit_of(services, entry.outcome))
        return await _said(services, entry.id)

    return await _served(Kind.DRAW, answer)


async def _served(kind: Kind, act: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
    """Do something while the queue is served, here or elsewhere."""
    from storage.errors import StorageError

    try:
        async with _open(kind) as (services, serving):
            ordering = asyncio.create_task(act(services))
            await asyncio.wait({ordering, serving}, return_when=asyncio.FIRST_COMPLETED)
            if not ordering.done():
                ordering.cancel()
                serving.result()  # it only ends early by an error
            return await ordering
    except StorageError as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error


async def _follow(
    services: Services, text: str, chatty: bool, fetch: Callable[[Services, Job], list[bytes]], given: bytes
) -> tuple[Job, list[bytes]]:
    job_id = await _say(services, text, given)
    with _shown(chatty) as show:
        job = await _wait(services, job_id, show)
    return job, await asyncio.to_thread(fetch, services, job)


@asynccontextmanager
async def _open(kind: Kind) -> AsyncIterator[tuple[Services, asyncio.Task[None]]]:
    """The program's parts, and the task that serves the queue as soon as nobody else does."""
    from bot.current import Current
    from bot.opening import open_database
    from bot.services import Services

    environment = common.environment()
    current = Current(common.settings(), os.environ)
    async with open_database(environment) as db:
        services = Services(current, environment, db)
        await services.note_labels()
        done = asyncio.Event()
        serving = asyncio.create_task(_serve(services, kind, done))
        try:
            yield services, serving
        finally:
            done.set()
            await asyncio.wait({serving})


async def _serve(services: Services, kind: Kind, done: asyncio.Event) -> None:
    """Serve the queue until `done`, once the data folder is free: while a server holds it, that one does the work."""
    from bot.services import serving
    from storage.database import data_lock
    from storage.errors import Locked

    while not done.is_set():
        try:
            with data_lock(services.environment.data):
                async with serving(services, kinds=(kind,)):
                    await done.wait()
        except Locked:
            await asyncio.sleep(LOOK)


async def _say(services: Services, text: str, given: bytes) -> int:
    """Say something that orders a job; returns its number, or ends the command."""
    entry = await _heard(services, text, given)
    if entry.outcome.startswith("job:"):
        return int(entry.outcome.removeprefix("job:"))
    raise Failed(await _said(services, entry.id), _exit_of(services, entry.outcome))


async def _heard(services: Services, text: str, given: bytes) -> InboxEntry:
    """Put the command through the inbox like any other message; returns it once it was dealt with."""
    from bot.events import ChatEvent
    from storage import inbox
    from storage.records import ChatType, Identity, Origin, utcnow

    name = getpass.getuser()
    key = uuid.uuid4().hex
    event = ChatEvent(
        platform="terminal",
        key=key,
        kind="message",
        sender=Identity(platform="terminal", external_id=name),
        sender_name=name,
        origin=Origin(platform="terminal", chat_id=name, chat_type=ChatType.DIRECT, message_id=key, sender=name),
        at=utcnow(),
        text=text,
        value={"picture": await _kept(services, given)} if given else {},
        mentioned=True,
    )
    await services.inbox.accept(event)
    while True:
        entry = await services.db.read(inbox.find, "terminal", key)
        if entry is not None and entry.handled_at is not None:
            return entry
        await asyncio.sleep(LOOK)


async def _kept(services: Services, given: bytes) -> str:
    from bot.enclosures import keep_picture
    from inference.errors import BadSource

    try:
        return await keep_picture(services.db, services.files, given)
    except BadSource as error:
        raise Failed(str(error), Exit.USAGE) from error


async def _said(services: Services, entry_id: int) -> str:
    """What the chat would have been told instead of a job."""
    from sqlalchemy import Connection, select

    from bot.reply import Reply
    from storage.tables import outbox

    def body(conn: Connection) -> Any:
        return conn.execute(select(outbox.c.body).where(outbox.c.key == f"event-{entry_id}")).scalar_one()

    reply = Reply.from_json(await services.db.read(body))
    fields = (f"  {name}: {value}" for name, value in reply.fields)
    return "\n".join(filter(None, (reply.title, reply.text, *fields, reply.note)))


def _exit_of(services: Services, outcome: str) -> Exit:
    code = outcome.removeprefix("refused:")
    if services.house().words.knows(f"usage.{code}"):
        return Exit.USAGE
    return Exit.UNAVAILABLE if code == "image_model_unavailable" else Exit.REFUSED


async def _wait(services: Services, job_id: int, show: Callable[[Any], None]) -> Job:
    """The job once it has ended well; anything else ends the command."""
    from storage import jobs
    from storage.records import JobState

    while True:
        job = await services.db.read(jobs.get, job_id)
        if job is None:
            raise Failed(f"job {job_id} does not exist any more", Exit.UNAVAILABLE)
        if job.state is JobState.DONE:
            return job
        if job.state is JobState.REVIEW:
            said = f"job {job_id} is drawn and waits for a reviewer: `moqi jobs show {job_id}` says what was decided"
            raise Failed(said, Exit.REFUSED)
        if job.state.terminal:
            raise Failed(_why(services, job), Exit.UNAVAILABLE)
        if (problem := services.device.problem) and job.kind == "draw":
            raise Failed(str(problem), Exit.UNAVAILABLE)
        show(services.feed.latest(job_id))
        await asyncio.sleep(LOOK)


def _why(services: Services, job: Job) -> str:
    from bot.replies import job_reply

    reply = job_reply(job, services.house().words)
    return "\n".join(filter(None, (reply.title, reply.text, job.cause or "")))


@contextmanager
def _shown(chatty: bool) -> Any:
    """A progress bar on a terminal; nothing else where a program reads."""
    if not (chatty and sys.stderr.isatty()):
        yield lambda item: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("排队中", total=None)

        def show(item: Any) -> None:
            if item is not None and item.total:
                bar.update(task, description="绘制中", completed=item.done, total=item.total)

        yield show


def _read_pictures(services: Services, job: Job) -> list[bytes]:
    from bot.showing import space_of
    from storage import assets

    space = space_of(job.origin)
    return [services.showing.picture(asset, space) for asset in services.db.read_sync(assets.of_job, job.id)]


def _read_nothing(services: Services, job: Job) -> list[bytes]:
    return []


def _check_target(out: Path) -> None:
    """Find out before anything is drawn and charged whether the picture can be written."""
    if not out.absolute().parent.is_dir():
        raise Failed(f"the folder of {out} does not exist: create it, or choose another file", Exit.USAGE)
    if out.is_dir() or not os.access(out if out.exists() else out.absolute().parent, os.W_OK):
        raise Failed(f"{out} cannot be written: choose another file", Exit.USAGE)


def _write(out: Path, pictures: list[bytes]) -> list[Path]:
    """Write the pictures; a format other than PNG by the file's ending."""
    paths = [out] if len(pictures) == 1 else [out.with_stem(f"{out.stem}-{n}") for n in range(1, len(pictures) + 1)]
    try:
        for path, data in zip(paths, pictures, strict=True):
            path.write_bytes(data)
    except OSError as error:
        raise Failed(f"cannot write {error.filename}: {error.strerror}", Exit.UNAVAILABLE) from error
    return paths
