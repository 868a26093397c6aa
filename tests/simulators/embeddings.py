"""A server with `/embeddings` and `/rerank` as vLLM has them, that misbehaves when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def _counted(text: str) -> list[float]:
    """How often each of a few characters occurs."""
    return [*(float(text.count(character)) for character in "年假报销凭发票"), 1.0]


@dataclass
class Server:
    """What it answers; change it between two requests. `asked` keeps every request's path and body."""

    url: str = ""
    key: str = ""  # the only one that is taken; empty = any
    status: int = 200  # anything else: every request is answered with it
    answer: Any = None  # instead of what belongs there; bytes are sent as they are
    vector: Callable[[str], Sequence[float]] = _counted
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    shuffled: bool = False  # the results come in another order than the texts


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

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.asked.append((self.path, body))
        if self.state.key and self.headers["Authorization"] != f"Bearer {self.state.key}":
            self._answer(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
        elif self.state.status != 200:
            self._answer(self.state.status, {"error": {"message": "told to"}})
        elif self.state.answer is not None:
            self._answer(200, self.state.answer)
        elif self.path == "/v1/rerank":
            self._answer(200, {"results": self._turned([self._rank(body, n) for n in range(len(body["documents"]))])})
        else:
            data = [{"index": n, "embedding": self.state.vector(text)} for n, text in enumerate(body["input"])]
            self._answer(200, {"data": self._turned(data), "model": body["model"]})

    def _rank(self, body: dict[str, Any], place: int) -> dict[str, Any]:
        same = set(body["query"]) & set(body["documents"][place])
        return {"index": place, "relevance_score": len(same) / len(set(body["query"]))}

    def _turned(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return results[::-1] if self.state.shuffled else results

    def _answer(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
