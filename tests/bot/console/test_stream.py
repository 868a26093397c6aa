"""The live stream over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from bot.console.chat import _news
from bot.platforms.web.feed import Feed
from tests.bot.console.harness import Stage, serving

ID = "0123456789abcdef0123456789abcdef"


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_a_page_hears_of_everything_in_order_and_nobody_else_does(made: Stage) -> None:
    async with (
        serving(made) as url,
        httpx.AsyncClient(base_url=url, verify=False) as mine,
        httpx.AsyncClient(base_url=url, verify=False) as other,
    ):
        await mine.post("/api/session", json={"name": "小墨"})
        await other.post("/api/session", json={"name": "阿契"})
        async with mine.stream("GET", "/api/stream") as here, other.stream("GET", "/api/stream") as there:
            assert here.headers["content-type"].startswith("text/event-stream")
            assert here.headers["cache-control"] == "no-store"
            heard, overheard = events(here), events(there)
            assert await anext(heard) == ("ready", {})
            assert await anext(overheard) == ("ready", {})
            await mine.post("/api/messages", json={"id": ID, "text": "/draw 一只猫"})
            seen = []
            async for name, data in heard:
                seen.append((name, data))
                if name == "message" and data["body"].get("state") == "done":
                    break
            steps = [*["progress"] * 2, *["progress", "preview"] * 5, "progress"]
            assert [name for name, _ in seen] == ["message", "message", *steps, "message"]
            assert [data["done"] for name, data in seen if name == "progress"] == list(range(1, 9))
            assert seen[1][1]["id"] == seen[-1][1]["id"]
            assert seen[1][1]["version"] < seen[-1][1]["version"]
            await other.post("/api/messages", json={"id": ID, "text": "嗨"})
            _, first = await anext(overheard)
            assert first["body"] == {"text": "嗨"}


async def test_streams_end_with_the_server(made: Stage) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        async with serving(made) as url:
            await client.post(f"{url}/api/session", json={"name": "小墨"})
            request = client.build_request("GET", f"{url}/api/stream")
            response = await client.send(request, stream=True)
            heard = events(response)
            await anext(heard)
        assert [event async for event in heard] == []  # ended, not cut: a cut would raise


async def test_a_page_that_went_away_is_forgotten(made: Stage) -> None:
    feed = made.console.feed
    stream = _news(feed, 1)
    await anext(stream)
    assert feed.pages(1) == 1
    await stream.aclose()
    assert feed.pages(1) == 0


async def test_silence_is_broken_by_signs_of_life() -> None:
    stream = _news(Feed(), 1, heartbeat=0.001)
    await anext(stream)
    assert (await anext(stream)).startswith(":")
    await stream.aclose()


async def test_leaving_ends_the_streams_of_that_person_only(made: Stage) -> None:
    async with (
        serving(made) as url,
        httpx.AsyncClient(base_url=url, verify=False) as mine,
        httpx.AsyncClient(base_url=url, verify=False) as other,
    ):
        await mine.post("/api/session", json={"name": "小墨"})
        await other.post("/api/session", json={"name": "阿契"})
        async with mine.stream("GET", "/api/stream") as here, other.stream("GET", "/api/stream") as there:
            heard, overheard = events(here), events(there)
            await anext(heard)
            await anext(overheard)
            await mine.delete("/api/session")
            assert [event async for event in heard] == []
            await other.post("/api/messages", json={"id": ID, "text": "还在"})
            assert (await anext(overheard))[0] == "message"
