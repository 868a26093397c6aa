"""An OpenAI-compatible server that says what it is told to, and misbehaves when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 5  # characters


@dataclass
class Server:
    """What it serves and says; change it between two requests. `asked` keeps every request's body."""

    url: str = ""
    key: str = ""  # the only one that is taken; empty = any
    models: tuple[str, ...] = ("qwen3",)
    says: str = ""
    answers: Callable[[dict[str, Any]], str] | None = None  # what it says to a request's body, instead of `says`
    finish: str | None = "stop"  # None: the stream ends without one
    refuses: frozenset[str] = frozenset()  # fields of a request that are answered with 400
    status: int = 200  # anything else: every request is answered with it
    cut: int | None = None  # the connection is cut after so many characters
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    """A running server on a port of its own."""
    server = Server()

    class Handler(_Handler):
        state = server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._allowed():
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in self.state.models]
            self._answer(200, {"object": "list", "data": data})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.asked.append(body)
        if not self._allowed():
            return
        refused = sorted(self.state.refuses & set(body))
        if refused:
            self._answer(400, {"error": {"message": f"Unrecognized field: {refused[0]}", "code": "unknown_field"}})
        elif body["model"] not in self.state.models:
            self._answer(404, {"error": {"message": "no such model", "code": "model_not_found"}})
        else:
            self._stream(body)

    def _allowed(self) -> bool:
        if self.state.status != 200:
            self._answer(self.state.status, {"error": {"message": "told to", "code": "told"}})
        elif self.state.key and self.headers["Authorization"] != f"Bearer {self.state.key}":
            self._answer(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
        else:
            return True
        return False

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        said = (self.state.answers(body) if self.state.answers else self.state.says)[: self.state.cut]
        for start in range(0, len(said), PIECE):
            self._event(body, [{"index": 0, "delta": {"content": said[start : start + PIECE]}, "finish_reason": None}])
        if self.state.cut is not None:
            return
        if self.state.finish is not None:
            self._event(body, [{"index": 0, "delta": {}, "finish_reason": self.state.finish}])
        if "stream_options" in body:
            self._event(body, [], usage={"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, body: dict[str, Any], choices: list[dict[str, Any]], **more: Any) -> None:
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
        self.wfile.write(f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n".encode())
        self.wfile.flush()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
