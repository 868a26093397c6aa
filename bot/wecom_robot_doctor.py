"""What `moqi doctor` looks at in WeCom's smart robot: its connection or its address, its name, whom it knows.

A robot has one connection, and who connects throws the one before out (trap 12): it is tried only while the lease that
a server would hold is ours.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from bot.doctor import PATIENCE, Check, failed
from bot.opening import database_of
from bot.platforms.wecom import inspection
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.inspection import RANGE_PAGE, ROBOT_PAGE, Subscription
from bot.platforms.wecom.people import missed, trouble
from bot.platforms.wecom.places import PLATFORM
from bot.platforms.wecom.robot.codes import WRONG_SECRET
from bot.platforms.wecom.settings import RobotMode, WecomAibot, WecomApp
from bot.settings import Environment
from bot.settings.platforms import Platforms
from storage import leases, links
from storage.database import Database
from storage.errors import StorageError
from storage.migrations import current, revisions
from storage.records import utcnow

_HOLD: Final = timedelta(seconds=4 * PATIENCE)  # nobody else dials the robot while it is being tried
#: What WeCom gives instead of a userid, in lower case as people here are keyed by it.
_ENCRYPTED: Final = re.compile(r"w[om][\w-]{22,}")
_OTHER_ROBOT: Final = (
    "Have a super-admin (超级管理员) create the robot, or enable wecom.app, which resolves its ids: until then people "
    "have no names, and count anew wherever else they write."
)
_WIDEN: Final = f"Whom the app does not see keeps the robot's id: {RANGE_PAGE}."


class _OtherVersion(StorageError):
    """The database does not have the tables of this version."""

    next_step = "The next start brings it to this version's tables, or: moqi migrate (make a backup first)"


def robot(platforms: Platforms, environment: Environment, address: str) -> Iterator[Check]:
    """The checks of the smart robot; `address` is where WeCom reaches the server."""
    wanted = platforms.wecom.aibot
    if wanted.mode is RobotMode.CALLBACK:
        yield _posted(address)
    else:
        yield _connected(wanted, environment)
    yield _name(wanted)
    yield _known(platforms, environment)


def _posted(address: str) -> Check:
    step = (
        f"Enter {address}/wecom/aibot as URL, with the same Token and EncodingAESKey: {ROBOT_PAGE} > "
        "设置接收消息回调地址. Save it while `moqi serve` runs. WeCom serves one way only: with 使用长连接 chosen "
        "there, nothing is posted."
    )
    return Check(name="wecom robot", detail="by callback; token and encoding_aes_key are set", next_step=step)


def _connected(wanted: WecomAibot, environment: Environment) -> Check:
    """Try the long connection, unless a server has it: a second one would throw that out (trap 12)."""
    name = "wecom robot"
    owner = f"doctor:{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    try:
        with _kept(environment) as db:
            if db is None:  # nothing was ever served with this data
                return _accepted(asyncio.run(inspection.subscribe(wanted, PATIENCE)), wanted)
            now = utcnow()
            if not db.run_sync(leases.take, lease(wanted), owner, now + _HOLD, now):
                detail = "a running server holds its long connection, so it is left alone"
                return Check(name=name, detail=detail, next_step="Whether WeCom accepts it says /readyz: `degraded`.")
            try:
                return _accepted(asyncio.run(inspection.subscribe(wanted, PATIENCE)), wanted)
            finally:
                db.run_sync(leases.release, lease(wanted), owner, utcnow())
    except StorageError as error:
        detail = f"not tried: whether a server has its connection cannot be told ({error.problem})"
        return Check(name=name, detail=detail, next_step=error.next_step)


def lease(wanted: WecomAibot) -> str:
    """What the server that has the robot's connection holds."""
    return f"long-connection:wecom:{wanted.bot_id}"


