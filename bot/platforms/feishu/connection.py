"""Our side of Feishu's long connection: dial, show that we are there, hand over what comes, acknowledge it, come back.

lark-oapi's own client is not used: it waits for the network inside the event loop, dies of one refusal at a
reconnect, and notices a silent connection never. This one comes back after every error, whatever it is called.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from bot.platforms.feishu import endpoint, frames
from bot.platforms.feishu.endpoint import Door, NotConnected, Wishes
from bot.platforms.feishu.frames import Frame
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.trust import trusted
from storage.records import utcnow

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log = logging.getLogger("moqi.feishu")
_quiet = logging.getLogger("moqi.feishu.websocket")  # the library's own: at DEBUG it would show the address's ticket
_quiet.setLevel(logging.INFO)

AT_ONCE: Final = 512  # events in hand; more are sent back and come again in 15 s
MAX_FRAME: Final = 4_000_000  # bytes
LONGEST: Final = 60.0  # seconds between two tries, if Feishu allows more
SPREAD: Final = 2.0  # seconds before the first try, if Feishu allows more: people wait

Take = Callable[[bytes], Awaitable[Mapping[str, Any] | None]]  # when it raises, Feishu is to send again


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long we wait, in seconds."""

    address: float = 10.0  # for the address, and again for the handshake
    pong: float = 20.0  # for any sign of life after a ping
    retry: float = 1.0  # before the second try to connect; then twice as long each time
    work: float = 5.0  # for events in hand, when we stop


def pause(attempt: int, wishes: Wishes, chance: float, retry: float = 1.0) -> float:
    """Seconds before try number `attempt` (0 = the first after a good connection); `chance` is in 0..1."""
    if attempt == 0:
        return chance * min(wishes.spread, SPREAD)
    return (0.5 + chance / 2) * min(retry * 2.0 ** min(attempt - 1, 10), wishes.again, LONGEST)


