"""The gallery behind its page: what the search gives, what is packed, what stays hidden whichever way one asks."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import zipfile
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import Connection

from bot import export
from storage import assets, attendance, retention, users
from storage.records import Identity, JobState, Role, utcnow
from storage.tables import assets as assets_table
from tests.bot.console.conftest import Join
from tests.bot.console.harness import Stage
from tests.pictured import NOW, ordered, person

SHADES = itertools.count()


def me(made: Stage, name: str) -> int:
    found = made.console.db.read_sync(users.of_identity, Identity(platform="web", external_id=name))
    assert found is not None
    return found.id


def plain(shade: int) -> bytes:
    """A picture that no other is like."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (shade % 256, shade // 256, 7)).save(out, "PNG")
    return out.getvalue()


def drawn(made: Stage, owner: int, prompt: str, content: bytes = b"", **order: Any) -> tuple[int, int]:
    """A picture with its file; returns its asset and its job."""
    sha = made.console.files.put(content or plain(next(SHADES)))

    def work(conn: Connection) -> tuple[int, int]:
        job = ordered(conn, owner, prompt, shas=(sha,), **order)
        return assets.of_job(conn, job)[0].id, job

    return made.console.db.run_sync(work)


async def found(client: httpx.AsyncClient, **asked: object) -> list[dict[str, Any]]:
    answer = await client.get("/api/gallery", params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == 200, answer.text
    pictures: list[dict[str, Any]] = answer.json()["pictures"]
    return pictures


async def test_a_search_by_everything_and_page_by_page(made: Stage, join: Join) -> None:
    client = await join("小墨")
    mine = me(made, "小墨")
    asset, job = drawn(made, mine, "一只金毛犬在海边", negative="模糊", source={"sha256": "a", "job": 3, "picture": 2})
    drawn(made, mine, "lighthouse", size=(32, 64), model="Z-Image-Turbo")
    [one] = await found(
        client, q="金毛", by=mine, first="2026-11-22", last="2026-11-22", size="64x48", model="practice"
    )
    assert one == {
        "asset": asset,
        "job": job,
        "index": 1,
        "named": str(job),
        "width": 64,
        "height": 48,
        "prompt": "一只金毛犬在海边",
        "negative": "模糊",
        "seed": 7,
        "steps": 8,
        "model": "practice",
        "source": "#3.2",
        "who": "小墨",
        "at": NOW.isoformat(),
        "private": False,
        "redo": True,
    }
    assert await found(client, q="金毛", model="Z-Image-Turbo") == []
    assert await found(client, q="LIGHT", size="32x64")
    choices = (await client.get("/api/gallery/choices")).json()
    assert choices["people"] == [{"id": mine, "name": "小墨"}]
    assert choices["sizes"] == [[32, 64], [64, 48]]
    made.console.db.run_sync(lambda conn: [ordered(conn, mine, f"n{n}") for n in range(60)] and None)
    first = (await client.get("/api/gallery")).json()
    assert (len(first["pictures"]), first["more"]) == (60, True)
    rest = await found(client, before=first["pictures"][-1]["asset"])
    assert [one["prompt"] for one in rest] == ["lighthouse", "一只金毛犬在海边"]
    for wrong in ({"by": 0}, {"size": "big"}, {"first": "today"}, {"ids": "1;2"}, {"before": "x"}, {"q": "x" * 201}):
        assert (await client.get("/api/gallery", params=wrong)).status_code == 422, wrong


async def test_nothing_of_others_comes_out_by_any_address(made: Stage, join: Join) -> None:
    await join("管理员")  # whoever comes first is one
    client, other = await join("小墨"), await join("阿契")
    mine, theirs = me(made, "小墨"), me(made, "阿契")
    hidden = {
        "direct": drawn(made, theirs, "别人的猫", model="m-direct"),
        "elsewhere": drawn(made, theirs, "别群的猫", group="g2", model="m-elsewhere"),
        "private": drawn(made, theirs, "私密的猫", group="g1", private=True, model="m-private"),
        "not done": drawn(made, theirs, "待审的猫", group="g1", state=JobState.RUNNING, model="m-held"),
    }
    seen = drawn(made, theirs, "群里的猫", group="g1", model="m-group")
    made.console.db.run_sync(attendance.note, mine, "feishu:g1")
    everything = ",".join(str(asset) for asset, _ in (*hidden.values(), seen))

    async def reachable(client: httpx.AsyncClient, *, held: bool = False) -> set[int]:
        by_search = {one["asset"] for one in await found(client)}
        assert {one["asset"] for one in await found(client, q="猫", ids=everything)} == by_search
        assert {one["asset"] for one in await found(client, by=theirs)} == by_search
        packed = await client.get("/api/gallery/export", params={"ids": everything})
        assert (packed.json()["pictures"] if packed.status_code == 200 else 0) == len(by_search)
        archive = zipfile.ZipFile(
            io.BytesIO((await client.get("/api/gallery/pictures.zip", params={"ids": everything})).content)
        )
        assert len(archive.namelist()) == len(by_search) + 1
        for asset, _ in (*hidden.values(), seen):
            for path in (f"/api/assets/{asset}", f"/api/assets/{asset}/thumbnail"):
                status = (await client.get(path)).status_code
                shown = asset in by_search or (held and asset == hidden["not done"][0])
                assert status == (200 if shown else 404), path
        return by_search

    assert await reachable(client) == {seen[0]}
    assert (await client.get("/api/gallery/choices")).json()["models"] == ["m-group"]
    [one] = await found(client)
    assert one["redo"] is False
    own = {asset for name, (asset, _) in hidden.items() if name != "not done"} | {seen[0]}
    assert await reachable(other) == own
    made.console.db.run_sync(users.set_role, mine, Role.ADMIN)
    assert await reachable(client, held=True) == own - {hidden["private"][0]}, "and what is held, to decide about it"
    stranger = httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://127.0.0.1:8080")
    async with stranger:
        for path in ("", "/choices", "/export", "/pictures.zip"):
            assert (await stranger.get(f"/api/gallery{path}")).status_code == 401, path
        assert (await stranger.get("/gallery")).status_code == 200, "the page itself holds nobody's pictures"


async def test_a_zip_holds_the_pictures_under_their_names_and_how_they_were_made(made: Stage, join: Join) -> None:
    client = await join("小墨")
    mine = me(made, "小墨")
    _, first = drawn(made, mine, "猫一", model="Z-Image-Turbo", result_of="x")
    drawn(made, mine, "猫二", private=True)
    gone, _ = drawn(made, mine, "猫三")

    def lost(conn: Connection) -> None:
        conn.execute(assets_table.update().where(assets_table.c.id == gone).values(sha256="f" * 64))

    made.console.db.run_sync(lost)
    answer = await client.get("/api/gallery/pictures.zip", params={"q": "猫"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="moqi-20261122.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == ["墨契_20261122_0002.png", "墨契_20261122_0001.png", "manifest.json"]
        stated = json.loads(archive.read("manifest.json"))
        for one in stated["pictures"]:
            data = archive.read(one["file"])
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (one["sha256"], one["size"])
            assert Image.open(io.BytesIO(data)).size == (64, 64)
    private, plain = stated["pictures"]
    assert stated["missing"] == [gone]
    assert private["recipe"] is None
    assert (plain["job"], plain["picture"], plain["model"], plain["by"]) == (first, 1, "Z-Image-Turbo", "小墨")
    assert plain["created"] == NOW.isoformat()
    recipe = {"prompt": "猫一", "width": 64, "height": 48, "steps": 8, "cfg": 0.0, "seed": 7}
    assert plain["recipe"] == recipe


async def test_more_than_one_zip_takes_and_nothing_at_all_are_said(
    made: Stage, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await join("小墨")
    mine = me(made, "小墨")
    empty = await client.get("/api/gallery/export", params={"q": "猫"})
    assert (empty.status_code, empty.json()["error"]["code"]) == (404, "nothing_to_take")
    made.console.db.run_sync(lambda conn: [ordered(conn, mine, f"猫{n}") for n in range(3)] and None)
    assert (await client.get("/api/gallery/export")).json() == {"pictures": 3, "bytes": 300}
    for name, least in (("MOST", 2), ("LARGEST", 299)):
        with monkeypatch.context() as patch:
            patch.setattr(export, name, least)
            for path in ("export", "pictures.zip"):
                refused = await client.get(f"/api/gallery/{path}")
                assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_many")
                assert "缩小范围" in refused.json()["error"]["text"]


def test_a_zip_is_written_piece_by_piece(made: Stage) -> None:
    """After each picture its bytes are out, before the next one is read."""
    mine = made.console.db.run_sync(person, "anna")
    for n in range(3):
        drawn(made, mine, f"猫{n}", bytes([n]) * 100_000)
    from storage import gallery
    from storage.gallery import Sight, Wanted

    pictures = made.console.db.read_sync(gallery.page, Sight(user_id=mine), Wanted())
    read: list[int] = []

    def once(asset: Any) -> bytes:
        read.append(asset.id)
        return made.console.files.read(asset.sha256)

    how = export.Export(read=once, name=lambda asset, job, ending: "same.PNG", zone=made.console.zone)
    sizes, out = [], b""
    for piece in export.written(pictures, how):
        out += piece
        sizes.append((len(read), len(out) // 100_000))
    assert all(done >= started - 1 for started, done in sizes), sizes
    assert sizes[-1] == (3, 3)
    names = zipfile.ZipFile(io.BytesIO(out)).namelist()
    assert names == ["same.PNG", "same-2.PNG", "same-3.PNG", "manifest.json"]


async def test_a_thumbnail_is_made_once_and_goes_with_its_picture(made: Stage, join: Join) -> None:
    client = await join("小墨")
    asset, _ = drawn(made, me(made, "小墨"), "猫")
    first = await client.get(f"/api/assets/{asset}/thumbnail")
    [kept] = made.console.showing.thumbnails.root.glob("*/*/*")
    assert (first.headers["content-type"], first.content) == ("image/webp", kept.read_bytes())
    kept.write_bytes(b"from the disk")
    assert (await client.get(f"/api/assets/{asset}/thumbnail")).content == b"from the disk"
    made.console.db.run_sync(retention.retire, utcnow(), 30, utcnow(), 10)
    for path in (f"/api/assets/{asset}/thumbnail", f"/api/assets/{asset}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "picture_removed")
        assert "30 天后删除" in answer.json()["error"]["text"]
    sha = kept.parent.name
    made.console.files.delete(sha)
    assert made.console.showing.thumbnails.sweep(made.console.files.exists) == 1
    assert not kept.exists()


async def test_a_button_of_the_gallery_needs_no_card(made: Stage, join: Join) -> None:
    client = await join("小墨")
    pressed = {"id": "a" * 32, "action": "variation", "value": {"job": 3, "index": 1}}
    assert (await client.post("/api/actions", json=pressed)).status_code == 200
    [event] = made.script.pressed
    assert (event.action, event.value, event.origin.message_id) == ("variation", {"job": 3, "index": 1}, "")
