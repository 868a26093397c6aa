"""Our side of the robot's long connection: dial, subscribe, hand over what comes, ask and be answered, come back.

The published clients are not used: one ends for good when WeCom closes a connection in order, another takes the robot
back from whoever has it now, and both let a slow handler hold up the answers to everything else. Here what comes is
handed over without waiting, an answer is found by the req_id of what was asked, and whatever ends a connection, the
next one is opened; except when another program has taken the robot, for two that do so kick each other for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bot.platforms.base import Elsewhere, PlatformError, Unconfigured
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.robot.codes import WRONG_SECRET, Unsure, error_of
from bot.platforms.wecom.robot.frames import BadFrame, Body, Frame
from bot.platforms.wecom.settings import WecomAibot

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log = logging.getLogger("moqi.wecom")
_quiet = logging.getLogger("moqi.wecom.websocket")  # the library's own: at DEBUG it would show the secret
_quiet.setLevel(logging.INFO)

MAX_FRAME: Final = 4_000_000  # bytes
LONGEST: Final = 30.0  # seconds between two tries to connect
SPREAD: Final = 0.2  # seconds before the first one: what people write meanwhile is lost
STEADY: Final = 1.0  # seconds that a good connection lasts
MISSED: Final = 2  # pings in a row without an answer: the connection is dead
DISPLACED: Final = "disconnected_event"

Heard = Callable[[Frame], None]  # a message or an event; must not wait and must not raise


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long we wait, in seconds."""

    dial: float = 10.0  # for the handshake, and again for the subscription
    answer: float = 15.0  # for an answer to what was asked, while the connection lives
    ping: float = 30.0  # between two pings, and for the answer to one
    retry: float = 1.0  # before the second try to connect; then twice as long each time
    refused: float = 600.0  # until a refused secret is tried again: somebody has to set it right
    keep: float = 0.5  # until events that could not be kept are tried again; then twice as long each time
    work: float = 5.0  # for what is in hand, when we stop


class NotConnected(Exception):
    """No connection came about. The message says why, and shows no secret."""


class Refused(NotConnected):
    """WeCom does not accept who we are."""


def pause(attempt: int, chance: float, retry: float = 1.0) -> float:
    """Seconds before try number `attempt` (0 = the first after a good connection); `chance` is in 0..1."""
    if attempt == 0:
        return chance * min(SPREAD, retry)
    return (0.5 + chance / 2) * min(retry * 2.0 ** min(attempt - 1, 10), LONGEST)


def following(attempt: int, lasted: float | None, steady: float = STEADY) -> int:
    """The number of the next try, after a connection that lasted so many seconds; None = it did not come about."""
    if lasted is None:
        return attempt + 1
    return 0 if lasted >= steady else 1  # one that ends at once must not become a loop


