"""The opponent: the smallest inbox that keeps a promise. FastAPI, one SQLite file, one COMMIT with fsync per event.

It checks no signature, decrypts nothing and does no work afterwards. Two ways to write it; the benchmark takes
the faster one: in FastAPI's thread pool behind a lock, and right on the event loop.
Run: python -m benchmarks.bare <thread|loop> <port> <file>
"""

from __future__ import annotations

import json
import sys
from threading import Lock
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

WAYS = ("thread", "loop")


def build(way: str, file: str) -> FastAPI:
    """The application with one of its two endpoints."""
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table if not exists inbox (key text primary key, event text not null) without rowid")
    lock = Lock()
    app = FastAPI(openapi_url=None)

    def keep(event: dict[str, Any]) -> None:
        connection.execute(
            "insert or ignore into inbox values (?, ?)",
            (event["event"]["message"]["message_id"], json.dumps(event, ensure_ascii=False)),
        )

    def locked(event: dict[str, Any]) -> Response:
        with lock:
            keep(event)
        return JSONResponse({})

    async def inline(request: Request) -> Response:
        keep(json.loads(await request.body()))
        return JSONResponse({})

    app.post("/feishu/events", response_model=None)(locked if way == "thread" else inline)

    @app.get("/healthz")
    async def healthz() -> Response:
        return JSONResponse({})

    return app


if __name__ == "__main__":
    uvicorn.run(build(sys.argv[1], sys.argv[3]), port=int(sys.argv[2]), access_log=False, log_level="warning")