def _accepted(told: Subscription, wanted: WecomAibot) -> Check:
    name = "wecom robot"
    if told.code is None:
        step = "Check the network and any proxy of this machine, and wecom.aibot.ws_url in platforms.yaml."
        return failed(name, f"{wanted.ws_url} does not answer: {told.said}.", step)
    if told.code == WRONG_SECRET:
        step = f"{_blamed(wanted)} There 使用长连接 must be chosen: with 设置接收消息回调地址 this is refused, too."
        return failed(name, f"WeCom {told.code}: {told.said}.", step)
    if told.code:
        return failed(name, f"WeCom {told.code}: {told.said}.", f"Look at {ROBOT_PAGE}.")
    step = (
        "Who may talk to it: 可使用的成员 on its page. If only its creator can, WeCom's own tools made it (they do in "
        "companies of 10 people or fewer): make one by hand, 手动创建 > API 模式创建. Keep it to this one server: each "
        "further program that connects throws the one before out."
    )
    return Check(name=name, detail="by long connection, which WeCom accepts", next_step=step)


def _blamed(wanted: WecomAibot) -> str:
    """WeCom does not say which of the two it means; their form does."""
    if wanted.secret.get_secret_value().startswith("aib"):
        return f"wecom.aibot.secret is a Bot ID: copy both again from {ROBOT_PAGE}."
    if not wanted.bot_id.startswith("aib"):
        return f"wecom.aibot.bot_id begins with aib, this one does not: copy it from {ROBOT_PAGE} > Bot ID."
    return (
        f"wecom.aibot.bot_id looks right, so it is the secret: get a new one from {ROBOT_PAGE} > Secret (it is shown "
        "once, and a new one ends the one before)."
    )


def _name(wanted: WecomAibot) -> Check:
    if wanted.name.strip():
        step = "It must be the name in WeCom, with its spaces: it is taken off what people write in groups."
        return Check(name="wecom robot name", detail=f"mentioned as @{wanted.name}", next_step=step)
    step = "Set wecom.aibot.name to the name in WeCom: without it one with a space is taken for half a mention."
    return Check(name="wecom robot name", detail="not set", next_step=step)


def _known(platforms: Platforms, environment: Environment) -> Check:
    """Whether the robot's people are known by their own ids, as far as they have written."""
    name, wanted = "wecom robot people", platforms.wecom
    try:
        with _kept(environment) as db:
            met, unexplained = (0, set[str]()) if db is None else db.read_sync(_ids)
    except StorageError as error:
        return Check(name=name, detail=f"cannot be told ({error.problem})", next_step=error.next_step)
    if wanted.app.enabled:
        return _resolved(asyncio.run(_resolves(wanted.app)), met, len(unexplained))
    encrypted = sum(1 for one in unexplained if _ENCRYPTED.fullmatch(one))
    if encrypted:
        detail = f"{encrypted} of {met} are known by an encrypted id only: the robot's creator is no super-admin"
        return Check(name=name, detail=detail, next_step=_OTHER_ROBOT)
    step = f"Without the app {missed(wanted)}"
    return Check(name=name, detail="known by the ids that the robot is told", next_step=step)


def _ids(conn: Connection) -> tuple[int, set[str]]:
    """How many ids of the robot's were met, and those that nobody has explained, in lower case."""
    return links.count(conn, PLATFORM)[0], links.unexplained(conn, PLATFORM)


async def _resolves(wanted: WecomApp) -> str:
    """Why the app cannot tell whose the robot's ids are; empty = it can."""
    client = WecomClient(wanted, timeout=PATIENCE)
    try:
        async with asyncio.timeout(2 * PATIENCE):
            return await trouble(client)
    except TimeoutError:
        return "it took too long"
    finally:
        await client.close()


def _resolved(why_not: str, met: int, left: int) -> Check:
    name = "wecom robot people"
    if why_not:
        step = "Set that right: until then somebody counts anew by the robot and by the app."
        why = why_not.partition("; it said")[0]
        return Check(name=name, detail=f"the app cannot tell whose the robot's ids are ({why})", next_step=step)
    if left:
        step = f"The server asks again within minutes, while it runs. {_WIDEN}"
        return Check(name=name, detail=f"{left} of {met} ids are not resolved yet", next_step=step)
    return Check(name=name, detail=f"the app tells who they are ({met} met)", next_step=_WIDEN)


@contextmanager
def _kept(environment: Environment) -> Iterator[Database | None]:
    """The database; None where nothing was ever kept. Raises StorageError, also for one of another version."""
    url = database_of(environment)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        yield None
        return
    if current(url) != revisions()[0]:
        raise _OtherVersion
    with Database.open(url) as db:
        yield db
