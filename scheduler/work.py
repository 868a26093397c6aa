"""What a worker and its runners agree on: the job at hand, its way to stop, and what running it may give back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from inference.moderation import Verdict
from scheduler.queue import Failure
from storage.records import Job, Kind

if TYPE_CHECKING:  # for its name only
    from PIL.Image import Image


class Stop:
    """Whether a running job is no longer wanted. Set from the loop, read from any thread."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """The job is to stop at its next step."""
        self._set = True

    def __bool__(self) -> bool:
        return self._set


@dataclass(frozen=True, slots=True)
class Task:
    """One job being run."""

    job: Job
    stop: Stop = field(default_factory=Stop)
    #: Told by the runner once its engine has done its part and only the rest is left: another batch may begin.
    freed: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """The job's result: what its row keeps, the engine's seconds for it, and the tokens a language model took."""

    result: dict[str, Any]
    took: float
    tokens: int = 0  # read and written; 0 = the price is what was held
    assets: tuple[NewAsset, ...] = ()
    held: tuple[Verdict, ...] = ()  # why a reviewer has to see it before it is delivered; empty = nobody has to


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAsset:
    """A file that was written and needs its row."""

    sha256: str
    media_type: str
    size: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The job was stopped on its owner's wish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Busy:
    """The engine takes no more at the moment: the job waits on, in its old place."""


Outcome = Success | Failure | Stopped | Busy


class Judge(Protocol):
    """Decides what becomes of finished pictures."""

    async def order(self, job: Job) -> Verdict | None:
        """What is to happen with the job before anything is drawn; None = nothing."""

    def unseen(self, job: Job) -> bool:
        """Whether nobody may see the job's pictures before they were judged."""

    async def verdicts(self, job: Job, images: Sequence[Image]) -> Sequence[Verdict]:
        """What is to happen with the pictures of a job: those verdicts that do not just let them through."""


class Runner(Protocol):
    """Runs the jobs of one kind."""

    @property
    def kind(self) -> Kind: ...

    @property
    def parallel(self) -> int:
        """How many batches may occupy the engine at once. One more may be at what comes after (Task.freed)."""

    def room(self, head: Job) -> int:
        """How many members a batch led by this job may have."""

    async def ready(self) -> bool:
        """Whether work may be claimed now (the engine is loaded)."""

    async def run(self, batch: Sequence[Task]) -> list[Outcome]:
        """Run a batch; one outcome per task, in order. Raises only for defects."""
