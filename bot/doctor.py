"""What `moqi doctor` looks at: each check says what is wrong and the next step. It changes nothing and loads no model.

What is only worth knowing (no GPU, nothing indexed yet) is an `ok` check with a detail: not ok means that something
needed is broken.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bot.settings import Environment, Settings, SettingsError, load
from inference.text.registry import TextOptions
from storage.errors import Locked, StorageError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from bot.models import Shelf
    from inference.images.registry import Choice

OLDEST_PYTHON = (3, 11)
LEAST_SPACE = 1_000_000_000  # bytes: pictures, answers and the database's log need room to grow
NAME_REVIEWER = "Name somebody: moqi role set <platform>:<user id> reviewer"
PATIENCE = 5.0  # seconds for each question asked of another program

#: Packages by the extra that brings them.
PACKAGES = {
    "image": ("torch", "diffusers", "transformers", "accelerate", "peft", "safetensors"),
    "feishu": ("cryptography", "lark_oapi", "websockets"),
    "wecom": ("cryptography", "websockets", "wechatpy"),
    "postgres": ("psycopg",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool = True
    detail: str = ""  # what was found, for people
    problem: str = ""  # empty when ok
    next_step: str = ""  # what to do about the problem; of an ok check, what else to see to


def failed(name: str, problem: str, next_step: str) -> Check:
    """A check that found something broken."""
    return Check(name=name, ok=False, problem=problem, next_step=next_step)


def examine(environment: Environment, environ: Mapping[str, str], host: str, port: int) -> Iterator[Check]:
    """Every check, one after another. Without settings that can be read, only what does not depend on them."""
    from bot.feishu_doctor import feishu
    from bot.search_doctor import search
    from bot.url_doctor import pages
    from bot.wecom_doctor import wecom
    from bot.wiki_doctor import wiki

    yield python(sys.version_info[:2])
    try:
        settings = load(environment.config, environ)
    except SettingsError as error:
        yield failed("settings", str(error), "Correct the lines named; `moqi config check` looks again.")
    except OSError as error:
        step = "Give the user that runs Moqi the right to read it, or name another folder with MOQI_CONFIG."
        yield failed("settings", f"{error.filename} cannot be read: {error.strerror}.", step)
    else:
        yield Check(name="settings", detail=f"{settings.folder} ({settings.hash})")
        yield packages("image")
        yield image_model(settings, environment)
        yield from style_adapters(settings, environment)
        yield text_model(settings)
        yield from gpu_memory(settings, environment)
        yield from search(settings)
        yield labels(settings)
        yield knowledge_sources(settings)
        yield from pages(settings)
        yield from moderation(settings, environment)
        yield from feishu(settings)
        yield from wiki(settings)
        yield from wecom(settings, environment)
    yield data_folder(environment.data)
    yield files_folder(environment.data / "files")
    yield from database(environment)
    yield listening(environment.data, host, port)
    yield gpu()


# --- the machine ------------------------------------------------------------------------------------------------


def python(running: tuple[int, int]) -> Check:
    """The interpreter."""
    if running < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return failed("python", f"Python {platform.python_version()} is too old.", f"Install Python {oldest} or newer.")
    return Check(name="python", detail=f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def packages(extra: str, find: Callable[[str], object] = find_spec) -> Check:
    """The packages of an extra are installed. They are looked for, never imported: torch alone takes seconds."""
    missing = [name for name in PACKAGES[extra] if find(name) is None]
    name = f"packages for {extra}"
    if missing:
        return failed(name, f"Not installed: {', '.join(missing)}.", f"pip install 'moqi[{extra}]'")
    return Check(name=name, detail=", ".join(f"{one} {_version(one)}" for one in PACKAGES[extra]))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(no version)"


def gpu(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Check:
    """What will compute. Without a GPU everything works, slowly."""
    slow = "no NVIDIA GPU seen: pictures are drawn on the processor, slowly"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Check(name="gpu", detail="Apple GPU")
    if shutil.which("nvidia-smi") is None:
        return Check(name="gpu", detail=slow)
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name="gpu", detail=f"{slow} (nvidia-smi: {error})")
    found = "; ".join(answer.stdout.split("\n")).strip("; ")
    return Check(name="gpu", detail=found if answer.returncode == 0 and found else f"{slow} (nvidia-smi: {found})")


def listening(data: Path, host: str, port: int) -> Check:
    """The port is free, or our own server listens on it."""
    served = server(data)
    if served is not None and served.port:
        return Check(name="port", detail=f"Moqi serves port {served.port} (process {served.pid})")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            what = getattr(error, "strerror", None) or str(error)
            step = f"End what listens there, or choose another port: moqi serve --port {min(port + 1, 65535)}"
            return failed("port", f"Cannot listen on {host}:{port}: {what}.", step)
    return Check(name="port", detail=f"{host}:{port} is free")


def server(data: Path) -> Locked | None:
    """Who serves the data folder; None = nobody."""
    from storage.database import data_lock

    if not os.access(data / "moqi.lock", os.W_OK):
        return None  # nobody ever served it, or the folder is not ours, which has a check of its own
    try:
        with data_lock(data):
            return None
    except Locked as error:
        return error


# --- what is kept -----------------------------------------------------------------------------------------------


def data_folder(folder: Path) -> Check:
    """The data folder can be written, and its disk has room."""
    place = _nearest(folder)
    if not place.is_dir():
        return failed("data folder", f"{place} is not a folder.", "Name another data folder with MOQI_DATA.")
    if not os.access(place, os.W_OK | os.X_OK):
        step = "Give the user that runs Moqi the right to write there, or name another folder with MOQI_DATA."
        return failed("data folder", f"{place} cannot be written.", step)
    free = shutil.disk_usage(place).free
    if free < LEAST_SPACE:
        problem = f"Only {free / 1e6:,.0f} MB are free on the disk of {folder}."
        return failed("data folder", problem, f"Free some: Moqi wants {LEAST_SPACE / 1e9:.0f} GB.")
    made = "" if folder.exists() else ", made at the first start"
    return Check(name="data folder", detail=f"{folder.absolute()}, {free / 1e9:,.0f} GB free{made}")


def _nearest(folder: Path) -> Path:
    """The folder, or what exists of the path to it."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def files_folder(folder: Path) -> Check:
    """Pictures can be kept."""
    if not folder.exists():
        return Check(name="files", detail="none yet")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        step = "Give the user that runs Moqi the right to write there."
        return failed("files", f"{folder} is not a folder that can be written.", step)
    return Check(name="files", detail=f"{sum(1 for _ in folder.glob('[0-9a-f][0-9a-f]/*')):,} files")


