"""The robots' long-connection server on 127.0.0.1: frames, acknowledgements, displaced connections, bad days."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.simulators.feishu_http import Fault
from tests.simulators.wecom_http import HINT
from tests.simulators.wecom_media import Media
from tests.simulators.wecom_robot import Asked, RobotSide
from tests.simulators.wecom_world import Refused, Robot, World

_ACTS = ("drop", "late", "cut", "bye")  # faults with which a command acts all the same


@dataclass
class Link:
    """One connection."""

    line: ServerConnection
    number: int
    robot: Robot | None = None  # once subscribed
    displaced: bool = False  # by a newer one
    forgotten: bool = False  # it stands, but WeCom does not know it as the robot's any more
    pings: int = 0
    asked: dict[str, Asked] = field(default_factory=dict)  # by the req_id issued on this connection
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, text: str) -> bool:
        """Whether it could be written."""
        try:
            with self.lock:
                self.line.send(text)
        except (ConnectionClosed, OSError):
            return False
        return True

    def abort(self) -> None:
        """End it without a word: RST, and no close frame."""
        try:
            self.line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.line.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # gone already

    def close(self, code: int = 1000) -> None:
        """End it in order, without waiting for the other side."""
        threading.Thread(target=self.line.close, args=(code, "as ordered"), daemon=True).start()


class Gateway:
    """One connection per robot; a newer one displaces it."""

    def __init__(self, world: World, side: RobotSide, media: Media) -> None:
        self._world, self._side, self._media = world, side, media
        self.links: list[Link] = []
        self.opened = 0
        self.frames: list[dict[str, Any]] = []  # all that came in
        self.replays = False  # what came while nobody was connected is pushed to the next connection
        self._missed: list[Asked] = []
        self.displaced_seconds = 2.0  # from disconnected_event to the end of the old connection
        quiet = logging.getLogger("tests.simulators.wecom_gateway")
        quiet.setLevel(logging.CRITICAL + 1)  # the library complains loudly of the cuts we make
        self._server: Server = serve(
            self._talk, "127.0.0.1", 0, ping_interval=None, logger=quiet, max_size=4 * 1024 * 1024
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="wecom gateway", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and listen no more."""
        for link in self._all():
            link.abort()
        self._server.shutdown()
        self._thread.join()
        for end in (self._server.shutdown_watcher, self._server.shutdown_notifier):
            os.close(end)  # the library leaves its pipe open, and a thousand tests make a thousand simulators

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def of(self, robot: Robot) -> Link | None:
        """The connection that is a robot's."""
        with self._world.lock:
            return next(
                (link for link in self.links if link.robot is robot and not (link.displaced or link.forgotten)), None
            )

    def cut(self, robot: Robot | None = None) -> None:
        """End connections without a word."""
        for link in self._all():
            if robot is None or link.robot is robot:
                link.abort()

    def close(self, code: int = 1000, robot: Robot | None = None) -> None:
        """End connections in order."""
        for link in self._all():
            if robot is None or link.robot is robot:
                link.close(code)

    def forget(self, robot: Robot) -> None:
        """The connection stays and answers pings, but everything else is 846609 until it subscribes again."""
        with self._world.moved:
            for link in self.links:
                link.forgotten = link.forgotten or link.robot is robot
            self._world.moved.notify_all()

    # -- the connection ----------------------------------------------------------------------------------------------

    def _talk(self, line: ServerConnection) -> None:
        with self._world.moved:
            self.opened += 1
            link = Link(line=line, number=self.opened)
            self.links.append(link)
            self._world.moved.notify_all()
        try:
            for raw in line:
                self._receive(link, raw)
        except (ConnectionClosed, OSError):
            pass  # that is what happens to connections
        finally:
            with self._world.moved:
                self.links.remove(link)
                self._world.moved.notify_all()

    def _receive(self, link: Link, raw: str | bytes) -> None:
        try:
            frame = json.loads(raw)
            cmd, req_id = str(frame["cmd"]), frame["headers"]["req_id"]
            assert isinstance(req_id, str)
            assert 1 <= len(req_id.encode()) <= 256
        except (ValueError, KeyError, TypeError, AssertionError):
            self._world.strange.append(f"no frame: {raw[:200]!r}")
            return
        with self._world.moved:
            self.frames.append(frame)
            self._world.called(cmd)
        fault = self._world.take_fault(cmd)
        if fault is not None and fault.kind not in _ACTS:
            self._unheard(link, req_id, fault)
            return
        self._say(link, self._acted(link, cmd, req_id, frame.get("body") or {}), fault)

    def _acted(self, link: Link, cmd: str, req_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """The acknowledgement. It has no cmd."""
        try:
            with self._world.lock:
                more = self._do(link, cmd, req_id, body)
        except Refused as refused:
            return {
                "headers": {"req_id": req_id},
                "errcode": refused.code,
                "errmsg": f"{refused}, {HINT}query?e={refused.code}",
            }
        ack: dict[str, Any] = {"headers": {"req_id": req_id}, "errcode": 0, "errmsg": "ok"}
        return ack | {"body": more} if more else ack

    def _do(self, link: Link, cmd: str, req_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if cmd == "aibot_subscribe":
            self._subscribe(link, body)
            return {}
        if cmd == "ping":  # answered even where the subscription is gone
            link.pings += 1
            return {}
        if link.robot is None or link.displaced or link.forgotten:
            raise Refused(846609, "aibot websocket not subscribed")
        robot = link.robot
        acts: dict[str, Callable[[], dict[str, Any] | None]] = {
            "aibot_respond_msg": lambda: self._side.reply(self._issued(link, req_id), body),
            "aibot_respond_welcome_msg": lambda: self._side.welcome(self._issued(link, req_id), body),
            "aibot_respond_update_msg": lambda: self._side.update(self._issued(link, req_id), body),
            "aibot_send_msg": lambda: self._side.send(robot, body),
            "aibot_upload_media_init": lambda: self._media.begin(robot, body),
            "aibot_upload_media_chunk": lambda: self._media.piece(robot, body),
            "aibot_upload_media_finish": lambda: self._media.finish(robot, body),
        }
        if cmd not in acts:
            raise Refused(40058, f"unknown cmd {cmd}")
        return acts[cmd]() or {}

    def _issued(self, link: Link, req_id: str) -> Asked:
        """The callback that came under this req_id, on this very connection."""
        if req_id not in link.asked:
            raise Refused(846605, "invalid req_id")
        return link.asked[req_id]

    def _subscribe(self, link: Link, body: dict[str, Any]) -> None:
        robot = self._world.robot(str(body.get("bot_id")))
        if robot is None or robot.secret != body.get("secret") or robot.url:
            raise Refused(853000, "invalid bot_id or secret")  # and the connection stays
        before = self.of(robot)
        link.robot, link.displaced, link.forgotten = robot, False, False
        if before is not None and before is not link:
            before.displaced = True
            event = self._side.ask(robot, "disconnected_event", "sys", None, {"event": _event("disconnected_event")})
            del event.body["from"], event.body["chattype"]
            self._push(before, "aibot_event_callback", event)
            timer = threading.Timer(self.displaced_seconds, before.close)
            timer.daemon = True
            timer.start()
        if self.replays:
            self._missed, missed = [], self._missed
            timer = threading.Timer(0.01, lambda: [self.push(asked) for asked in missed])  # after the acknowledgement
            timer.daemon = True
            timer.start()
        self._world.moved.notify_all()

    def _unheard(self, link: Link, req_id: str, fault: Fault) -> None:
        """Faults that come before the command is looked at."""
        match fault.kind:
            case "lost":
                pass
            case "close":
                link.abort()
            case "code":
                self._say(link, {"headers": {"req_id": req_id}, "errcode": fault.code, "errmsg": "as ordered"}, None)
            case "lose":  # the uploads begun so far
                self._media.sessions.clear()
                self._say(link, {"headers": {"req_id": req_id}, "errcode": 40058, "errmsg": "invalid upload_id"}, None)
            case _:
                raise ValueError(f"no fault of the long connection: {fault.kind}")

    def _say(self, link: Link, ack: dict[str, Any], fault: Fault | None) -> None:
        text = json.dumps(ack, ensure_ascii=False)
        match fault.kind if fault is not None else "":
            case "drop":
                return
            case "late":
                timer = threading.Timer(fault.seconds if fault else 0, link.send, (text,))
                timer.daemon = True
                timer.start()
            case "cut":
                link.abort()
            case "bye":
                link.close((fault.code if fault else 0) or 1000)
            case _:
                link.send(text)

    # -- callbacks ---------------------------------------------------------------------------------------------------

    def push(self, asked: Asked) -> bool:
        """Bring a callback to its robot; False when it has no connection, and then it is lost."""
        link = self.of(asked.robot)
        cmd = "aibot_msg_callback" if asked.kind == "message" else "aibot_event_callback"
        asked.delivered = (link is not None and self._push(link, cmd, asked)) or asked.delivered
        if not asked.delivered:
            self._missed.append(asked)
        return asked.delivered

    def _push(self, link: Link, cmd: str, asked: Asked) -> bool:
        fault = self._world.take_fault(cmd)
        kind = fault.kind if fault is not None else ""
        if kind in ("lost", "close"):
            if kind == "close":
                link.abort()
            return False
        sent = False
        for _ in range(2 if kind == "twice" else 1):
            asked.req_id, asked.line = secrets.token_urlsafe(16), link.number
            link.asked[asked.req_id] = asked
            frame = {"cmd": cmd, "headers": {"req_id": asked.req_id}, "body": asked.body}
            text = json.dumps(frame, ensure_ascii=False)
            sent = link.send(
                text.replace('"content": "', '"content": "\x01\x0b', 1) + "\x02" if kind == "control" else text
            )
        return sent

    def _all(self) -> list[Link]:
        with self._world.lock:
            return list(self.links)


def _event(kind: str) -> dict[str, Any]:
    return {"eventtype": kind}
