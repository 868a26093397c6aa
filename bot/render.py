"""From rows to replies: what a message says at the moment it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from bot.context import House
from bot.delivery import REDIRECTED
from bot.replies import job_reply, reviewing, shared_reply
from bot.reply import PREVIEW, Reply
from bot.reviewing import REVIEW, case
from scheduler import places
from scheduler.pausing import held
from scheduler.progress import Progress
from scheduler.queue import COPY
from storage import assets, jobs, outbox, reviews
from storage.outbox import BLOCKED
from storage.records import ChatType, Delivery, Job, JobState, utcnow


class Renderer:
    """Renders jobs and stored replies in the words in force."""

    def __init__(self, house: Callable[[], House]) -> None:
        self._house = house

    def delivery(self, conn: Connection, delivery: Delivery) -> Reply:
        """What an outgoing message says now. A card that goes out at once says what was written with its order."""
        if BLOCKED in delivery.receipt:
            return self._blocked(conn, delivery)
        reply = self._delivery(conn, delivery)
        if _redirected(conn, delivery):
            said = self._house().words.say("booked.redirected")
            reply = replace(reply, note=" · ".join(filter(None, (said, reply.note))))
        return reply

    def _blocked(self, conn: Connection, delivery: Delivery) -> Reply:
        """In place of what the platform does not allow: that it does not, and nothing of what it was."""
        words = self._house().words
        job = None if delivery.job_id is None else jobs.get(conn, delivery.job_id)
        if job is None:
            return Reply(text=words.say("blocked.message"))
        done = "blocked.outcome" if job.state is JobState.DONE else "blocked.message"
        text = words.say("blocked.card" if delivery.slot == "card" else done, job=job.id)
        return Reply(title=words.say("blocked.title"), state="failed", job=job.id, text=text)

    def _delivery(self, conn: Connection, delivery: Delivery) -> Reply:
        if delivery.job_id is None:
            if REVIEW in delivery.body:
                return self._standing(conn, delivery)
            return self._stored(conn, Reply.from_json(delivery.body))
        if delivery.slot == "card" and delivery.attempts <= 1 and delivery.body:
            return Reply.from_json(delivery.body)
        job = jobs.get(conn, delivery.job_id)
        if job is None:
            raise LookupError(f"message {delivery.key} is about job {delivery.job_id}, which does not exist")
        if delivery.slot.startswith(COPY):
            return shared_reply(job, self._house().words, tuple(assets.of_job(conn, job.id)))
        return self.job(conn, job, None)

    def _stored(self, conn: Connection, reply: Reply) -> Reply:
        """What was written earlier, without pictures that the retention rule has removed since: that is said."""
        found = {one.asset: assets.get(conn, one.asset) for one in reply.pictures if one.asset != PREVIEW}
        days = [asset.removed for asset in found.values() if asset is not None and asset.removed is not None]
        if not days:
            return reply
        kept = tuple(one for one in reply.pictures if (asset := found.get(one.asset)) and asset.removed is None)
        said = self._house().words.say("note.removed.some", n=len(days), days=max(days))
        return replace(reply, pictures=kept, note=" · ".join(filter(None, (said, reply.note))))

    def _standing(self, conn: Connection, delivery: Delivery) -> Reply:
        """A review as it stands: what is decided shows no picture any more."""
        review = reviews.get(conn, int(delivery.body[REVIEW]))
        if review is None:
            raise LookupError(f"message {delivery.key} is about review {delivery.body[REVIEW]}, which does not exist")
        return reviewing.case(case(conn, review), self._house().words)

    def job(self, conn: Connection, job: Job, progress: Progress | None) -> Reply:
        """A job's card as it stands."""
        house = self._house()
        waits = job.state is JobState.QUEUED
        place = places.place(conn, job, utcnow()) if waits else None
        hold = held(conn, job, house.policy.timezone, utcnow()) if waits else None
        made = assets.of_job(conn, job.id) if job.state is JobState.DONE else ()
        return job_reply(
            job,
            house.words,
            place=place,
            hold=hold,
            progress=progress,
            assets=tuple(made),
            card=house.card,
            writes_first=job.origin.platform in house.writes_first,
        )


def _redirected(conn: Connection, delivery: Delivery) -> bool:
    """Whether it goes to its owner instead of its group: it, or the card whose place it takes."""
    if REDIRECTED in delivery.receipt:
        return True
    if delivery.slot != "outcome" or delivery.job_id is None or delivery.origin.chat_type is not ChatType.GROUP:
        return False
    card = outbox.of_job(conn, delivery.job_id).get("card")
    return card is not None and REDIRECTED in card.receipt