def database(environment: Environment) -> Iterator[Check]:
    """The database opens, is sound, and is of this version."""
    from bot.opening import database_of

    try:
        url = database_of(environment)
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite and not Path(url.database or "").exists():
            yield Check(name="database", detail=f"{url.database} is made at the first start")
            return
        if not sqlite:
            yield packages("postgres")
        yield _revision(url.render_as_string(hide_password=False), url.render_as_string())
        yield encryption(url)
    except StorageError as error:
        yield failed("database", error.problem, error.next_step)


def _revision(url: str, shown: str) -> Check:
    from storage.database import Database, damage
    from storage.documents import stats
    from storage.errors import NewerSchema
    from storage.migrations import current, revisions

    at, known = current(url), revisions()
    if at is not None and at not in known:
        raise NewerSchema(at)
    with Database.open(url) as db:
        harm = db.read_sync(damage)
        if harm:
            step = "Stop Moqi, keep a copy of the file, and restore a backup with: moqi restore FILE"
            return failed("database", f"The database is damaged: {harm[0]}.", step)
        if at != known[0]:
            step = "The next start brings it to this version's tables, or: moqi migrate (make a backup first)"
            return Check(name="database", detail=f"{shown}, revision {at or 'none'}", next_step=step)
        held = db.read_sync(stats)
    return Check(name="database", detail=f"{shown}, revision {at}, sound; {held.documents} documents to answer from")


def encryption(url: URL) -> Check:
    """Whether a copy of the database can be read. Not to be encrypted is no fault, unless the settings want it."""
    from storage.encryption import key_of, key_path

    name, key, path = "encryption", key_of(url), key_path(url)
    if url.get_backend_name() != "sqlite":
        return Check(name=name, detail="PostgreSQL is not encrypted by Moqi", next_step="Encrypt its server's disk.")
    if key is None or path is None:
        step = "To change that: moqi key new FILE, then moqi key encrypt."
        return Check(name=name, detail="none: whoever copies the database reads the documents in it", next_step=step)
    shared = path.stat().st_mode & 0o077
    step = f"Others on this machine may read it: chmod 600 {path}" if shared else ""
    return Check(name=name, detail=f"the database is encrypted with the key {key.id}, {path}", next_step=step)


