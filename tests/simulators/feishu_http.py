"""The HTTP side of the Feishu simulator: reads calls, says answers, and misbehaves when told to."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit


@dataclass
class Fault:
    """What happens to the next `times` calls whose path contains `on`."""

    kind: str  # limit | 400 | 429 | 500 | html | garbage | empty | close | cut | torn | slow | code
    times: int
    on: str
    seconds: float = 1.0  # slow: how long; limit, 400, 429: what the reset header says
    code: int = 0
    status: int = 400


class ApiError(Exception):
    """An answer with a code."""

    def __init__(self, code: int, message: str, status: int = 400, **extra: str) -> None:
        super().__init__(message)
        self.code, self.status, self.extra = code, status, extra


@dataclass(frozen=True)
class Download:
    """An answer that is a file."""

    data: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Call:
    """One request of the API, read whole."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # lower-case names
    body: bytes
    queries: dict[str, list[str]] = field(default_factory=dict)  # where a name stands more than once

    def json(self) -> dict[str, Any]:
        try:
            loaded = json.loads(self.body)
        except ValueError as error:
            raise ApiError(9499, "Bad Request") from error
        if not isinstance(loaded, dict):
            raise ApiError(9499, "Bad Request")
        return loaded

    def multipart(self) -> dict[str, bytes]:
        """Field name -> bytes; a part needs no filename (lark-oapi sends none)."""
        boundary = self.headers.get("content-type", "").partition("boundary=")[2].strip('"')
        parts: dict[str, bytes] = {}
        for chunk in (b"\r\n" + self.body).split(b"\r\n--" + boundary.encode())[1:-1]:
            head, _, value = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            parts[name] = value
        return parts


class Platform(Protocol):
    """Who answers."""

    def take_fault(self, path: str) -> Fault | None:
        """The fault this call meets, counted down."""

    def answer(self, call: Call) -> dict[str, Any] | Download:
        """The JSON of a success, or a file; raises ApiError."""


class Server(ThreadingHTTPServer):
    """One thread per connection on a free port of 127.0.0.1."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, platform: Platform) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.platform = platform

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        self._serve()

    do_GET = do_PATCH = do_PUT = do_DELETE = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        call = Call(
            method=self.command,
            path=parts.path,
            query={name: values[-1] for name, values in parse_qs(parts.query).items()},
            queries=parse_qs(parts.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        fault = self.server.platform.take_fault(call.path)
        if fault is not None and not self._misbehave(fault, call):
            return
        self._say(*self._result(call))

    def _result(self, call: Call) -> tuple[int, bytes, dict[str, str], str]:
        try:
            answer = self.server.platform.answer(call)
        except ApiError as error:
            said = json.dumps({"code": error.code, "msg": str(error)}).encode()
            return error.status, said, error.extra, "application/json"
        if isinstance(answer, Download):
            return 200, answer.data, answer.headers, "application/octet-stream"
        return 200, json.dumps({"code": 0, "msg": "success", **answer}).encode(), {}, "application/json"

    def _misbehave(self, fault: Fault, call: Call) -> bool:
        """Do what the fault says; True when the call is then answered as usual."""
        match fault.kind:
            case "slow":
                time.sleep(fault.seconds)
                return True
            case "close":
                self._cut()
            case "cut":
                self._result(call)
                self._cut()
            case "torn":  # it acts, and half of the answer arrives
                self._say(*self._result(call), torn=True)
                self._cut()
            case _:
                self._say(*_canned(fault))
        return False

    def _say(
        self, status: int, body: bytes, more: Mapping[str, str], kind: str = "application/json", torn: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Tt-Logid", secrets.token_hex(16))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if torn else body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _canned(fault: Fault) -> tuple[int, bytes, dict[str, str], str]:
    """Status, body, headers and type of an answer that has nothing to do with the call."""
    limited = json.dumps({"code": 99991400, "msg": "request trigger frequency limit"}).encode()
    reset = {"x-ogw-ratelimit-limit": "100", "x-ogw-ratelimit-reset": f"{fault.seconds:g}"}
    told = json.dumps({"code": fault.code, "msg": "as ordered"}).encode()
    plain = "application/json"
    answers: dict[str, tuple[int, bytes, dict[str, str], str]] = {
        "429": (429, limited, reset, plain),  # new APIs
        "400": (400, limited, reset, plain),  # old ones
        "limit": (200, limited, reset, plain),  # and some say it in an ordinary answer
        "500": (500, json.dumps({"code": 2200, "msg": "Internal Error"}).encode(), {}, plain),
        "html": (502, b"<html><body>502 Bad Gateway</body></html>", {}, "text/html"),
        "garbage": (200, b'{"code":0,"data":{"mess', {}, plain),
        "empty": (200, b"", {}, plain),
        "code": (fault.status, told, {}, plain),
    }
    return answers[fault.kind]
