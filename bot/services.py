"""The whole program on one page: made in order, started, stopped in reverse. Nothing else makes an engine, a client or
a loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot import alerts, bans, reviewing, router, sources
from bot.booking import Booker
from bot.card import Card
from bot.context import Handled, House, Pressed
from bot.current import Current
from bot.delivery import Cards, Sender
from bot.enclosures import Enclosures
from bot.engine import Engine, answering
from bot.events import ChatEvent
from bot.forgetting import forget
from bot.groups import groups
from bot.inbox import Inbox
from bot.judging import HouseJudge
from bot.kb_follow import Following
from bot.live import Live
from bot.models import Shelf
from bot.opening import image_choice, load_options, text_options
from bot.platforms.base import Recognising, Reshowing
from bot.platforms.inbound import Inlet
from bot.platforms.registry import open_platforms
from bot.platforms.web.feed import Feed
from bot.render import Renderer
from bot.replies import Words
from bot.reshow import reshow
from bot.retention import Keeper
from bot.settings import Environment
from bot.settings.policy import Labels
from bot.settings.rules import rules
from bot.showing import Showing
from bot.styles import Styles
from bot.switcher import Switcher
from bot.understanding import Understanding
from bot.vectors import open_search
from bot.version import version
from inference.device import DeviceState, ImageDevice
from inference.gpu.sharing import Queued, Waits
from inference.grounding import reader
from inference.text.registry import open_text_model
from inference.text.routing import Routing
from inference.text.smalltalk import SmallTalk
from inference.text.supervised import SupervisedModel
from scheduler import classes, joining, lending, queue, reservations
from scheduler.alarms import Alarms
from scheduler.clock import Chore, Clock
from scheduler.policy import Policy
from scheduler.progress import ProgressFeed
from scheduler.runners.ask import AskRunner
from scheduler.runners.draw import DrawRunner
from scheduler.worker import Worker
from storage import audit, jobs, leases, lexical, line, outbox, owner, syncs, users
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.files import Files
from storage.records import Identity, InboxEntry, JobState, Kind, Occurrence, Review, utcnow
from storage.retention import NOTHING

log = logging.getLogger("moqi")

PRESS_PATIENCE = 2.5  # seconds a pressed button may take to be answered: Feishu waits 3
GRACE = 10.0  # seconds that running work gets when the program is asked to stop
LOOP_AGAIN = 1.0  # seconds until a loop that met a defect begins again


class Services:
    """Everything that is open, and the few verbs that need several of them."""

    def __init__(self, current: Current, environment: Environment, db: Database) -> None:
        settings = current.settings
        self.current = current
        self.environment = environment
        self.db = db
        self.started_at = utcnow()
        self.files = Files(environment.data / "files")
        self.showing = Showing(db, self.files)
        self.feed = ProgressFeed()
        self.web = Feed()
        self.card = Card.of(
            settings, os.environ, text_options(settings, environment.data), self._look_at_queues, self._tell_queues
        )
        loading = self.card.loading(load_options(settings, environment.data))
        self.device = ImageDevice.of(image_choice(settings), loading, self.card.sharing)
        self.styles = Styles(
            self.device, environment.data / "styles", self._nobody_waits, lambda: self.showing.labels.mark("")
        )
        chat = self.card.chat
        self.text = open_text_model(self.card.options, chat)
        words = Words(settings.interface.language)
        inlet = Inlet(keep=self.keep, take=self.take, act=self.act)
        opened = open_platforms(settings.platforms, db, self.web, words, inlet, self.showing.read)
        self.platforms, self.listeners, self.doors = opened.platforms, opened.listeners, opened.doors
        self.directories, self.logins = opened.directories, opened.logins
        self.groups = groups(settings.platforms.wecom.webhooks)  # as their robots were opened
        self.inbox = Inbox(db, self.handle)
        self.understanding = Understanding(db, Routing(chat) if chat else None, self.house, self.inbox.wake.give)
        self.enclosures = Enclosures(
            db,
            self.files,
            self.platforms,
            self.house,
            self.inbox.wake.give,
            lambda: self.current.settings.knowledge.chunking.cutting,
        )
        cards = Cards()
        render = Renderer(self.house)
        self.sender = Sender(
            db, self.platforms, render.delivery, self.showing.read, cards, self.inbox.rush, self._tell_admins
        )
        self.drawing = DrawRunner(
            self.device,
            self.files,
            self.feed,
            lambda: self.current.settings.interface.features.previews,
            producer=lambda: self.current.settings.policy.labels.producer,
            show=self.showing.preview,
            version=version(),
            judge=HouseJudge(lambda: self.current.settings, chat=chat),
            turn=self.card.may_draw,
        )
        self.search = open_search(settings, db)
        self.asking = AskRunner(
            db,
            self.text,
            self.feed,
            lambda: self.current.settings.interface.language,
            self.search.retrieval,
            talk=SmallTalk(chat) if chat else None,
            turn=self.card.may_answer,
            passages=lambda: self.current.settings.knowledge.retrieval.passages,
        )
        self.knowledge = Following(db, lambda: self.current.settings, self._indexed)
        self.workers = {
            Kind.DRAW: self._worker(self.drawing),
            Kind.ASK: self._worker(self.asking),
        }
        self.switcher = Switcher(
            db,
            self.device,
            self.drawing,
            self.shelf,
            loading,
            lambda: self.house().words,
            lambda conn, problem: self._tell_admins(conn, "model", problem, True),
            self._model_changed,
        )
        self._labels_noted: Labels | None = None
        self._pressing: set[asyncio.Task[Pressed]] = set()  # under way, some of them longer than their answer
        self.live = Live(db, self.feed, self.web, self.platforms, render.job, cards)
        self.clock = Clock(self._chores())
        self.alarms = Alarms(
            db, self.clock, lambda: Booker(self.house()), lambda: self.current.settings.policy.queue(), self._fired
        )

    def house(self) -> House:
        """The rules, words and engines at this moment."""
        settings = self.current.settings
        card = None if self.device.problem else self.device.card
        return House(
            words=Words(settings.interface.language, settings.parameters),
            policy=settings.policy.queue(),
            rules=rules(settings.parameters, settings.policy.limits, card, self.groups.named),
            card=card,
            engines=self.engines(),
            started_at=self.started_at,
            first_is_admin=settings.platforms.web.first_is_admin,
            screen=settings.policy.moderation.screen(),
            page=settings.platforms.web.public_url if settings.platforms.web.enabled else "",
            groups=self.groups,
            templates=settings.policy.templates,
            through=frozenset(self.platforms),
            writes_first=settings.platforms.writes_first,
            unmarked=self.showing.labels.off(),
            tenancies={name: one.tenancy for name, one in self.directories.items() if one.tenancy is not None},
            shelf=self.shelf(),
            talks=self.card.chat is not None,
            collections=settings.knowledge.collections,
            access=sources.access(settings),
        )

    def shelf(self) -> Shelf:
        """The image models there are."""
        return Shelf(self.current.settings, self.environment.data)

    def engines(self) -> dict[Kind, Engine]:
        """How the engines stand."""
        card, problem = self.device.card, self.device.problem
        state = DeviceState.SWITCHING if self.drawing.switching else self.device.state
        draw = Engine(name=card.name, state=state.value, builtin=card.builtin, problem=str(problem) if problem else "")
        return {Kind.DRAW: draw, Kind.ASK: answering(self.text.card, self.card.model)}

    async def handle(self, entry: InboxEntry, event: ChatEvent) -> None:
        """Deal with a kept event and wake whoever has work now. Raises NotYet while what it points to is fetched."""
        event = await recognised(self.platforms.get(event.platform), event)
        event = await self.enclosures.complete(entry, event)
        event = await self.understanding.complete(entry, event)
        try:
            handled, tell = await self.db.run(self._deal, self.house(), entry.id, event, utcnow())
        except router.AlreadyHandled:
            self._dealt(entry)
            return
        except StorageError:
            raise  # the event stays open and is tried again
        except Exception:  # the loop's one net: a defect in one message does not stop the others
            log.exception("event %d failed", entry.id, extra={"action": "event-failed", "entry": entry.id})
            handled = await self.db.run(router.broken, self.house(), entry.id, event, utcnow())
            tell = self.sender.wake.give
        self._dealt(entry)
        point("job-submitted")
        self._wake(handled)
        tell()
        self._note(event)

    def _dealt(self, entry: InboxEntry) -> None:
        self.enclosures.forget(entry)
        self.understanding.forget(entry)

    async def keep(self, event: ChatEvent) -> None:
        """Keep an event for good; its sender may be told so when this returns."""
        await self.inbox.accept(event)

    async def take(self, event: ChatEvent) -> None:
        """The same where no platform waits to be told so: people wait for the answer, and for nothing else."""
        await self.inbox.accept(event, waited_for=False)

    async def act(self, event: ChatEvent) -> Pressed:
        """A pressed button: done at once, answered by a toast. Whatever happens its presser hears of it, in time."""
        press = asyncio.create_task(self._press(event), name=f"press {event.key}")
        self._pressing.add(press)
        press.add_done_callback(self._pressing.discard)
        done, _ = await asyncio.wait({press}, timeout=PRESS_PATIENCE)
        if not done:  # it goes on
            return Pressed("info", self.house().words.say("press.slow"))
        return press.result()

    async def _press(self, event: ChatEvent) -> Pressed:
        try:
            event = await recognised(self.platforms.get(event.platform), event)
            handled = await self.db.run(self._pressed, self.house(), event, utcnow())
        except StorageError:  # undone as a whole, and a press never comes again by itself
            log.exception("press %s not kept", event.key, extra={"action": "press-failed"})
            return Pressed("warning", self.house().words.say("press.again"))
        except Exception:  # a defect in one press: the presser must not be left with an error of the platform
            log.exception("press %s failed", event.key, extra={"action": "press-failed"})
            return Pressed("error", self.house().words.refusal("internal").text)
        self._wake(handled)
        self.sender.wake.give()
        self._note(event)
        return Pressed(*handled.toast, handled.shown)

    def _pressed(self, conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
        handled = router.press(conn, house, event, now)
        if handled.shown is None and isinstance(self.platforms.get(event.platform), Reshowing):
            return replace(handled, shown=reshow(conn, house, event))
        return handled

    def _deal(
        self, conn: Connection, house: House, entry_id: int, event: ChatEvent, now: datetime
    ) -> tuple[Handled, Callable[[], None]]:
        handled = router.handle(conn, house, entry_id, event, now)
        return handled, self.sender.take(conn, handled.card) if handled.card else self.sender.wake.give

    def greet(self, identity: Identity) -> None:
        """Somebody has come in by the web page: look them up in their platform's directory when there is time."""
        if identity.platform in self.directories:
            self.directories[identity.platform].want(identity.external_id)

    def _note(self, event: ChatEvent) -> None:
        if event.platform in self.directories:
            self.directories[event.platform].note(event)

    def _fired(self, fates: Sequence[Occurrence]) -> None:
        """Reservations have fired: their jobs wait, and perhaps somebody is to be told why one does not."""
        self.workers[Kind.DRAW].wake.give()
        self.sender.wake.give()

    def _wake(self, handled: Handled) -> None:
        if handled.arm:
            point("reservation-confirmed")
        for reservation, at in handled.arm:
            self.alarms.arm(reservation, at)
        if handled.switch:
            self.switcher.hurry()
        for kind, worker in self.workers.items():
            if kind in handled.work:
                worker.wake.give()
            for job in handled.stop:
                worker.cancel(job)

    def _worker(self, runner: Any) -> Worker:
        return Worker(
            self.db, runner, lambda: self.current.settings.policy.queue(), self.feed, self.sender.take, self._ask
        )

    def _ask(self, conn: Connection, review: Review) -> None:
        told = reviewing.ask(conn, review, tuple(self.platforms), utcnow())
        if not told:
            log.warning("job %d waits for a review, and no reviewer can be told", review.job_id)

    def _tell_admins(self, conn: Connection, platform: str, problem: str, working: bool) -> None:
        through = [name for name in self.platforms if working or name != platform]
        words, told = self.house().words, self.groups.alerts
        alerts.tell_admins(conn, words, platform, problem, working=working, through=through, groups=told)

    def _indexed(self) -> None:
        self.asking.indexed = True
        self.workers[Kind.ASK].wake.give()

    def _model_changed(self) -> None:
        self.workers[Kind.DRAW].wake.give()
        self.sender.wake.give()

    async def note_labels(self) -> None:
        """Mark pictures as the settings want it from now on; a change is audited first. Raises StorageError."""
        settings = self.current.settings
        if settings.policy.labels != self._labels_noted:
            await self.showing.note(settings.policy.labels, settings.hash)
            self._labels_noted = settings.policy.labels

    async def _reload(self) -> None:
        await self.current.reload()
        await self.note_labels()

    async def _nobody_waits(self) -> bool:
        """Whether there is no picture to be drawn for anybody."""
        running = await self.db.read(jobs.count, JobState.RUNNING, kind=Kind.DRAW)
        return not running and not await self.db.read(line.waiting, Kind.DRAW)

    def _chores(self) -> dict[str, tuple[float, Chore]]:
        """What recurs: name, seconds between two turns, what to do."""
        return {
            "seal the audit log": (2.0, lambda: self.db.run(audit.seal)),
            "take back lost jobs": (5.0, self._recover),
            "tell of resting engines": (2.0, self._tell_resting),
            "lift bans": (5.0, self._lift_bans),
            "join people": (5.0, self._join_people),
            "close windows": (5.0, self._close_windows),
            "let old work rise": (10.0, self._rise),
            "drop old proposals": (60.0, lambda: self.db.run(reservations.lapse, utcnow())),
            "read changed settings": (5.0, self._reload),
            "count new terms": (5.0, self._count_terms),
            "remove old pictures": (3600.0, self._tidy),
            "remove old questions": (3600.0, self._forget),
            "sweep half-written files": (3600.0, lambda: asyncio.to_thread(self.files.sweep, timedelta(hours=1))),
        }

    async def _count_terms(self) -> None:
        if await self.db.read(lexical.unsettled):
            await self.db.run(lexical.settle)

    async def _close_windows(self) -> None:
        if await self.db.read(jobs.closed_out, utcnow()):
            await self.db.run(queue.close, utcnow())
            self.sender.wake.give()

    async def _tell_resting(self) -> None:
        for kind in Kind:
            lane = await self.db.read(jobs.peek_lane, kind)
            rests = lane.open_until is not None and lane.open_until > utcnow()
            if rests and await self.db.run(self._rests, lane):
                self.sender.wake.give()

    def _rests(self, conn: Connection, lane: jobs.Lane) -> bool:
        zone, words = self.current.settings.policy.queue().timezone, self.house().words
        return alerts.tell_resting(conn, words, lane, zone, through=self.platforms, groups=self.groups.alerts)

    async def _rise(self) -> None:
        policy = self.current.settings.policy.queue()
        if await self.db.read(classes.waiting_long, policy, utcnow()):
            await self.db.run(classes.rise, policy, utcnow())

    async def _lift_bans(self) -> None:
        if await self.db.read(users.bans_over, utcnow()):
            await self.db.run(bans.lift, utcnow())

    async def _join_people(self) -> None:
        if await self.db.read(joining.pending):
            await self.db.run(joining.settle, self.current.settings.policy.queue().timezone, utcnow())

    async def _tidy(self) -> None:
        days = self.current.settings.policy.retention.pictures_days
        keeper = Keeper(db=self.db, files=self.files, thumbnails=self.showing.thumbnails)
        done = await keeper.tidy(days, "retention", utcnow())
        if done != NOTHING:
            log.info("%d pictures of more than %d days removed", done.pictures + done.given, days)

    async def _forget(self) -> None:
        days = self.current.settings.policy.retention.conversations_days
        if done := await forget(self.db, self.house().words, days, "retention", utcnow()):
            log.info("%d questions of more than %d days removed", done, days)

    async def answer(self, draws: bool) -> None:
        """Start the language model, and watch whose turn it is where it shares a card: pictures have a place first."""
        if self.card.sharing is not None:
            await self.card.sharing.run(self.switcher.settled.wait if draws else partial(asyncio.sleep, 0))
        elif isinstance(self.card.model, SupervisedModel):
            await self.card.model.start()

    async def _look_at_queues(self) -> tuple[Queued, Queued]:
        return await self.db.read(lending.look, utcnow())

    async def _tell_queues(self, waits: Waits) -> None:
        """Who has the card's memory has changed: those who wait hear of it, and somebody may begin."""
        await self.db.run(lending.note, waits)
        for worker in self.workers.values():
            worker.wake.give()

    async def _recover(self) -> None:
        await self.db.run(queue.recover, self.current.settings.policy.queue(), utcnow(), sole_owner=False)