# --- the engines ------------------------------------------------------------------------------------------------


def image_model(settings: Settings, environment: Environment) -> Check:
    """The checkpoint in use is whole."""
    from bot.models import Shelf
    from inference.images.preflight import preflight

    shelf = Shelf(settings, environment.data)
    choice, why = _in_use(shelf, environment)
    found = preflight(choice.path, dtype=settings.model.image.dtype)
    if not found.ok:
        problem = " ".join(one.problem for one in found.problems)
        return failed("image model", problem, found.problems[0].next_step)
    kind = "the built-in practice model" if choice.name == "builtin" else f"the configured model {choice.name}"
    step = "For real pictures, name a Z-Image-Turbo folder in model.yaml: image.path" if choice.builtin else ""
    size = f"{found.weight_bytes / 1e9:,.1f} GB" if found.weight_bytes >= 1e8 else f"{found.weight_bytes / 1e6:,.1f} MB"
    return Check(name="image model", detail=f"in use: {kind}, {size} ({why})", next_step=step)


def _in_use(shelf: Shelf, environment: Environment) -> tuple[Choice, str]:
    """The model that draws, and why: an admin's choice comes before model.yaml."""
    from bot.models import UnknownModel
    from bot.opening import chosen_model

    default = shelf.default()
    try:
        chosen = chosen_model(environment)
        choice = shelf.choice(chosen.name)
    except StorageError:
        return default, default.reason  # the database has a check of its own
    except UnknownModel as error:
        return default, f"{default.reason}; {error.name} was chosen and is gone"
    if not chosen.name:
        return choice, choice.reason
    at = "" if chosen.at is None else f" at {chosen.at.astimezone():%Y-%m-%d %H:%M}"
    return choice, f"chosen by {chosen.actor}{at}, before what model.yaml says"


def labels(settings: Settings) -> Check:
    """Where pictures bear no visible mark."""
    wanted = settings.policy.labels
    off = ["wherever nothing else is said" if one == "*" else one for one in wanted.off()]
    if not off:
        return Check(name="labels", detail=f"every picture bears {wanted.text}; made by {wanted.producer}")
    step = (
        "Switched off in policy.yaml (labels) and noted in the audit log: who offers pictures to the public needs it."
    )
    return Check(name="labels", detail=f"the visible mark is off: {', '.join(off)}", next_step=step)


def style_adapters(settings: Settings, environment: Environment) -> Iterator[Check]:
    """Every adapter that model.yaml names fits the model in use. Of a model that is broken itself nothing is said."""
    from bot.models import Shelf
    from bot.opening import load_options
    from inference.images.registry import styles

    shelf = Shelf(settings, environment.data)
    choice, _ = _in_use(shelf, environment)
    if not shelf.check(choice).ok:
        return
    found = styles(choice, load_options(settings, environment.data))
    for one in found.broken:
        yield failed(f"style {one.name}", one.problem.problem, one.problem.next_step)
    listed = ", ".join(f"{one.name} (rank {one.rank}, {one.size / 1e6:,.1f} MB)" for one in found.adapters)
    yield Check(name="styles", detail=listed or "none (image.adapters in model.yaml)")


def text_model(settings: Settings) -> Check:
    """The engine that answers is part of this release, and a server that is named has the model."""
    from bot.opening import text_options
    from inference.errors import InferenceError
    from inference.text.registry import chosen, open_text_model

    options = text_options(settings)
    more = ""
    try:
        open_text_model(options)
        if chosen(options) == "openai":
            more = asyncio.run(_served(options))
        if chosen(options) in ("vllm", "transformers") and options.path is not None:
            more = _whole(options.path)
        if chosen(options) == "vllm":
            more += _vllm()
    except InferenceError as error:
        return failed("text engine", error.problem, error.next_step)
    return Check(name="text engine", detail=f"in use: {chosen(options)}{more} (text.engine is {options.engine})")


