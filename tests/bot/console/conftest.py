"""A stage for each test: the whole web chat on a database of its own, which is a copy of one migrated before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.bot.console.harness import Stage, stage

#: join("小墨") -> a signed-in browser without a browser
Join = Callable[[str], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as made:
        yield made


@pytest.fixture
async def visit(made: Stage) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """visit() -> a browser that nobody is signed in at."""
    async with AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []

        def new() -> httpx.AsyncClient:
            transport = httpx.ASGITransport(made.app)
            clients.append(httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080"))
            stack.push_async_callback(clients[-1].aclose)
            return clients[-1]

        yield new
        await made.script.settled()


@pytest.fixture
def join(visit: Callable[[], httpx.AsyncClient]) -> Join:
    async def joined(name: str) -> httpx.AsyncClient:
        client = visit()
        answer = await client.post("/api/session", json={"name": name})
        assert answer.status_code == 201, answer.text
        return client

    return joined