async def recognised(platform: object, event: ChatEvent) -> ChatEvent:
    """The event with its people called as they are known here. Raises StorageError."""
    return await platform.recognise(event) if isinstance(platform, Recognising) else event


@asynccontextmanager
async def serving(
    services: Services, *, kinds: Iterable[Kind] = tuple(Kind), listen: bool = False
) -> AsyncIterator[None]:
    """Run every loop, for the process that owns the data folder, and stop them in reverse.

    With `listen`, events come in over the platforms' long connections, their people are looked up and wikis followed: a
    server does that, one command of the terminal does not. Work that is under way gets `GRACE` seconds, then goes back
    to its place.
    """
    await _succeed(services)
    await services.note_labels()
    patience = sys.getswitchinterval()
    # The engine's thread and the event loop share one interpreter: the loop must not wait 5 ms for each turn.
    sys.setswitchinterval(0.0005)
    services.feed.attach(asyncio.get_running_loop())
    wanted = set(kinds)
    if not listen and Kind.ASK in wanted:
        await services.search.join()
    inbox = _task("inbox", kept_up("inbox", services.inbox.run))
    tasks = [
        inbox,
        _task("sender", kept_up("sender", services.sender.run)),
        _task("live", kept_up("live", services.live.run)),
        *(_task(f"worker {kind}", services.workers[kind].run()) for kind in wanted),
        _task("knowledge", kept_up("knowledge", lambda: services.knowledge.run(follow=listen))),
    ]
    if Kind.ASK in wanted and isinstance(services.card.model, SupervisedModel):
        tasks.append(_task("language model", kept_up("language model", partial(services.answer, Kind.DRAW in wanted))))
    if listen:
        tasks += [_task(f"people of {name}", one.run()) for name, one in services.directories.items()]
        tasks.append(_task("vectors", kept_up("vectors", services.search.run)))
    firing = []
    if Kind.DRAW in wanted:
        tasks.append(_task("image model", kept_up("image model", services.switcher.run)))
        firing = [
            _task("alarms", kept_up("alarms", services.alarms.run))
        ]  # whoever cannot draw leaves them to whoever can
        tasks += firing
    services.clock.start()
    listening = [_task(f"{each.name} listener", each.run()) for each in services.listeners if listen]
    try:
        yield
    finally:
        await _stop(services, wanted, listening, {inbox, *firing}, tasks)
        sys.setswitchinterval(patience)


