"""The styles that the page suggests behind --lora, and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from bot.console.console import StyleHint
from tests.bot.console.harness import stage

KEY = "ab" * 16


async def _styles() -> tuple[StyleHint, ...]:
    drawn = StyleHint(name="手绘线条", weight=0.8, about="微微抖动", preview=KEY)
    return (drawn, StyleHint(name="ink", weight=1.0, about=""))


async def test_styles_and_their_pictures_are_for_whoever_is_signed_in(tmp_path: Path) -> None:
    doors: dict[str, Any] = {"styles": _styles, "style_preview": {KEY: b"webp"}.get}
    with stage(tmp_path, **doors) as made:
        transport = httpx.ASGITransport(made.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            for path in ("/api/styles", f"/api/styles/{KEY}"):
                assert (await client.get(path)).status_code == 401
            await client.post("/api/session", json={"name": "小墨"})
            assert (await client.get("/api/styles")).json() == [
                {"name": "手绘线条", "weight": 0.8, "about": "微微抖动", "preview": f"/api/styles/{KEY}"},
                {"name": "ink", "weight": 1.0, "about": "", "preview": None},
            ]
            answer = await client.get(f"/api/styles/{KEY}")
            assert (answer.content, answer.headers["content-type"]) == (b"webp", "image/webp")
            assert (await client.get(f"/api/styles/{'0' * 32}")).status_code == 404
            assert (await client.get("/api/styles/..%2fmoqi.db")).status_code in (404, 422)