class Connection:
    """One long connection, opened again whenever it ends, until `stop`."""

    def __init__(
        self,
        settings: FeishuSettings,
        take: Take,
        opened: Callable[[], None],
        *,
        section: str = "feishu",
        patience: Patience = Patience(),
    ) -> None:
        """`opened` is called after each handshake; `section` is where the settings stand in platforms.yaml."""
        self._settings = settings
        self._take = take
        self._opened = opened
        self._section = section
        self._patience = patience
        self._wishes = Wishes()
        self._line: ClientConnection | None = None
        self._fragments = frames.Fragments()
        self._handling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._heard = 0.0  # of the monotonic clock
        self.heard_at: datetime | None = None  # when the last frame came
        self.connected = False
        self.changed = time.monotonic()  # when `connected` changed last
        self.problem = ""  # why it is not connected

    async def run(self) -> None:
        """Connect, and connect again, until `stop`."""
        attempt = 0
        while not self._stopping.is_set():
            self._heard = 0.0
            try:
                self.problem = await self._once()
            except NotConnected as error:
                self.problem = str(error)
            except Exception as error:  # whatever it was, it must not be the end
                self.problem = f"unforeseen: {type(error).__name__}"
                log.exception("%s: the long connection met a defect", self._section)
            if self.connected:
                self.connected, self.changed = False, time.monotonic()
            self._line = None
            if self._stopping.is_set():
                return
            attempt = 0 if self._heard else attempt + 1
            await self._rest(pause(attempt, self._wishes, random.random(), self._patience.retry))

    async def stop(self) -> None:
        """Take nothing more, finish and acknowledge what is in hand, then close. `run` may then be cancelled."""
        self._stopping.set()
        if self._handling:
            await asyncio.wait(set(self._handling), timeout=self._patience.work)
        if self._line is not None:
            await self._line.close()

    async def _rest(self, seconds: float) -> None:
        action = {"action": "feishu-disconnected"}
        log.warning("%s: not connected: %s (again in %.1f s)", self._section, self.problem, seconds, extra=action)
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _once(self) -> str:
        """One connection from its opening to its end; why it ended. Raises NotConnected."""
        from websockets.exceptions import ConnectionClosed

        door = await self._address()
        self._wishes = door.wishes
        line = await self._dial(door)
        self._line = line
        self._hear()
        self.connected, self.changed, self.problem = True, time.monotonic(), ""
        log.info("%s: long connection %s open", self._section, door.device, extra={"action": "feishu-connected"})
        pings = asyncio.create_task(self._ping(line, door.service))
        try:
            self._opened()
            async for raw in line:
                self._receive(line, raw)
            return "Feishu closed the connection"
        except ConnectionClosed as error:
            return "the connection was cut" if error.rcvd is None else f"Feishu closed it with {error.rcvd.code}"
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
            line.transport.abort()  # nothing is left half open, also when we were cancelled

    async def _address(self) -> Door:
        patience = self._patience.address
        try:
            async with asyncio.timeout(2 * patience), httpx.AsyncClient(timeout=patience, verify=trusted()) as http:
                return await endpoint.ask(http, self._settings, self._wishes, self._section)
        except TimeoutError as error:  # httpx counts each step anew: an answer that drips would take for ever
            raise NotConnected(f"{self._settings.domain} does not answer in time") from error

    async def _dial(self, door: Door) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            return await connect(
                door.url, open_timeout=self._patience.address, close_timeout=2, max_size=MAX_FRAME, logger=_quiet
            )
        except InvalidStatus as error:
            response = error.response
            raise endpoint.refused(
                response.headers, response.status_code, self._settings.domain, self._section
            ) from error
        except (OSError, TimeoutError, WebSocketException) as error:  # the text may show the address
            raise NotConnected(f"the gateway cannot be reached: {type(error).__name__}") from None

    async def _ping(self, line: ClientConnection, service: int) -> None:
        """Ping as often as Feishu wishes; when nothing at all comes back, cut the line: it is dead."""
        while True:
            sent, wait = time.monotonic(), min(self._patience.pong, self._wishes.ping)
            try:
                async with asyncio.timeout(wait):
                    await line.send(frames.encode(frames.ping(service)))
            except TimeoutError:
                break  # nobody takes our bytes any more
            await asyncio.sleep(wait)
            if self._heard < sent:
                break
            await asyncio.sleep(max(0.0, sent + self._wishes.ping - time.monotonic()))
        log.warning("%s: no answer to a ping, the connection is dead", self._section)
        line.transport.abort()

    def _hear(self) -> None:
        self._heard, self.heard_at = time.monotonic(), utcnow()

    def _receive(self, line: ClientConnection, raw: bytes | str) -> None:
        self._hear()
        if self._stopping.is_set():
            return  # not acknowledged: it comes again, to whoever is connected then
        try:
            frame = frames.decode(raw.encode() if isinstance(raw, str) else raw)
            if frame.method == frames.CONTROL:
                self._control(frame)
            elif (payload := self._fragments.join(frame, time.monotonic())) is not None:
                self._start(line, frame, payload)
        except frames.BadFrame as error:
            log.warning("%s: passed over %s", self._section, error)

    def _control(self, frame: Frame) -> None:
        if frame.kind == "pong" and frame.payload:
            self._wishes = self._wishes.updated(endpoint.parsed(frame.payload))

    def _start(self, line: ClientConnection, frame: Frame, payload: bytes) -> None:
        task = asyncio.create_task(self._deal(line, frame, payload, refuse=len(self._handling) >= AT_ONCE))
        self._handling.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._handling.discard)

    async def _deal(self, line: ClientConnection, frame: Frame, payload: bytes, *, refuse: bool) -> None:
        """Hand an event over, and acknowledge it once that is done."""
        from websockets.exceptions import ConnectionClosed

        began = time.monotonic()
        code, data = 500, None
        if refuse:
            log.warning("%s: %d events in hand, another is to come again", self._section, AT_ONCE)
        else:
            code, data = await self._handed_over(frame, payload)
        spent = int(1000 * (time.monotonic() - began))
        try:
            await line.send(frames.encode(frames.acknowledged(frame, code, spent, data)))
        except ConnectionClosed:
            log.info("%s: an event was dealt with after its connection had ended; it comes again", self._section)

    async def _handed_over(self, frame: Frame, payload: bytes) -> tuple[int, Mapping[str, Any] | None]:
        if frame.kind != "event":
            return 200, None  # the old kind of card, or one that is still to be invented: nothing to do, ever
        try:
            return 200, await self._take(payload)
        except Exception:  # whatever it was: Feishu must hear that it is to come again
            log.exception("%s: an event was not kept, it comes again", self._section, extra={"action": "event-refused"})
            return 500, None
