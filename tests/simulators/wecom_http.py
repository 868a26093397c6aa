"""The HTTP side of the WeCom simulator: every answer is HTTP 200 with an errcode, except when told to misbehave."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Protocol

from tests.simulators import feishu_http
from tests.simulators.feishu_http import Call, Fault
from tests.simulators.wecom_world import Refused

HINT = "hint: [1763780000123456789012345], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool/"


@dataclass(frozen=True)
class File:
    """An answer that is a file."""

    data: bytes
    media_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


Handles = Callable[[Call], dict[str, Any] | File]  # answers one kind of call; raises Refused


class Platform(Protocol):
    """Who answers."""

    def take_fault(self, path: str) -> Fault | None:
        """The fault this call meets, counted down."""

    def answer(self, call: Call) -> dict[str, Any] | File:
        """The JSON of a success, or a file; raises Refused."""


class Server(ThreadingHTTPServer):
    """One thread per connection on a free port of 127.0.0.1."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, platform: Platform) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.platform = platform

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event here."""


class Handler(feishu_http.Handler):
    """Reads calls as Feishu's does; answers as WeCom does."""

    server: Server  # type: ignore[assignment]  # ours, with another answer

    def _result(self, call: Call) -> tuple[int, bytes, dict[str, str], str]:
        try:
            answer = self.server.platform.answer(call)
        except (Refused, feishu_http.ApiError) as error:
            code = error.code if isinstance(error, Refused) else 40035  # the body is no JSON
            return 200, _json({"errcode": code, "errmsg": f"{error}, {HINT}query?e={code}"}), {}, _JSON
        if isinstance(answer, File):
            return answer.status, answer.data, answer.headers, answer.media_type
        return 200, _json({"errcode": 0, "errmsg": "ok", **answer}), {}, _JSON

    def _misbehave(self, fault: Fault, call: Call) -> bool:
        """slow: act late. close, reset: do nothing, hang up. cut: act, hang up. torn: act, half an answer."""
        match fault.kind:
            case "slow":
                time.sleep(fault.seconds)
                return True
            case "close":
                self._cut()
            case "reset":  # with RST and not FIN
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            case "cut":
                self._result(call)
                self._cut()
            case "torn":
                self._say(*self._result(call), torn=True)
                self._cut()
            case _:
                self._say(*_canned(fault))
        return False


def body_of(call: Call) -> dict[str, Any]:
    """The JSON that a call brings; WeCom wants it in plain UTF-8."""
    if _ESCAPED.search(call.body.decode(errors="replace")):
        raise Refused(40033, "invalid charset: send UTF-8, and no \\uxxxx")
    return call.json()


_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u[0-9A-Fa-f]{4}")
_JSON = "application/json; charset=UTF-8"


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def _canned(fault: Fault) -> tuple[int, bytes, dict[str, str], str]:
    """Status, body, headers and type of an answer that has nothing to do with the call."""
    told = _json({"errcode": fault.code, "errmsg": f"as ordered, {HINT}query?e={fault.code}"})
    answers: dict[str, tuple[int, bytes, dict[str, str], str]] = {
        "html": (502, b"<html><body>502 Bad Gateway</body></html>", {}, "text/html"),
        "500": (500, _json({"errcode": -1, "errmsg": "system error"}), {}, _JSON),
        "garbage": (200, b'{"errcode":0,"errm', {}, _JSON),
        "empty": (200, b"", {}, _JSON),
        "redirect": (302, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}, "text/html"),
        "code": (200, told, {}, _JSON),
    }
    return answers[fault.kind]
