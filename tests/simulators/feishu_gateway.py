"""Feishu's long-connection gateway on 127.0.0.1: addresses with tickets, frames, pongs, acknowledgements, bad days.

A thread per connection. The frames are made and read with lark-oapi's protobuf module, and its unmodified `ws.Client`
passes against it (test_feishu_gateway.py). FeishuSimulator owns one and pushes through it while it has no `bot_url`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from bot.platforms.feishu.frames import CONTROL, DATA, Frame, decode, encode

LIMIT = 50  # connections of one app
PATIENCE = 3.0  # seconds until an event counts as not acknowledged
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": 120}


@dataclass
class Sending:
    """One event on its way over one connection, until its acknowledgement."""

    frames: list[Frame]
    began: float  # time.perf_counter()
    code: int = 0  # of the acknowledgement; 0 = none came
    data: Any = None  # what answers a callback
    ended: float = 0.0
    problem: str = ""  # what was wrong with the acknowledgement
    done: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The acknowledgement's code; 0 when none came in time. Fails when it was not a right one."""
        self.done.wait(seconds)
        assert not self.problem, self.problem
        return self.code


@dataclass
class Link:
    """One connected client."""

    line: ServerConnection
    device: str
    pings: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, frame: Frame) -> bool:
        """Whether the frame could be written."""
        try:
            with self.lock:
                self.line.send(encode(frame))
        except (ConnectionClosed, OSError):
            return False
        return True