def gpu_memory(settings: Settings, environment: Environment) -> Iterator[Check]:
    """Both engines fit on the card, where there is one."""
    from bot.models import Shelf
    from bot.sharing import present, summary

    choice, _ = _in_use(Shelf(settings, environment.data), environment)
    found = present(settings, choice, os.environ, ours=server(environment.data) is not None)
    if found is None:
        return
    if found.problem:
        yield failed("gpu memory", found.problem, found.next_step)
    else:
        yield Check(name="gpu memory", detail=f"{summary(found)} (moqi models memory)")


def _whole(path: Path) -> str:
    """Which checkpoint it is. Raises ModelUnavailable for one that cannot be loaded."""
    from inference.errors import ModelUnavailable
    from inference.text.local import preflight

    for one in preflight(path):
        raise ModelUnavailable(one.problem, one.next_step)
    return f", {path}"


def _vllm() -> str:
    """What is special about it here. Raises ModelUnavailable where it cannot be started or would outlive Moqi."""
    from inference.errors import ModelUnavailable
    from inference.text import vllm_engine

    if not vllm_engine.installed():
        raise ModelUnavailable("text.engine is vllm, which is not installed.", "pip install 'moqi[text]'")
    if not vllm_engine.guarded():
        problem = "Moqi is not installed as a package: vllm would outlive it and keep the GPU after a crash."
        raise ModelUnavailable(problem, "Install it with pip, or start it by `make run`.")
    return "" if vllm_engine.has_gpu() else "; no NVIDIA GPU seen, so it computes on the processor, slowly"


async def _served(options: TextOptions) -> str:
    """The model that the server is asked for. Raises TextError where it cannot be reached or has no such model."""
    from inference.errors import TextError
    from inference.text.registry import remote

    client = remote(options)
    try:
        found = await client.models()
    finally:
        await client.close()
    wanted = options.model or next(iter(found), "")
    if wanted not in found:
        served = ", ".join(found) or "none"
        raise TextError(f"{options.base_url} has no model {wanted!r}.", f"It serves: {served}. Set text.id to one.")
    return f", {wanted} at {options.base_url}"


def moderation(settings: Settings, environment: Environment) -> Iterator[Check]:
    """The check of pictures can be loaded, and somebody is there to decide about what is held."""
    from bot.opening import text_options
    from inference.images.classifier import examine
    from inference.text.registry import open_chat_model

    rules = settings.policy.moderation
    if rules.orders.model and open_chat_model(text_options(settings)) is None:
        step = "Set text.engine to openai, and text.base_url, in model.yaml; or moderation.orders.model to false."
        yield failed("order check", "policy.yaml has orders shown to a language model, and there is none.", step)
    if rules.pictures.path:
        folder = settings.path(rules.pictures.path)
        problem, next_step = examine(folder, rules.pictures.limits)
        shown = ", ".join(sorted(rules.pictures.limits.labels))
        detail = f"{folder} looks for {shown}"
        yield failed("picture check", problem, next_step) if problem else Check(name="picture check", detail=detail)
    if rules.holds:
        yield reviewers(environment)


def reviewers(environment: Environment) -> Check:
    """Whoever may decide about held pictures. A database that cannot be read has a check of its own."""
    from bot.opening import database_of
    from storage.database import Database
    from storage.users import reviewers as known

    name = "reviewers"
    try:
        url = database_of(environment)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return Check(name=name, detail="nobody yet", next_step=NAME_REVIEWER)
        with Database.open(url.render_as_string(hide_password=False)) as db:
            found = db.read_sync(known)
    except StorageError as error:
        return Check(name=name, detail=f"not known: {error.problem}")
    if not found:
        return failed(
            name, "policy.yaml has pictures held for review, and nobody may decide about them.", NAME_REVIEWER
        )
    return Check(name=name, detail=f"{len(found)} may decide about held pictures")


def knowledge_sources(settings: Settings) -> Check:
    """The folders that knowledge.yaml names are there and can be read."""
    paths = [settings.path(source.path) for source in settings.knowledge.folders]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        step = "Create it, mount it, or correct sources in knowledge.yaml."
        return failed("knowledge base", f"There is no {', '.join(missing)}.", step)
    shut = [str(path) for path in paths if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))]
    if shut:
        step = "Give the user that runs Moqi the right to read it."
        return failed("knowledge base", f"{', '.join(shut)} cannot be read: permission denied.", step)
    return Check(name="knowledge base", detail=", ".join(map(str, paths)) or "no folders in knowledge.yaml")
