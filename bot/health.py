"""Whether work can be accepted, and the numbers a monitor reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from inference.device import DeviceState
from storage import documents, jobs, outbox, reservations, reviews, syncs
from storage.errors import StorageError
from storage.records import JobState, Kind, ReservationState, utcnow

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from bot.services import Services


PATIENCE = 30.0  # seconds that a long connection may be away: it comes back by itself


async def readiness(services: Services) -> list[str]:
    """Why work cannot be done now; empty = it can. A model that still loads is a reason: jobs wait for it."""
    reasons = []
    try:
        await services.db.read(jobs.peek_lane, Kind.DRAW)
    except StorageError as error:
        reasons.append(f"database: {error}")
    device = services.device
    if device.state not in (DeviceState.READY, DeviceState.SWITCHING):  # while models change, orders are taken
        reasons.append(f"image model: {device.problem or device.state.value}")
    return reasons


def degraded(services: Services) -> list[str]:
    """What does not work though work can be accepted: to take the web chat away would help nobody reach Feishu."""
    found = [said for listener in services.listeners if (said := listener.complaint(PATIENCE))]
    answering = services.engines()[Kind.ASK]
    if answering.state in ("starting", "down"):  # people get the passages meanwhile
        found.append(f"language model: {answering.problem or answering.state}")
    return found


async def metrics(services: Services) -> tuple[bytes, str]:
    """The state of the queues in Prometheus' text format. Gauges are read from the rows at each scrape."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    depth = Gauge("moqi_jobs", "Jobs by kind and state.", ["kind", "state"], registry=registry)
    rate = Gauge("moqi_seconds_per_work", "Measured seconds per unit of work.", ["kind"], registry=registry)
    ready = Gauge("moqi_image_model_ready", "1 when the image model is loaded.", registry=registry)
    answering = Gauge("moqi_text_model_ready", "1 when answers are not quotations for want of it.", registry=registry)
    pending = Gauge("moqi_outbox_oldest_seconds", "Age of the oldest message that is due.", registry=registry)
    joined = Gauge("moqi_platform_connected", "1 in the process that holds it.", ["platform"], registry=registry)
    waiting = Gauge("moqi_reservations", "Reservations that wait for their time.", registry=registry)
    late = Gauge("moqi_reservation_late_seconds", "How long the oldest due reservation waits.", registry=registry)
    held = Gauge("moqi_reviews_open", "Pictures that wait for a reviewer.", registry=registry)
    unseen = Gauge("moqi_review_oldest_seconds", "How long the oldest of them waits.", registry=registry)
    await _knowledge(services, registry)
    count, since = await services.db.read(reviews.standing)
    held.set(count)
    unseen.set((utcnow() - since).total_seconds() if since else 0.0)
    booked, overdue = await services.db.read(_reserved)
    waiting.set(booked)
    late.set(overdue)
    found = await services.db.read(_numbers)
    for (kind, state), count in found.items():
        depth.labels(kind.value, state.value).set(count)
    for kind in Kind:
        rate.labels(kind.value).set((await services.db.read(jobs.peek_lane, kind)).rate)
    for listener in services.listeners:
        joined.labels(listener.name).set(listener.connected)
    ready.set(services.device.state is DeviceState.READY)
    answering.set(services.engines()[Kind.ASK].state in ("ready", "asleep"))
    due = await services.db.read(outbox.next_due)
    pending.set(max(0.0, (utcnow() - due).total_seconds()) if due else 0.0)
    services.search.measure(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


async def _knowledge(services: Services, registry: CollectorRegistry) -> None:
    """How much the knowledge base holds, and how its sources were read last, by kind: an address would say too much."""
    from prometheus_client import Gauge

    held = Gauge("moqi_documents", "Documents, by kind of source.", ["source"], registry=registry)
    pieces = Gauge("moqi_passages", "Passages, by kind of source.", ["source"], registry=registry)
    age = Gauge("moqi_source_read_age_seconds", "Since the source read longest ago.", ["source"], registry=registry)
    failed = Gauge("moqi_source_failed_documents", "Not readable at the last reading.", ["source"], registry=registry)
    broken = Gauge("moqi_sources_broken", "Sources not read to their end.", ["source"], registry=registry)
    for source, found in (await services.db.read(documents.totals)).items():
        held.labels(_kind(source)).inc(found.documents)
        pieces.labels(_kind(source)).inc(found.passages)
    read = await services.db.read(syncs.all_syncs)
    for one in read:
        if one.finished_at is None or one.report is None:
            continue
        failed.labels(_kind(one.source)).inc(int(one.report.get("failed", 0)))
        broken.labels(_kind(one.source)).inc(bool(one.report.get("problem")))
        oldest = min(each.finished_at for each in read if each.finished_at and _kind(each.source) == _kind(one.source))
        age.labels(_kind(one.source)).set((utcnow() - oldest).total_seconds())


def _kind(source: str) -> str:
    return source.partition(":")[0] or "hand"


def _numbers(conn: Connection) -> dict[tuple[Kind, JobState], int]:
    return {(kind, state): jobs.count(conn, state, kind=kind) for kind in Kind for state in JobState}


def _reserved(conn: Connection) -> tuple[int, float]:
    """How many reservations are active, and for how many seconds the oldest of them has been due."""
    now = utcnow()
    due = reservations.due(conn, now, 1)
    overdue = (now - due[0][1]).total_seconds() if due else 0.0
    return reservations.count(conn, ReservationState.ACTIVE), overdue