class Gateway:
    """Gives out addresses, keeps the connections, sends events to one of them at random."""

    def __init__(self, name: str = "gateway") -> None:
        self.service = 33554678
        self.config: dict[str, Any] = dict(CONFIG)  # given with the address
        self.news: dict[str, Any] | None = None  # a new ClientConfig, given with the next pong
        self.mute = False  # half open: nothing is answered any more
        self.limit = LIMIT
        self.pieces = 1  # into which each event is cut
        self.shuffled = False  # the pieces come in another order
        self.doubled = False  # each event comes twice
        self.refusals: list[dict[str, str]] = []  # headers with which the next handshakes are refused
        self.asked = 0  # addresses given out
        self.opened = 0  # connections that came about
        self.links: list[Link] = []
        self.strange: list[str] = []  # what clients sent that no client sends
        self._tickets: dict[str, str] = {}  # ticket -> device
        self._waiting: dict[tuple[str, int], Sending] = {}
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)
        quiet = logging.getLogger(f"tests.simulators.{name}")
        quiet.setLevel(logging.CRITICAL + 1)  # the library complains loudly of the cuts we make
        self._server: Server = serve(
            self._talk, "127.0.0.1", 0, process_request=self._door, ping_interval=None, logger=quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name=name, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """End every connection and listen no more."""
        self.cut()
        self._server.shutdown()
        self._thread.join()
        for end in (self._server.shutdown_watcher, self._server.shutdown_notifier):
            os.close(end)  # the library leaves its pipe open, and a thousand tests make a thousand simulators

    # -- what shall happen -------------------------------------------------------------------------------------------

    def refuse(self, status: int, message: str = "as ordered", code: int = 0, times: int = 1) -> None:
        """Refuse the next handshakes: 403 = forbidden, 514 = see the code (1000040350 = too many connections)."""
        headers = {"Handshake-Status": str(status), "Handshake-Msg": message}
        if code:
            headers["Handshake-Autherrcode"] = str(code)
        self.refusals += [headers] * times

    def kick(self) -> None:
        """Close every connection in order; does not wait for it."""
        for link in self._all():
            threading.Thread(target=link.line.close, args=(1000, "kicked"), daemon=True).start()

    def cut(self) -> None:
        """End every connection without a word."""
        for link in self._all():
            try:
                link.line.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # gone already

    def wait(self, what: Callable[[Gateway], bool], seconds: float = 20.0) -> None:
        """Wait until `what` holds; it is looked at whenever a connection comes, goes or pings."""
        with self._moved:
            assert self._moved.wait_for(lambda: what(self), seconds), "the gateway waited in vain"

    def connected(self, count: int = 1, seconds: float = 20.0) -> None:
        """Wait until so many clients are connected."""
        self.wait(lambda gateway: len(gateway.links) == count, seconds)

    # -- the address -------------------------------------------------------------------------------------------------

    def address(self) -> dict[str, Any]:
        """The answer of the address endpoint to an app with the right secret."""
        with self._lock:
            self.asked += 1
            device, ticket = str(random.randrange(10**18, 10**19)), secrets.token_hex(16)
            self._tickets[ticket] = device
        port = self._server.socket.getsockname()[1]
        url = (
            f"ws://127.0.0.1:{port}/ws/v2?fpid=493&aid=552564&device_id={device}"
            f"&access_key={secrets.token_hex(16)}&service_id={self.service}&ticket={ticket}"
        )
        return {"URL": url, "ClientConfig": dict(self.config)}

    def _door(self, line: ServerConnection, request: Request) -> Response | None:
        ticket = parse_qs(urlsplit(request.path).query).get("ticket", [""])[0]
        with self._lock:
            if self.refusals:
                return _refusal(self.refusals.pop(0))
            device = self._tickets.pop(ticket, "")
            if not device:
                return _refusal({"Handshake-Status": "403", "Handshake-Msg": "invalid ticket"})
            if len(self.links) >= self.limit:
                said = {"Handshake-Status": "514", "Handshake-Msg": "too many", "Handshake-Autherrcode": "1000040350"}
                return _refusal(said)
            line.username = device
        return None

    # -- the connection ----------------------------------------------------------------------------------------------

    def _talk(self, line: ServerConnection) -> None:
        link = Link(line=line, device=line.username or "")
        with self._moved:
            self.links.append(link)
            self.opened += 1
            self._moved.notify_all()
        try:
            for raw in line:
                self._receive(link, raw)
        except (ConnectionClosed, OSError):
            pass  # that is what happens to connections
        finally:
            with self._moved:
                self.links.remove(link)
                self._moved.notify_all()

    def _receive(self, link: Link, raw: str | bytes) -> None:
        if not isinstance(raw, bytes):
            self.strange.append(f"a text message: {raw[:100]}")
            return
        frame = decode(raw)
        if self.mute:
            return
        if frame.method == DATA:
            self._acknowledged(link, frame)
        elif frame.method == CONTROL and frame.kind == "ping" and frame.service == self.service:
            self._pong(link)
        else:
            self.strange.append(f"a frame of method {frame.method}, kind {frame.kind!r}, service {frame.service}")

    def _pong(self, link: Link) -> None:
        with self._moved:
            news, self.news = self.news, None
            payload = json.dumps(news).encode() if news else b""
            link.send(Frame(method=CONTROL, service=self.service, headers={"type": "pong"}, payload=payload))
            link.pings += 1
            self._moved.notify_all()

    # -- events ------------------------------------------------------------------------------------------------------

    def send(self, envelope: Mapping[str, Any], kind: str = "event") -> Sending | None:
        """Send an event to one of the connections; None when there is none."""
        links = self._all()
        if not links:
            return None
        link = random.choice(links)
        sending = Sending(frames=self._frames(envelope, kind), began=time.perf_counter())
        with self._lock:
            for frame in sending.frames:
                self._waiting[link.device, frame.seq_id] = sending
        order = list(sending.frames)
        if self.shuffled:
            random.shuffle(order)
        for frame in order * 2 if self.doubled else order:
            link.send(frame)
        return sending

    def send_raw(self, raw: bytes) -> None:
        """Send any bytes to every connection."""
        for link in self._all():
            with link.lock:
                link.line.send(raw)

    def _frames(self, envelope: Mapping[str, Any], kind: str) -> list[Frame]:
        whole = json.dumps(envelope, ensure_ascii=False).encode()
        count, message_id = max(1, min(self.pieces, len(whole))), secrets.token_hex(16)
        size = -(-len(whole) // count)
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        return [
            Frame(
                method=DATA,
                service=self.service,
                headers={
                    "type": kind,
                    "message_id": message_id,
                    "sum": str(len(parts)),
                    "seq": str(number),
                    "trace_id": secrets.token_hex(16),
                    "timestamp": str(int(time.time() * 1000)),
                    "instance_id": "gateway-1",
                },
                payload=part,
                seq_id=secrets.randbits(60) + 1,
                log_id=secrets.randbits(60) + 1,
                log_id_new=secrets.token_hex(8),
            )
            for number, part in enumerate(parts)
        ]

    def _acknowledged(self, link: Link, frame: Frame) -> None:
        with self._lock:
            sending = self._waiting.get((link.device, frame.seq_id))
        if sending is None:
            self.strange.append(f"an acknowledgement of nothing: {frame.payload[:100]!r}")
            return
        if not sending.done.is_set():
            sending.problem = _judged(next(f for f in sending.frames if f.seq_id == frame.seq_id), frame)
            if not sending.problem:
                said = json.loads(frame.payload)
                sending.code = said["code"]
                sending.data = json.loads(base64.b64decode(said["data"])) if said.get("data") else None
            sending.ended = time.perf_counter()
            sending.done.set()

    def _all(self) -> list[Link]:
        with self._lock:
            return list(self.links)


def _judged(sent: Frame, ack: Frame) -> str:
    """What is wrong with an acknowledgement; empty when nothing is."""
    wanted = (sent.seq_id, sent.log_id, sent.service, sent.method)
    if (ack.seq_id, ack.log_id, ack.service, ack.method) != wanted:
        return f"the acknowledgement is of another frame: {ack}"
    if any(ack.headers.get(name) != value for name, value in sent.headers.items()):
        return f"the acknowledgement does not echo the headers: {ack.headers}"
    try:
        said = json.loads(ack.payload)
        if said["code"] == 200 and not ack.headers["biz_rt"].isdigit():
            return f"biz_rt is no number: {ack.headers}"
        json.loads(base64.b64decode(said["data"], validate=True)) if said.get("data") else None
    except (ValueError, KeyError, TypeError) as error:
        return f"the acknowledgement cannot be read: {error!r}: {ack.payload[:200]!r} {ack.headers}"
    return "" if said["code"] in (200, 500) else f"the acknowledgement's code: {said['code']}"


def _refusal(headers: Mapping[str, str]) -> Response:
    body = headers["Handshake-Msg"].encode()
    given = Headers({"Content-Length": str(len(body)), "Connection": "close", **headers})
    return Response(403 if headers["Handshake-Status"] == "403" else 401, "Refused", given, body)
