"""Pictures: jobs to members of forward passes, passes to files. What fails, fails alone; what fits, shares.

A pass that runs out of memory is tried again in halves, and the size that worked is remembered. A pass that fails for
another reason is tried again one picture at a time, so that nobody pays for a neighbour's defect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from PIL.Image import Image

from inference.device import ImageDevice
from inference.errors import (
    BadAdapter,
    BadImageRequest,
    BadSource,
    ImageError,
    InferenceError,
    ModelUnavailable,
    NotFinite,
    OutOfMemory,
    PromptTooLong,
)
from inference.images.batching import BatchLimit
from inference.images.finish import finish
from inference.images.model import ModelCard, Taker
from inference.images.pricing import weight
from inference.images.recipe import Recipe
from inference.images.registry import Choice, LoadOptions
from inference.images.source import fitted
from inference.moderation import Decision, Verdict
from inference.requests import ImageRequest
from inference.results import ImageResult
from scheduler.estimate import AT_ONCE
from scheduler.fairness import pictures
from scheduler.progress import Progress, ProgressFeed
from scheduler.queue import Failure
from scheduler.work import Judge, NewAsset, Outcome, Stopped, Success, Task
from storage.errors import DiskFull, Missing, StorageError
from storage.faults import point
from storage.files import Files
from storage.records import Job, Kind, Origin, utcnow

#: The sentence a person gets for each error of the engine.
CODES: dict[type[InferenceError], str] = {
    BadImageRequest: "bad_request",
    BadSource: "bad_source",
    BadAdapter: "bad_adapter",
    PromptTooLong: "prompt_too_long",
    OutOfMemory: "out_of_memory",
    NotFinite: "not_finite",
    ModelUnavailable: "model_unavailable",
}


#: Makes of a running picture, a JPEG, what is shown in a chat.
Show = Callable[[bytes, Origin], bytes]

LONG = 3.0  # seconds that a forward pass takes, at least, to be worth previews


def as_it_is(jpeg: bytes, origin: Origin) -> bytes:
    return jpeg


@dataclass(slots=True)
class Member:
    """One picture of one job."""

    task: Task
    index: int
    request: ImageRequest
    result: ImageResult | None = None
    error: InferenceError | None = None


@dataclass(slots=True)
class Strip:
    """A job's pictures and the time the engine spent on them."""

    task: Task
    card: ModelCard  # of the model that draws them: another may be there when they are filed
    members: list[Member] = field(default_factory=list)
    seconds: float = 0.0
    failure: Failure | None = None  # it could not even begin
    order: Verdict | None = None  # of what was ordered, where it was judged


class NobodyWatches:
    """For a pass that belongs to no job."""

    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        """Nobody is told."""

    def preview(self, index: int) -> Taker | None:
        return None


