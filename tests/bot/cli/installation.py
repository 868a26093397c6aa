"""Commands run in this process on an installation of their own: real settings, real SQLite, no server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from bot.cli import run
from scheduler import queue
from scheduler.policy import Policy
from scheduler.queue import Failure, Submission
from storage import assets, users
from storage.database import Database
from storage.files import Files
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow
from tests.blank import blank

ROOT = Path(__file__).parents[3]
POLICY = Policy(
    timezone=UTC,
    allowances={unit: (Allowance(amount=50, period="day"),) for unit in Unit},
)


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Installation:
    """A settings folder and a data folder, and what is done to them."""

    config: Path
    data: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str | Path) -> Ran:
        """Run `moqi <words>`."""
        self.capture.readouterr()
        code = run([str(word) for word in words])
        out, err = self.capture.readouterr()
        return Ran(int(code), out, err)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its database, as a server would have it open."""
        self.data.mkdir(exist_ok=True)
        url = blank(self.data / "moqi.db")
        with Database.open(url) as db:
            yield db

    def order(self, *, name: str = "alice", end: str = "") -> int:
        """A picture ordered by somebody; `end` it as done or failed. Returns its number."""
        with self.database() as db:
            job = db.run_sync(_submit, name)
            if end:
                db.run_sync(_END[end], job, Files(self.data / "files"))
        return job.id


def _submit(conn: Any, name: str) -> Job:
    person = users.resolve(conn, Identity(platform="web", external_id=name), name, utcnow())
    chat = Origin(platform="web", chat_id=name, chat_type=ChatType.DIRECT, message_id="m", sender=name)
    wanted = Submission(
        key=f"web:{utcnow().isoformat()}",
        kind=Kind.DRAW,
        user=person,
        origin=chat,
        params={"prompt": "一只猫", "width": 64, "height": 64, "count": 1, "seed": 7, "steps": 8},
        cost=1,
        work=1.0,
        batch_key="k",
        card=lambda conn, job, place: {},
    )
    job = queue.submit(conn, wanted, POLICY, utcnow())
    assert isinstance(job, Job)
    return job


def _claimed(conn: Any) -> Job:
    claim = queue.claim(conn, Kind.DRAW, lambda head: 1, POLICY, utcnow())
    assert claim is not None
    return claim.jobs[0]


def _done(conn: Any, job: Job, files: Files) -> None:
    sha = files.put(b"picture of job %d" % job.id)
    assets.add(
        conn, sha256=sha, media_type="image/png", size=16, width=64, height=64, job_id=job.id, index=0, now=utcnow()
    )
    assert queue.succeed(conn, _claimed(conn), {"seeds": [7]}, 1.0, utcnow())


def _failed(conn: Any, job: Job, files: Files) -> None:
    failure = Failure(error="not_finite", cause="NaN in step 3")
    assert queue.fail(conn, _claimed(conn), failure, POLICY, utcnow())


_END: dict[str, Callable[[Any, Job, Files], None]] = {"done": _done, "failed": _failed}
