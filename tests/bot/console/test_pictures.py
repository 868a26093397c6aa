"""Pictures that somebody attaches on the page."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from storage import assets
from tests.bot.console.conftest import Join
from tests.bot.console.harness import Stage
from tests.bot.console.test_security import Visit

ID = "0123456789abcdef0123456789abcdef"


def png(side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "PNG")
    return buffer.getvalue()


async def kept(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/pictures", content=png())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["picture"])


async def test_an_attached_picture_is_kept_shown_and_comes_with_the_message(made: Stage, join: Join) -> None:
    client = await join("小墨")
    sha = await kept(client)
    assert made.console.db.read_sync(assets.given, sha) is not None
    shown = await client.get(f"/api/pictures/{sha}")
    assert shown.headers["content-type"] == "image/webp"
    written = await client.post("/api/messages", json={"id": ID, "text": "/draw 猫 --from", "picture": sha})
    assert written.status_code == 202
    assert written.json()["body"] == {"text": "/draw 猫 --from", "picture": sha}
    (event,) = made.script.accepted
    assert event.value == {"picture": sha}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"no picture", 422, "picture_format"),
        (b"<svg/>", 422, "picture_format"),
        (b"\x89PNG\r\n\x1a\n", 422, "picture_broken"),
        (png(8), 422, "picture_small"),
        (b"", 422, "picture_format"),
        (bytes(20_000_001), 413, "too_large"),
    ],
)
async def test_what_is_no_picture_is_refused(join: Join, content: bytes, status: int, code: str) -> None:
    answer = await (await join("小墨")).post("/api/pictures", content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_other_requests_stay_small(join: Join) -> None:
    client = await join("小墨")
    answer = await client.post("/api/messages", content=bytes(300_000))
    assert answer.status_code == 413


async def test_only_who_is_here_and_only_from_this_page(made: Stage, visit: Visit, join: Join) -> None:
    assert (await visit().post("/api/pictures", content=png())).status_code == 401
    client = await join("小墨")
    forged = await client.post("/api/pictures", content=png(), headers={"Origin": "http://evil.example"})
    assert forged.status_code == 403
    assert list(made.console.files.iterate()) == []
    sha = await kept(client)
    assert (await visit().get(f"/api/pictures/{sha}")).status_code == 401
    assert (await client.get(f"/api/pictures/{'0' * 64}")).status_code == 404
    assert (await client.get("/api/pictures/..%2f..%2fmoqi.db")).status_code in (404, 422)


@pytest.mark.parametrize("picture", ["x", "../../etc/passwd", "A" * 64, 5])
async def test_a_message_names_a_picture_by_its_content_only(join: Join, picture: object) -> None:
    answer = await (await join("小墨")).post("/api/messages", json={"id": ID, "text": "x", "picture": picture})
    assert answer.status_code == 422