class PassWatch:
    """Ties the members of one forward pass to their jobs: who left, how far it is, and what it looks like so far."""

    def __init__(
        self,
        members: Sequence[Member],
        feed: ProgressFeed,
        *,
        previews: bool = False,
        show: Show = as_it_is,
        unseen: Callable[[Job], bool] = lambda job: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = members
        self._feed = feed
        self._clock = clock
        self._began = clock()
        self._done, self._total = 0, 1
        #: One picture of each job is shown: its first in this pass.
        self._firsts = {member.task.job.id: place for place, member in reversed(list(enumerate(members)))}
        self._previews = previews
        self._show = show
        self._unseen = unseen
        self._latest: dict[int, Progress] = {}  # by job

    def cancelled(self, index: int) -> bool:
        return bool(self._members[index].task.stop)

    def step(self, index: int, done: int, total: int) -> None:
        self._done, self._total = done, total
        member = self._members[index]
        job = member.task.job
        count, before = pictures(job), self._latest.get(job.id)
        self._publish(
            Progress(
                job=job.id,
                user_id=job.user_id,
                done=member.index * total + done,
                total=count * total,
                preview=before.preview if before else b"",
            )
        )

    def preview(self, index: int) -> Taker | None:
        """For what takes long: a picture that is there in a moment needs none before."""
        job = self._members[index].task.job
        wanted = self._previews and self._firsts[job.id] == index and not self._unseen(job)
        seconds = (self._clock() - self._began) * self._total / max(1, self._done)
        return partial(self._take, index) if wanted and seconds >= LONG else None

    def _take(self, index: int, jpeg: bytes) -> None:
        job = self._members[index].task.job
        self._publish(replace(self._latest[job.id], preview=self._show(jpeg, job.origin)))

    def _publish(self, item: Progress) -> None:
        self._latest[item.job] = item
        self._feed.publish(item)


class DrawRunner:
    """Runs draw jobs: one batch at a time, because one thread owns the device."""

    kind = Kind.DRAW
    parallel = AT_ONCE[Kind.DRAW]

    def __init__(
        self,
        device: ImageDevice,
        files: Files,
        feed: ProgressFeed,
        previews: Callable[[], bool] = lambda: False,
        producer: Callable[[], str] = lambda: "moqi",
        show: Show = as_it_is,
        version: str = "",
        judge: Judge | None = None,
        turn: Callable[[], bool] = lambda: True,
    ) -> None:
        """`previews` says whether running pictures are to be shown, `show` makes of them what is shown in a chat.

        `producer` is who makes the pictures and `version` what with, for what their files say; `judge` says what
        becomes of them; `turn` whether pictures have the memory they need.
        """
        self._turn = turn
        self._version = version
        self._judge = judge
        self._previews = previews
        self._producer = producer
        self._show = show
        self._device = device
        self._files = files
        self._feed = feed
        self._halved = BatchLimit()  # what ran out of memory in this process
        self._busy = asyncio.Lock()  # one model draws a batch from its first picture to its last
        self._switches = 0  # under way
        self.awaits_switch = False  # another model was chosen a moment ago: nothing more is begun with this one
        self._switched_at: datetime | None = None

    @property
    def switching(self) -> bool:
        """Whether another model takes the place of the present one."""
        return self.awaits_switch or self._switches > 0

    async def switch(self, choice: Choice, options: LoadOptions) -> None:
        """Draw with another model, once what runs is finished by this one; until then nothing more is claimed.

        Raises ModelUnavailable when it cannot be loaded: the one before draws on. DeviceClosed when the program ends.
        """
        self._switches += 1
        try:
            async with self._busy:
                await self._device.switch(choice, options)
                self._halved = BatchLimit()  # what ran out of memory did so with the other model
                self._switched_at = utcnow()
        finally:
            self._switches -= 1

    def room(self, head: Job) -> int:
        limit = self._device.card.batches
        limit = replace(limit, learned=(*limit.learned, *self._halved.learned))
        return limit.max_batch(head.params["width"], head.params["height"])

    async def ready(self) -> bool:
        return self._device.state == "ready" and not self.switching and self._turn()

    async def measure(self) -> float:
        """Seconds per unit of work of one small picture on the loaded model: an honest first waiting time."""
        request = ImageRequest(prompt="warm-up", width=256, height=256, steps=self._device.card.default_steps, seed=0)
        began = time.monotonic()
        async with self._busy:
            await self._device.generate([request], NobodyWatches())
        return (time.monotonic() - began) / weight(request.width, request.height, request.steps)

    async def run(self, batch: Sequence[Task]) -> list[Outcome]:
        async with self._busy:
            strips = await self._drawn(batch)
        for task in batch:
            task.freed()  # the files are made while the next batch is drawn, or another model is loaded
        return [await self._outcome(strip) for strip in strips]

    async def _drawn(self, batch: Sequence[Task]) -> list[Strip]:
        strips = await asyncio.gather(*(self._strip(task) for task in batch))
        waiting = [member for strip in strips for member in strip.members]
        while waiting:
            room = self.room(waiting[0].task.job)
            members, waiting = waiting[:room], waiting[room:]
            began = time.monotonic()
            await self._draw(members)
            share = (time.monotonic() - began) / len(members)
            for strip in strips:
                strip.seconds += share * sum(member.task is strip.task for member in members)
        return strips

    async def _strip(self, task: Task) -> Strip:
        """The job's pictures to be drawn; all of them begin with the same one, if with any."""
        card = self._device.card
        order = None if self._judge is None else await self._judge.order(task.job)
        if order is not None and order.decision is Decision.REFUSE:
            failure = Failure(error="order_refused", cause=f"refused by {order.by}: {order.label}", engine=False)
            return Strip(task, card, failure=failure)
        try:
            source = await asyncio.to_thread(self._source, task.job.params)
        except BadSource as error:
            return Strip(task, card, failure=_failure(error))
        except StorageError as error:
            code = "source_gone" if isinstance(error, Missing) else "internal"
            failure = Failure(error=code, cause=str(error), transient=error.transient, engine=False)
            return Strip(task, card, failure=failure)
        return Strip(task, card, _members(task, source), order=order)

    def _source(self, params: dict[str, Any]) -> Image | None:
        """The picture to begin with, made to fit. Raises StorageError, BadSource."""
        if "source" not in params:
            return None
        return fitted(self._files.read(params["source"]["sha256"]), params["width"], params["height"])

    async def _draw(self, members: list[Member]) -> None:
        """One forward pass, or as many as it takes."""
        members = [member for member in members if not member.task.stop]
        if not members:
            return
        watch = PassWatch(members, self._feed, previews=self._previews(), show=self._show, unseen=self._unseen)
        try:
            results = await self._device.generate([member.request for member in members], watch)
        except OutOfMemory as error:
            await self._smaller(members, error)
        except ImageError as error:  # something in the batch
            await self._apart(members, error)
        except InferenceError as error:  # the engine as a whole
            for member in members:
                member.error = error
        else:
            for member, result in zip(members, results, strict=True):
                member.result = result

    async def _apart(self, members: list[Member], error: ImageError) -> None:
        """Fail the member at fault and draw the others; where nobody is named, each alone."""
        if len(members) == 1:
            members[0].error = error
        elif error.member is not None:
            members[error.member].error = error
            await self._draw([member for member in members if member.error is None])
        else:
            for member in members:
                await self._draw([member])

    async def _smaller(self, members: list[Member], error: OutOfMemory) -> None:
        if len(members) == 1:
            members[0].error = error
            return
        request = members[0].request
        self._halved = self._halved.halve(request.width, request.height, len(members))
        half = (len(members) + 1) // 2
        await self._draw(members[:half])
        await self._draw(members[half:])

    async def _outcome(self, strip: Strip) -> Outcome:
        failed = next((member.error for member in strip.members if member.error), None)
        if strip.task.stop:
            return Stopped()
        if strip.failure is not None:
            return strip.failure
        if failed is not None:
            return self._refused(strip.task.job, _failure(failed))
        point("picture-drawn")
        verdicts = await self._verdicts(strip)
        refused = next((one for one in verdicts if one.decision is Decision.REFUSE), None)
        if refused is not None:
            return Failure(error="picture_refused", cause=_said(refused), engine=False)
        try:
            made = [await asyncio.to_thread(self._file, strip, member) for member in strip.members]
        except StorageError as error:
            code = "disk_full" if isinstance(error, DiskFull) else "internal"
            return Failure(error=code, cause=str(error), transient=error.transient, engine=False)
        point("asset-written")
        return Success(
            result=self._result(strip),
            took=strip.seconds,
            assets=tuple(made),
            held=tuple(one for one in verdicts if one.decision is Decision.REVIEW),
        )

    def _unseen(self, job: Job) -> bool:
        return self._judge is not None and self._judge.unseen(job)

    async def _verdicts(self, strip: Strip) -> Sequence[Verdict]:
        drawn = [member.result.image for member in strip.members if member.result]
        before = () if strip.order is None else (strip.order,)
        return () if self._judge is None else (*before, *await self._judge.verdicts(strip.task.job, drawn))

    def _refused(self, job: Job, failure: Failure) -> Failure:
        """What was ordered from the model before, and this one cannot draw, says so."""
        since = self._switched_at
        outgrown = failure.error == "bad_request" and since is not None and job.created_at < since
        return replace(failure, error="other_model") if outgrown else failure

    def _file(self, strip: Strip, member: Member) -> NewAsset:
        job = strip.task.job
        if member.result is None:
            raise RuntimeError(f"job {job.id}: picture {member.index} has neither result nor error")
        name = f"{job.id}-{member.index + 1}"
        recipe = Recipe.of(member.request, member.result, model=strip.card.name, job=name, version=self._version)
        made = finish(
            member.result,
            job=name,
            recipe=None if job.params.get("private") else recipe,
            producer=self._producer(),
        )
        sha = self._files.put(made.data)
        return NewAsset(
            sha256=sha, media_type=made.media_type, size=len(made.data), width=made.width, height=made.height
        )

    def _result(self, strip: Strip) -> dict[str, object]:
        drawn = [member.result for member in strip.members if member.result]
        return {
            "seeds": [result.seed for result in drawn],
            "batch": [result.batch_size for result in drawn],
            "seconds": round(strip.seconds, 3),
            "model": strip.card.name,
            "builtin": strip.card.builtin,
        }


def _members(task: Task, source: Image | None) -> list[Member]:
    params = task.job.params
    return [
        Member(
            task,
            index,
            ImageRequest(
                prompt=params["prompt"],
                width=params["width"],
                height=params["height"],
                steps=params["steps"],
                seed=(params["seed"] + index) % 2**32,
                cfg=params["cfg"],
                negative=params["negative"],
                strength=params.get("strength"),
                adapters=tuple((name, weight) for name, weight in params.get("adapters", ())),
                source=source,
            ),
        )
        for index in range(pictures(task.job))
    ]


def _said(refused: Verdict) -> str:
    score = "" if refused.score is None else f" {refused.score:.2f}"
    return f"refused by the check of pictures: {refused.label or refused.by}{score} (picture {refused.picture})"


def _failure(error: InferenceError) -> Failure:
    code = CODES.get(type(error), "internal")
    return Failure(
        error=code, cause=str(error), transient=error.transient, engine=not isinstance(error, BadImageRequest)
    )
