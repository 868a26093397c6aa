"""Downloads a model from a Hugging Face-style hub: on `moqi models pull owner/name`, and never at any other time.

The address and the token are the environment's (HF_ENDPOINT, HF_TOKEN). A download that ended early goes on where it
stood; nothing of it is used before every file has the size and the SHA-256 that the hub says.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from inference.errors import PullError
from inference.images.store import resave
from inference.images.store.parts import Found, Part, belongs
from inference.images.store.pull import MARGIN

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@contextmanager
def downloaded(store: Path, name: str, revision: str | None = None) -> Iterator[Found]:
    """The model `name` (owner/name) of the hub, fetched beside the store's models. Raises PullError.

    What was fetched is removed once the block ends well, and kept for the next try otherwise.
    """
    hub = _hub()
    with _errors(name, hub):
        info = hub.HfApi().model_info(name, revision=revision, files_metadata=True)
    wanted = [one for one in info.siblings or () if _wanted(one.rfilename)]
    folder = store / f".{name.replace('/', '--')}.download"
    _require_space(store, name, wanted)
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _errors(name, hub):
        hub.snapshot_download(
            name,
            revision=info.sha,
            local_dir=folder,
            cache_dir=folder / ".cache",
            allow_patterns=[one.rfilename for one in wanted],
        )
    parts = [_part(folder, one) for one in wanted]
    short = name.rpartition("/")[2]
    yield Found(source=name, revision=str(info.sha), name=short, parts=tuple(parts), folder=folder)
    shutil.rmtree(folder, ignore_errors=True)


def _hub() -> Any:
    """The client library, silent unless a person looks on."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise PullError("Downloading a model needs huggingface_hub.", "Install moqi[image].") from error
    hub: Any = huggingface_hub
    if not sys.stderr.isatty():
        hub.utils.disable_progress_bars()
    return hub


def _wanted(path: str) -> bool:
    """A hub's files that could run code are left there; if nothing else is there, something is missing afterwards."""
    try:
        return belongs(path)
    except PullError:
        return False


def _part(folder: Path, sibling: Any) -> Part:
    file = folder / sibling.rfilename
    return Part(
        path=sibling.rfilename,
        size=file.stat().st_size,
        open=partial(file.open, "rb"),
        sha256=sibling.lfs.sha256 if sibling.lfs else "",
        file=file,
    )


def _require_space(store: Path, name: str, wanted: list[Any]) -> None:
    """Before anything is fetched: what is stored smaller stands beside its download for a while."""
    sizes = {one.rfilename: one.size or 0 for one in wanted}
    smaller = sum(size for path, size in sizes.items() if path.partition("/")[0] in resave.COMPONENTS) // 2
    place = next(one for one in (store, *store.parents) if one.exists())
    needed, free = sum(sizes.values()) + smaller + MARGIN, shutil.disk_usage(place).free
    if needed > free:
        raise PullError(
            f"{name} takes {needed / 1e9:,.1f} GB while it is fetched, and {free / 1e9:,.1f} GB are free on the disk "
            f"of {place}.",
            "Free some space, or move the data folder to a larger disk (MOQI_DATA).",
        )


@contextmanager
def _errors(name: str, hub: Any) -> Iterator[None]:
    errors, endpoint = hub.errors, hub.constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError as error:
        step = "Accept its terms on its page and put your token into HF_TOKEN."
        raise PullError(f"{endpoint} gives {name} only to those who may have it.", step) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        step = "Check the name and --revision; what is private needs HF_TOKEN."
        raise PullError(f"{endpoint} has no {name} of this revision.", step) from error
    except errors.OfflineModeIsEnabled as error:
        step = "Take HF_HUB_OFFLINE=1 out of the environment for this command, or pull from a folder."
        raise PullError("HF_HUB_OFFLINE forbids asking the hub.", step) from error
    except (OSError, ValueError, errors.HfHubHTTPError, *_transport()) as error:
        step = "Check the connection and HF_ENDPOINT, then pull again: it goes on where it stood."
        raise PullError(f"{name} cannot be fetched from {endpoint}: {error}", step) from error


def _transport() -> tuple[type[Exception], ...]:
    """What the client library's own HTTP client raises: which one that is depends on its version."""
    found = []
    for module in ("httpx", "httpx2", "requests"):
        loaded = sys.modules.get(module)
        error = getattr(loaded, "HTTPError", None) or getattr(loaded, "RequestException", None)
        found += [error] if error is not None else []
    return tuple(found)