async def _stop(
    services: Services,
    wanted: Iterable[Kind],
    listening: Sequence[asyncio.Task[None]],
    last: Iterable[asyncio.Task[None]],
    tasks: Iterable[asyncio.Task[None]],
) -> None:
    """What `serving` started, in reverse; `last` (the inbox, the alarms) end by themselves once they are told to."""
    for each in services.listeners:
        each.stop()
    if listening:  # what they have in hand still needs the inbox
        await asyncio.wait(listening, timeout=GRACE)
    services.clock.stop()
    services.alarms.stop()
    services.inbox.stop()
    await asyncio.wait(set(last), timeout=GRACE)  # what it has taken for the sender must still reach it
    await services.enclosures.close()
    await services.understanding.close()
    await asyncio.gather(*(services.workers[kind].stop(GRACE) for kind in wanted))
    await services.sender.stop(GRACE)
    for task in (*listening, *tasks):
        task.cancel()
    await asyncio.to_thread(reader.close)  # a document may take two minutes, and its thread is waited for
    await asyncio.gather(*listening, *tasks, return_exceptions=True)
    for login in services.logins.values():
        await login.close()
    for platform in services.platforms.values():
        await platform.close()
    await services.styles.close()
    await services.search.close()
    await services.text.close()
    services.card.close()
    gc.unfreeze()  # what the device lets go can be collected again
    await services.device.close()
    await services.db.run(audit.seal)


