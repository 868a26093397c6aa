"""An installation under fire: real processes that are killed and started again, people who go on writing, and the sums.

What people wrote is remembered here; once everything rests, each of their messages must have been dealt with, every
message of the bot must be one that the outbox knows, and `moqi verify` must find nothing.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from scheduler import verify
from storage.database import Database
from storage.files import Files
from storage.records import DeliveryState, JobState, Kind, utcnow
from storage.tables import inbox, jobs, outbox, reservations
from tests.journeys.moqi import Moqi, until
from tests.simulators.feishu import FeishuSimulator, Pushed
from tests.simulators.feishu_events import click, message, recalled

MANY = "1000000/day"
SETTINGS = {
    "policy": {"quotas": {"user": {"draw": MANY, "ask": MANY}}, "limits": {"queue_per_user": 2000, "concurrency": 2}}
}
#: What a finished picture's message says, by the state of its job.
SAYS = {"done": "画好了", "failed": "没有画成", "cancelled": "已取消"}
PEOPLE = 4
SOON = (2, 8)  # seconds from the order of a booking to its time; its card must be confirmed before


class Site(Moqi):
    """One installation, its platform, and everything that was said there."""

    program = "tests.chaos.serve"

    def __init__(
        self,
        folder: Path,
        feishu: FeishuSimulator,
        rng: random.Random,
        *,
        database_url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            folder, settings={**SETTINGS, "platforms": {"feishu": feishu.settings}}, database_url=database_url
        )
        self.feishu = feishu
        self.rng = rng
        self.folder = folder
        self.orders = folder / "orders"
        self.orders.write_text("", encoding="utf-8")
        self._given = 0
        self._more = {"CHAOS_ORDERS": str(self.orders), **(environment or {})}
        self.said: list[Pushed] = []
        self.pressed: set[str] = set()  # cards whose button was pressed
        self.starts = 0
        feishu.bot_url = f"{self.url}/feishu/events"

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(**self._more, **more)

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def order(self, **wanted: Any) -> None:
        """Arm fault points or set the engine's mood in the running process; returns once it has obeyed."""
        self._given += 1
        self.orders.write_text(json.dumps({**wanted, "number": self._given}), encoding="utf-8")
        until(lambda: f"armed {self._given}" in self.did(), "the server to obey")

    def did(self) -> list[str]:
        """What the server has written down."""
        notes = self.orders.with_suffix(".did")
        return notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []

    def begin(self) -> None:
        """Start clean, if it does not run."""
        if not self.alive:
            self.orders.write_text("", encoding="utf-8")
            self.start()
            self.starts += 1

    def ended(self) -> int | None:
        """The exit status, or None while it runs."""
        return None if self._process is None else self._process.poll()

    # -- people ----------------------------------------------------------------------------------------------------

    def talk(self, times: int, *, booking: float = 0.2) -> None:
        """Somebody writes, cancels, books, confirms; a share of `booking` are bookings. Ends early with the server."""
        for _ in range(times):
            if not self.alive:
                return
            dice = self.rng.random()
            if dice < booking:
                self.say(f"/draw 猫 --at {self.rng.choice(SOON)}秒后 --size 64x64")
            elif dice < booking + 0.1 and self.said:
                self.take_back()
            elif dice < booking + 0.35:
                self.say("/ask 年假怎么休?")
            else:
                self.say(f"/draw 猫 --size 64x64 --seed {len(self.said)}")
            self.confirm()

    def say(self, text: str) -> Pushed:
        """One message of somebody, in their direct chat."""
        who = self.rng.randrange(PEOPLE)
        event = message(
            self.feishu.app, text, message_id=f"om_{len(self.said)}", sender=f"ou_{who}", chat_id=f"oc_{who}"
        )
        self.said.append(self.feishu.push(event))
        return self.said[-1]

    def take_back(self) -> None:
        """Somebody recalls a message; what it ordered is cancelled if it has not ended."""
        old = self.rng.choice(self.said).envelope["event"]["message"]
        self.feishu.push(recalled(self.feishu.app, old["message_id"], chat_id=old["chat_id"]))

    def confirm(self) -> None:
        """Press 确认 on every card that asks for it, until that was heard; too late is too late."""
        for sent in self.feishu.visible():
            if sent.message_id in self.pressed:
                continue
            for value in re.findall(r'"value": (\{[^{}]*\})', sent.text):
                pressed = json.loads(value)
                if pressed.get("action") == "res_confirm" and self.alive:
                    who = sent.chat_id.removeprefix("oc_").removeprefix("ou_")
                    event = click(
                        self.feishu.app, pressed, presser=f"ou_{who}", chat_id=f"oc_{who}", message_id=sent.message_id
                    )
                    heard = self.feishu.push(event)
                    if heard.acknowledged and "再按一次" not in str(heard.answer):
                        self.pressed.add(sent.message_id)

    def listen(self) -> None:
        """Wait until everything that was said has been understood: in two seconds means from now."""
        with self.database() as db:
            until(lambda: not db.read_sync(lambda conn: conn.execute(_UNHANDLED).first()), "everybody to be heard")

    def push_again(self, amount: int) -> int:
        """The platform repeats old events in any order, under new event ids; returns how many."""
        again = self.rng.sample(self.said, min(amount, len(self.said)))
        for pushed in again:
            header = {**pushed.envelope["header"], "event_id": secrets.token_hex(16)}
            self.feishu.push({**pushed.envelope, "header": header})
        return len(again)

    # -- the sums --------------------------------------------------------------------------------------------------

    def database(self) -> Database:
        return Database.open(self._database_url) if self._database_url else Database.open(data=self.data)

    def settle(self) -> None:
        """Let everything end: messages first, then what was never acknowledged is pushed again, six hours late."""
        with self.database() as db:
            self._rest(db)
            while any(pushed.due is not None for pushed in self.feishu.pushed):
                self.feishu.advance(7 * 3600)
            self.confirm()
            self._rest(db)
            self._check(db)

    def _rest(self, db: Database) -> None:
        seen: list[str] = []

        def rests() -> bool:
            seen[:] = db.read_sync(_unrest)
            return not seen

        try:
            until(rests, "everything to end")
        except AssertionError as error:
            raise AssertionError(f"{error}: {', '.join(seen[:5])}\n{self._last_words()}") from None

    def _check(self, db: Database) -> None:
        broken = [f"{c.invariant}: {what}" for c in db.read_sync(self._verify) for what in c.broken]
        broken += db.read_sync(self._people)
        assert not broken, "\n".join(broken)

    def _verify(self, conn: Connection) -> list[verify.Check]:
        return verify.verify(conn, Files(self.data / "files"), utcnow())

    def _people(self, conn: Connection) -> list[str]:
        """What people see, beside what the tables say."""
        outcomes = {row.key: row.outcome for row in conn.execute(select(inbox.c.key, inbox.c.outcome))}
        keys = [pushed.envelope["event"]["message"]["message_id"] for pushed in self.said]
        lost = [f"message {key} was never dealt with" for key in keys if not outcomes.get(key)]
        hurt = [f"{key}: {outcome}" for key, outcome in outcomes.items() if outcome == "refused:internal"]
        shown = {sent.message_id: sent.text for sent in self.feishu.visible()}
        rows = conn.execute(select(outbox.c.receipt, outbox.c.job_id, jobs.c.state, jobs.c.kind).outerjoin(jobs)).all()
        known = {row.receipt.get("message_id"): row for row in rows}
        twice = [f"{number} stands in the chat and nobody knows of it" for number in shown if number not in known]
        wrong = [
            f"job {row.job_id} is {row.state}, its message {number} says otherwise"
            for number, row in known.items()
            if number in shown and row.kind == Kind.DRAW and SAYS[row.state] not in shown[number]
        ]
        return [*lost, *hurt, *twice, *wrong]

    def jobs(self) -> int:
        """How many jobs there are."""
        with self.database() as db:
            return db.read_sync(lambda conn: int(conn.execute(select(func.count()).select_from(jobs)).scalar_one()))

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-1500:]

    def end(self) -> int:
        """Ask it to stop."""
        return self.stop() if self.alive else 0

    def slay(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.kill()


_UNHANDLED = select(inbox.c.key).where(inbox.c.handled_at.is_(None))


def _unrest(conn: Connection) -> list[str]:
    open_jobs = select(jobs.c.id, jobs.c.state).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
    due = select(reservations.c.id).where(reservations.c.state == "active")
    unsent = select(outbox.c.key, outbox.c.reason).where(outbox.c.state == DeliveryState.PENDING)
    return [
        *(f"job {row.id} is {row.state}" for row in conn.execute(open_jobs)),
        *(f"reservation {row.id} is still to come" for row in conn.execute(due)),
        *(f"message {row.key} is not sent ({row.reason})" for row in conn.execute(unsent)),
        *(f"event {row.key} is not handled" for row in conn.execute(_UNHANDLED)),
    ]
