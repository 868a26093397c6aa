"""What the page says of the model that draws now."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.bot.console.harness import stage

PRACTICE = '<p class="practice">'


async def test_the_page_follows_when_an_admin_changes_models(tmp_path: Path) -> None:
    practising = [True]
    with stage(tmp_path, practises=lambda: practising[0]) as made:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://x") as anna:
            assert PRACTICE in (await anna.get("/")).text
            practising[0] = False
            assert PRACTICE not in (await anna.get("/")).text