async def _succeed(services: Services) -> None:
    """Put back what the last process on this data folder held."""
    folder = services.environment.data
    gone = await asyncio.to_thread(owner.succeed, folder)
    await services.db.run(take_over, services.current.settings.policy.queue(), gone, utcnow())
    await asyncio.to_thread(owner.forget, folder)


def take_over(conn: Connection, policy: Policy, gone: Sequence[str], now: datetime) -> None:
    """End what those who are `gone` held. On PostgreSQL others may be at work: of them the leases decide."""
    sole_owner = conn.dialect.name == "sqlite"
    queue.recover(conn, policy, now, sole_owner=sole_owner, gone=gone)
    lending.forget(conn)
    if sole_owner:
        outbox.release_all(conn)
        leases.release_all(conn, now)
    for one in gone:
        outbox.release_of(conn, one)
        leases.release_of(conn, one, now)
        syncs.release_of(conn, one)


async def kept_up(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop until it returns. A defect that its own nets did not foresee costs a second, not the loop."""
    while True:
        try:
            return await run()
        except Exception:
            log.critical("%s met a defect and begins again", name, exc_info=True, extra={"action": "loop-failed"})
            await asyncio.sleep(LOOP_AGAIN)


def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    """A loop must never end unnoticed."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("%s ended: %r", task.get_name(), error, exc_info=error, extra={"action": "loop-ended"})
