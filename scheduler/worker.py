"""The worker: claims batches of one lane, keeps their leases alive, writes their outcomes.

A lost wake-up costs at most `IDLE` seconds; a lost process costs its lease. An outcome is written shielded from
cancellation: a picture that exists is not thrown away because the program stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import tzinfo
from functools import partial
from typing import Any

from sqlalchemy import Connection

from inference.grounding import captions
from scheduler import queue, reviewing
from scheduler.policy import Policy, answer_price
from scheduler.progress import Progress, ProgressFeed, Signal
from scheduler.queue import Claim, Failure
from scheduler.work import Busy, Outcome, Runner, Stop, Stopped, Success, Task
from storage import assets, jobs, line, owner
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.records import Job, Kind, Review, utcnow

log = logging.getLogger("moqi.worker")

IDLE = 2.0  # seconds between two looks at an apparently empty queue
BACK_OFF = 1.0  # seconds after the database refused an outcome; tried again until it takes it


class Worker:
    """Serves one lane."""

    def __init__(
        self,
        db: Database,
        runner: Runner,
        policy: Callable[[], Policy],
        feed: ProgressFeed,
        take: Callable[[Connection, str], Callable[[], None]],
        ask: Callable[[Connection, Review], None] = lambda conn, review: None,
    ) -> None:
        self._db = db
        self._runner = runner
        self._policy = policy
        self._feed = feed
        self._take = take  # hands the outcome's message to the sender: see bot.delivery.Sender.take
        self._ask = ask  # tells the reviewers of a held result, in the transaction that holds it
        self.wake = Signal()
        self._tasks: dict[int, Task] = {}
        self._batches: set[asyncio.Task[None]] = set()
        self._engaged: set[str] = set()  # tokens of the batches that still need the engine
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Serve until `stop`. One failing batch does not end the lane."""
        self._loop = asyncio.current_task()
        self.wake.attach(asyncio.get_running_loop())
        woken = False
        while not self._stopping:
            try:
                claimed = await self._claim(woken) if self._has_room() else None
            except Exception:  # the loop's one net: a lane whose loop ends serves nobody until a restart
                log.exception("cannot claim work; trying again", extra={"action": "claim-failed"})
                claimed = None
            if claimed is None:
                woken = await self.wake.wait(IDLE)
            else:
                self._start(claimed)

    async def stop(self, grace: float) -> None:
        """Claim nothing more; give running batches `grace` seconds, then put their jobs back unharmed."""
        self._stopping = True
        self.wake.give()
        if self._loop is not None:  # it may be claiming: a job that nobody runs waits for the end of its lease
            await asyncio.wait({self._loop}, timeout=grace)
        if self._batches:
            await asyncio.wait(self._batches, timeout=grace)
        for task in list(self._batches):
            task.cancel()
        for task in list(self._batches):
            with suppress(asyncio.CancelledError):
                await task

    def cancel(self, job_id: int) -> None:
        """Stop a job if this worker runs it; the row's flag does it for the workers of other processes."""
        if job_id in self._tasks:
            self._tasks[job_id].stop.set()

    @property
    def running(self) -> list[int]:
        """The jobs at work now."""
        return sorted(self._tasks)

    def _has_room(self) -> bool:
        """Whether another batch may begin. Only one may be behind the engine: a full disk must not pile up pictures."""
        at_once = self._runner.parallel
        return len(self._engaged) < at_once and len(self._batches) <= at_once

    def _free(self, token: str) -> None:
        if token in self._engaged:
            self._engaged.discard(token)
            self.wake.give()

    async def _claim(self, woken: bool) -> Claim | None:
        if not await self._runner.ready():
            return None
        if not woken and not await self._db.read(_anything_waits, self._runner.kind):
            return None  # without a reason to expect work, looking first costs no write transaction
        runner = self._runner
        return await self._db.run(queue.claim, runner.kind, runner.room, self._policy(), utcnow(), owner.name())

    def _start(self, claim: Claim) -> None:
        point("job-claimed")
        task = asyncio.create_task(self._serve(claim), name=f"batch {[job.id for job in claim.jobs]}")
        self._batches.add(task)
        self._engaged.add(claim.token)

        def ended(done: asyncio.Task[None]) -> None:
            self._batches.discard(done)
            self._engaged.discard(claim.token)
            self.wake.give()

        task.add_done_callback(ended)

    async def _serve(self, claim: Claim) -> None:
        tasks = [Task(job, Stop(), partial(self._free, claim.token)) for job in claim.jobs]
        self._tasks |= {task.job.id: task for task in tasks}
        for task in tasks:
            self._feed.publish(Progress(job=task.job.id, user_id=task.job.user_id))
        beat = asyncio.create_task(self._heartbeat(claim.token, tasks))
        try:
            outcomes = await self._outcomes(tasks)
            await asyncio.shield(self._keep(tasks, outcomes))
        except asyncio.CancelledError:
            await asyncio.shield(self._release(tasks))
            raise
        finally:
            beat.cancel()
            for task in tasks:
                self._tasks.pop(task.job.id, None)
                self._feed.publish(Progress(job=task.job.id, user_id=task.job.user_id, ended=True))

    async def _outcomes(self, tasks: Sequence[Task]) -> list[Outcome]:
        try:
            return await self._runner.run(tasks)
        except Exception as defect:  # the loop's one net: a defect fails its batch, never the lane
            log.exception("batch failed", extra={"action": "batch-failed", "jobs": [t.job.id for t in tasks]})
            return [Failure(error="internal", cause=repr(defect))] * len(tasks)

    async def _keep(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> None:
        for task, outcome in zip(tasks, outcomes, strict=True):
            tell = await self._persist(task.job, outcome)
            point("job-finished")
            tell()

    async def _persist(self, job: Job, outcome: Outcome) -> Callable[[], None]:
        """A full disk or a busy database must not lose an outcome: wait and try again, while the lease lives on."""
        while True:
            try:
                return await self._db.run(self._write, job, outcome)
            except StorageError:
                log.exception("outcome not kept yet; trying again", extra={"action": "keep-failed"})
                await asyncio.sleep(BACK_OFF)

    def _write(self, conn: Connection, job: Job, outcome: Outcome) -> Callable[[], None]:
        now = utcnow()
        held = jobs.holds(conn, job.id, job.token)
        match outcome:
            case _ if not held:
                pass  # somebody else has the job, perhaps with pictures of it: ours must leave no trace
            case Success():
                kept = _rows(conn, job, outcome, self._policy().timezone)
                result = outcome.result | ({"assets": kept} if kept else {})
                if outcome.held:
                    held = self._hold(conn, job, outcome, result)
                    return self._take(conn, queue.message_key(job.id, queue.HELD))
                rules = self._policy() if outcome.tokens else None
                used = answer_price(outcome.tokens, rules) if rules else 0
                held = queue.succeed(conn, job, result, outcome.took, now, used=used, policy=rules)
            case Stopped():
                held = queue.cancelled(conn, job, now)
            case Busy():
                held = queue.release(conn, job, now)
            case Failure():
                held = queue.fail(conn, job, outcome, self._policy(), now)
                log.warning("job %d failed: %s", job.id, outcome.cause, extra={"action": "job-failed", "job": job.id})
        if not held:
            log.warning("job %d: lease lost, outcome dropped", job.id, extra={"action": "fenced", "job": job.id})
        return self._take(conn, queue.message_key(job.id, "outcome"))

    def _hold(self, conn: Connection, job: Job, outcome: Success, result: dict[str, Any]) -> bool:
        now = utcnow()
        review = reviewing.hold(conn, job, result, outcome.took, outcome.held, now)
        if review is None:
            return queue.cancelled(conn, job, now)
        self._ask(conn, review)
        return True

    async def _release(self, tasks: Sequence[Task]) -> None:
        def give_back(conn: Connection) -> None:
            for task in tasks:
                queue.release(conn, task.job, utcnow())

        await self._db.run(give_back)

    async def _heartbeat(self, token: str, tasks: Sequence[Task]) -> None:
        """Prolong the lease; learn of cancellations by other processes and of a lost lease."""
        while True:
            await asyncio.sleep(queue.heartbeat_interval(self._policy()).total_seconds())
            try:
                held = await self._db.run(jobs.heartbeat, token, queue.lease_until(self._policy(), utcnow()))
            except StorageError:
                log.exception("heartbeat failed; trying again", extra={"action": "heartbeat-failed"})
                continue
            for task in tasks:
                if held.get(task.job.id, True):  # cancelled, or no longer ours
                    task.stop.set()


def _anything_waits(conn: Connection, kind: Kind) -> bool:
    return line.waiting(conn, kind) > 0


def _rows(conn: Connection, job: Job, outcome: Success, zone: tzinfo) -> list[int]:
    """Keep the pictures of a job, to be found by what they were ordered as. Returns their ids."""
    terms = captions.indexed(str(job.params.get("prompt", ""))) if outcome.assets else ()
    return [
        assets.add(
            conn,
            sha256=item.sha256,
            media_type=item.media_type,
            size=item.size,
            width=item.width,
            height=item.height,
            job_id=job.id,
            index=index,
            now=utcnow(),
            zone=zone,
            model=str(outcome.result.get("model", "")),
            terms=terms,
        )
        for index, item in enumerate(outcome.assets)
    ]
