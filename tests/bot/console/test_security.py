"""Requests from elsewhere, headers, and what belongs to somebody else."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import httpx
import pytest
from PIL import Image

from bot.settings.policy import Labels
from storage import assets, users
from storage.records import Role
from tests.bot.console.conftest import Join
from tests.bot.console.harness import Stage, keep_document

ID = "0123456789abcdef0123456789abcdef"
Visit = Callable[[], httpx.AsyncClient]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://127.0.0.1:8080"}, 202),
        ({"Origin": "https://127.0.0.1:8080"}, 202),  # TLS ends at a proxy
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8081"}, 403),
        ({"Origin": "http://127.0.0.1:8080.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
)
async def test_only_this_page_may_change_things(made: Stage, join: Join, headers: dict[str, str], status: int) -> None:
    client = await join("小墨")
    answer = await client.post("/api/messages", json={"id": ID, "text": "你好"}, headers=headers)
    assert answer.status_code == status
    assert len(made.script.accepted) == (1 if status == 202 else 0)
    forged = status == 403
    assert (await client.delete("/api/session", headers=headers)).status_code == (403 if forged else 204)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/session", "/api/messages", "/nowhere", "/api/assets/9"])
async def test_headers_are_on_every_response(visit: Visit, path: str) -> None:
    headers = (await visit().get(path)).headers
    policy = headers["content-security-policy"]
    for part in ("default-src 'self'", "img-src 'self' blob: data:", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(visit: Visit) -> None:
    page = (await visit().get("/")).text
    assert "style=" not in page
    assert "onclick" not in page
    assert "<style" not in page
    assert "//" not in page.replace("<!doctype", "")
    assert page.count("<script") == page.count('src="/static/') + page.count('type="application/json"')


async def test_the_api_page_lists_the_endpoints_and_loads_nothing_from_elsewhere(visit: Visit) -> None:
    page = (await visit().get("/api/docs")).text
    assert "POST /api/messages" in page
    assert "//" not in page.replace("<!doctype", "")
    assert "<script>" not in page


async def test_own_files_are_served_typed_and_revalidated(visit: Visit) -> None:
    client = visit()
    first = await client.get("/static/app.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = await client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["..%2froutes.py", "%2e%2e/routes.py", "app.py", ".env", "templates/chat.html"])
async def test_nothing_but_own_files_is_served(visit: Visit, name: str) -> None:
    assert (await visit().get(f"/static/{name}")).status_code == 404


async def drawn(made: Stage, client: httpx.AsyncClient) -> int:
    """The asset of a picture this person has drawn."""
    await client.post("/api/messages", json={"id": ID, "text": "/draw 一只猫"})
    await made.script.settled()
    card = (await client.get("/api/messages")).json()["messages"][-1]["body"]
    assert card["state"] == "done"
    return int(card["pictures"][0]["asset"])


async def test_a_picture_is_for_its_owner_and_admins(made: Stage, join: Join, visit: Visit) -> None:
    admin, owner, other = await join("管理员"), await join("小墨"), await join("阿契")
    asset = await drawn(made, owner)
    for path in (f"/api/assets/{asset}", f"/api/assets/{asset}/thumbnail"):
        assert [(await c.get(path)).status_code for c in (owner, admin, other, visit())] == [200, 200, 404, 401]
        hidden, absent = await other.get(path), await other.get(path.replace(str(asset), "99999"))
        assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
        # Not even a matching tag tells somebody else that it exists.
        tag = (await owner.get(path)).headers["etag"]
        assert (await other.get(path, headers={"If-None-Match": tag})).status_code == 404


async def test_a_picture_comes_whole_and_small_and_is_cached_privately(made: Stage, join: Join) -> None:
    owner = await join("小墨")
    asset = await drawn(made, owner)
    whole = await owner.get(f"/api/assets/{asset}")
    small = await owner.get(f"/api/assets/{asset}/thumbnail")
    assert (whole.headers["content-type"], small.headers["content-type"]) == ("image/png", "image/webp")
    assert Image.open(io.BytesIO(whole.content)).size == (512, 512)
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    assert "private" in whole.headers["cache-control"]
    assert re.search(r"; filename\*=UTF-8''%E5%A2%A8%E5%A5%91_\d{8}_0001\.png$", whole.headers["content-disposition"])
    assert "max-age" in whole.headers["cache-control"]
    tag = {"If-None-Match": whole.headers["etag"]}
    assert (await owner.get(f"/api/assets/{asset}", headers=tag)).status_code == 304
    await made.console.showing.note(Labels(visible=False), "hash")
    bare = await owner.get(f"/api/assets/{asset}", headers=tag)
    assert (bare.status_code, bare.content != whole.content) == (200, True), "without its mark it is another file"


async def test_a_page_is_shown_marked_pictures_and_what_was_given_as_it_is(made: Stage, join: Join) -> None:
    owner = await join("小墨")
    asset = await drawn(made, owner)
    kept = await made.console.db.read(assets.get, asset)
    assert kept is not None
    master = made.console.files.read(kept.sha256)
    assert not _marked(master)
    for path in (f"/api/assets/{asset}", f"/api/assets/{asset}/thumbnail"):
        assert _marked((await owner.get(path)).content)
    given = (await owner.post("/api/pictures", content=master)).json()["picture"]
    assert not _marked((await owner.get(f"/api/pictures/{given}")).content)


def _marked(data: bytes) -> bool:
    """Whether the picture is very dark at its bottom right, where the plate of the mark is."""
    image = Image.open(io.BytesIO(data)).convert("L")
    width, height = image.size
    corner = image.crop((width * 9 // 10, height * 9 // 10, width * 97 // 100, height * 97 // 100))
    return min(corner.tobytes()) < 35


@pytest.mark.parametrize("path", ["/api/assets/{}", "/api/assets/{}/thumbnail", "/passages/{}"])
@pytest.mark.parametrize("odd", ["0", "-1", "99999999999999999999999", "1%00", "abc"])
async def test_odd_numbers_are_refused(join: Join, path: str, odd: str) -> None:
    answer = await (await join("小墨")).get(path.format(odd))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


async def test_a_picture_whose_file_is_gone_is_not_found(made: Stage, join: Join) -> None:
    owner = await join("小墨")
    asset = await drawn(made, owner)
    for sha, _ in list(made.console.files.iterate()):
        made.console.files.delete(sha)
    assert (await owner.get(f"/api/assets/{asset}")).status_code == 404


async def test_a_passage_stands_highlighted_in_its_document(made: Stage, join: Join) -> None:
    reader = await join("小墨")
    texts = ("开头<script>", "被引<b>用</b>的", "结尾")
    ids = await made.console.db.run(keep_document, "手册.md", texts, ("everyone",))
    page = (await reader.get(f"/passages/{ids[1]}")).text
    assert "开头&lt;script&gt;" in page
    assert "结尾" in page
    assert "<script>开" not in page
    assert "被引&lt;b&gt;用&lt;/b&gt;的</mark>" in page
    assert page.index("开头") < page.index("被引") < page.index("结尾")


async def test_a_passage_is_for_who_may_read_it(made: Stage, join: Join, visit: Visit) -> None:
    reader, other = await join("小墨"), await join("阿契")
    me = (await reader.get("/api/session")).json()["id"]
    [secret] = await made.console.db.run(keep_document, "密.md", ("只给一个人",), (f"user:{me}",))
    [public] = await made.console.db.run(keep_document, "公.md", ("给所有人",), ("everyone",))
    assert "只给一个人" in (await reader.get(f"/passages/{secret}")).text
    assert (await other.get(f"/passages/{secret}")).status_code == 404
    assert (await visit().get(f"/passages/{secret}")).status_code == 401
    assert "只给一个人" not in (await other.get(f"/passages/{public}")).text  # ids are neighbours, documents are not


async def test_an_admin_is_made_only_once(made: Stage, join: Join) -> None:
    await join("管理员")
    second = (await (await join("小墨")).get("/api/session")).json()
    kept = await made.console.db.read(users.get, second["id"])
    assert kept is not None
    assert kept.role is Role.USER