class Connection:
    """One robot's long connection, opened again whenever it ends, until `stop` or until it is displaced."""

    def __init__(
        self,
        settings: WecomAibot,
        heard: Heard,
        opened: Callable[[], None],
        *,
        wait: float = 0.0,
        patience: Patience = Patience(),
    ) -> None:
        """`opened` is called for each new connection, before anything comes over it; nothing is tried for `wait` s."""
        self._settings = settings
        self._heard = heard
        self._opened = opened
        self._wait = wait
        self._patience = patience
        self._line: ClientConnection | None = None
        self._pending: dict[str, asyncio.Future[Frame | None]] = {}  # by req_id, what we asked; None = lost
        self._answered = 0.0  # when anything was answered last, of the monotonic clock
        self._stopping = asyncio.Event()
        self.connected = False
        self.displaced = False  # another program has the robot now
        self.refused = False  # the robot's id or secret is wrong
        self.changed = time.monotonic()  # when `connected` changed last
        self.problem = ""  # why it is not connected

    async def run(self) -> None:
        """Connect, and connect again, until `stop` or until the robot is somebody else's."""
        attempt = 0
        if self._wait:
            await self._rest(self._wait)
        while not self._stopping.is_set():
            lasted = await self._try()
            if self._stopping.is_set():
                return
            if self.displaced:
                log.error("wecom: %s", self.problem, extra={"action": "wecom-displaced"})
                return
            attempt = following(attempt, lasted, min(STEADY, self._patience.retry))
            seconds = pause(attempt, random.random(), self._patience.retry)
            if self.refused:
                seconds = max(seconds, self._patience.refused)
            action = {"action": "wecom-disconnected"}
            log.warning("wecom: not connected: %s (again in %.1f s)", self.problem, seconds, extra=action)
            await self._rest(seconds)

    async def stop(self) -> None:
        """Close. What was asked and is not answered yet stays unsure."""
        self._stopping.set()
        if self._line is not None:
            await self._line.close()

    def unavailable(self) -> PlatformError | None:
        """Why nothing can be asked now; None when it can. Only an operator can help where it is Unconfigured."""
        if self.connected:
            return None
        if self.displaced or self.refused:
            return Unconfigured(self.problem)
        return Elsewhere(f"the robot is not connected: {self.problem or 'connecting'}")

    async def ask(
        self, cmd: str, body: Body | None = None, *, req_id: str = "", patience: float | None = None
    ) -> Frame:
        """Send a command and return its answer. `req_id` is that of what is answered by it, empty for a new one.

        Raises Elsewhere when nothing was written, Unsure when no answer came (in `patience` seconds, or before the
        connection ended), and what the answer's code means when it is not a success.
        """
        line = self._line
        if line is None or not self.connected:
            raise self.unavailable() or Elsewhere("the robot is not connected")
        answer = await self._exchange(line, cmd, body, req_id, self._patience.answer if patience is None else patience)
        if answer.code:
            raise error_of(answer)
        return answer

    async def _exchange(
        self, line: ClientConnection, cmd: str, body: Body | None, req_id: str, patience: float
    ) -> Frame:
        from websockets.exceptions import ConnectionClosed
        from websockets.protocol import State

        req_id = req_id or f"{cmd}_{secrets.token_hex(12)}"
        while (before := self._pending.get(req_id)) is not None:  # one at a time: their answers look the same
            await asyncio.wait({before})
        if line.state is not State.OPEN:
            raise Elsewhere("the robot's connection has just ended")
        pending: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()
        self._pending[req_id] = pending
        try:
            async with asyncio.timeout(patience):
                await line.send(frames.encode(cmd, req_id, body))
                answer = await pending
        except TimeoutError:
            raise Unsure(f"no answer to {cmd} in {patience:.0f} s") from None
        except ConnectionClosed:  # perhaps after the bytes had left
            answer = None
        finally:
            del self._pending[req_id]
            pending.cancel()  # wakes whoever waits for their turn
        if answer is None:
            raise Unsure(f"the connection ended before {cmd} was answered")
        return answer

    async def _try(self) -> float | None:
        """One connection from its opening to its end; how many seconds it lasted, if it came about. Sets `problem`."""
        since = None
        try:
            line = await self._dial()
            self._line = line
            self._opened()
            reading = asyncio.create_task(self._read(line), name="wecom robot reads")
            pinging: asyncio.Task[None] | None = None
            try:
                await self._subscribe(line)
                since = self.changed
                pinging = asyncio.create_task(self._ping(line), name="wecom robot pings")
                self.problem = await reading
            finally:
                await self._end(line, reading, pinging)
        except NotConnected as error:
            self.problem = str(error)
            self.refused = isinstance(error, Refused)
        except Exception as error:  # whatever it was, it must not be the end
            self.problem = f"unforeseen: {type(error).__name__}"
            log.exception("wecom: the long connection met a defect")
        if self.displaced:
            self.problem = (
                "another program has taken the robot over: a robot has one connection. Stop the other one, or give it"
                " a robot of its own, then restart this server"
            )
        return None if since is None else time.monotonic() - since

    async def _dial(self) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            return await connect(
                self._settings.ws_url,
                open_timeout=self._patience.dial,
                close_timeout=2,
                ping_interval=None,  # the protocol has pings of its own
                max_size=MAX_FRAME,
                logger=_quiet,
            )
        except InvalidStatus as error:
            raise NotConnected(f"WeCom answers HTTP {error.response.status_code}: a proxy, or an outage") from None
        except (OSError, TimeoutError, WebSocketException) as error:
            host = urlsplit(self._settings.ws_url).netloc  # what follows it might be a secret
            raise NotConnected(f"{host} cannot be reached: {type(error).__name__}") from None

    async def _subscribe(self, line: ClientConnection) -> None:
        """Say which robot we are. Events may come before the answer to that: it is found by its req_id."""
        body = frames.subscription(self._settings.bot_id, self._settings.secret.get_secret_value())
        try:
            answer = await self._exchange(line, frames.SUBSCRIBE, body, "", self._patience.dial)
        except (Unsure, Elsewhere) as error:
            raise NotConnected(f"WeCom did not answer the subscription: {error}") from None
        if answer.code == WRONG_SECRET:
            raise Refused(str(error_of(answer)))
        if answer.code:
            raise NotConnected(str(error_of(answer)))
        self.connected, self.refused, self.changed, self.problem = True, False, time.monotonic(), ""
        log.info("wecom: the robot is connected", extra={"action": "wecom-connected"})

    async def _read(self, line: ClientConnection) -> str:
        """Take what comes until the connection ends; why it ended. Never waits for what is done about it."""
        from websockets.exceptions import ConnectionClosed

        try:
            async for raw in line:
                self._receive(line, raw)
            why = "WeCom closed the connection"
        except ConnectionClosed as error:
            why = "the connection was cut" if error.rcvd is None else f"WeCom closed it with {error.rcvd.code}"
        self._lose()
        return why

    def _receive(self, line: ClientConnection, raw: str | bytes) -> None:
        try:
            frame = frames.decode(raw)
        except BadFrame as error:
            log.warning("wecom: passed over %s", error)
            return
        asked = self._pending.get(frame.req_id)
        if frame.is_answer:
            if asked is None or asked.done():
                log.debug("wecom: an answer that nobody waits for")
            else:
                self._answered = time.monotonic()
                asked.set_result(frame)
        elif frame.event_type == DISPLACED:
            self.displaced = True
            line.transport.close()  # at once: WeCom itself closes it minutes later
        elif frame.cmd in (frames.MESSAGE, frames.EVENT):
            self._heard(frame)

    async def _ping(self, line: ClientConnection) -> None:
        """Show that we are there; when nothing at all is answered any more, cut the line: it is dead."""
        missed = 0
        while missed < MISSED:
            if not missed:
                await asyncio.sleep(self._patience.ping)
            sent = time.monotonic()
            try:
                await self._exchange(line, frames.PING, None, "", self._patience.ping)
            except Elsewhere:
                return
            except Unsure:
                missed = 0 if self._answered > sent else missed + 1
            else:
                missed = 0
        log.warning("wecom: %d pings in a row were not answered, the connection is dead", missed)
        line.transport.abort()

    async def _end(
        self, line: ClientConnection, reading: asyncio.Task[str], pinging: asyncio.Task[None] | None
    ) -> None:
        if self.connected:
            self.connected, self.changed = False, time.monotonic()
        self._line = None
        tasks: list[Awaitable[object]] = [reading]
        reading.cancel()
        if pinging is not None:
            pinging.cancel()
            tasks.append(pinging)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lose()
        await line.close()

    def _lose(self) -> None:
        """Nothing that was asked will be answered any more."""
        for pending in self._pending.values():
            if not pending.done():
                pending.set_result(None)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
