"""Choosing a name, coming back, leaving."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from storage import tokens, users
from storage.records import utcnow
from tests.bot.console.conftest import Join
from tests.bot.console.harness import Stage

Visit = Callable[[], httpx.AsyncClient]


async def test_a_name_signs_in_and_the_first_is_admin(visit: Visit) -> None:
    first, second = visit(), visit()
    assert (await first.get("/api/session")).json() is None
    made = await first.post("/api/session", json={"name": " 小墨 "})
    assert (made.status_code, made.json()["name"], made.json()["role"]) == (201, "小墨", "admin")
    assert (await first.get("/api/session")).json() == made.json()
    assert (await second.post("/api/session", json={"name": "阿契"})).json()["role"] == "user"


async def test_the_cookie_is_out_of_reach(visit: Visit) -> None:
    plain = await visit().post("/api/session", json={"name": "小墨"})
    cookie = plain.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie
    secure = await visit().post("https://127.0.0.1:8080/api/session", json={"name": "阿契"})
    assert "secure" in secure.headers["set-cookie"].lower()


async def test_only_a_hash_of_the_session_is_kept(made: Stage, visit: Visit) -> None:
    client = visit()
    await client.post("/api/session", json={"name": "小墨"})
    secret = client.cookies["moqi_session"]
    stored = b"".join(path.read_bytes() for path in made.console.files.root.parent.glob("moqi.db*"))
    assert secret.encode() not in stored


@pytest.mark.parametrize("name", ["", "   ", "x" * 33, "a\u0000b", "a\u200bb", "a\u202eb", "两\n行"])
async def test_a_bad_name_is_refused_with_a_sentence(visit: Visit, name: str) -> None:
    answer = await visit().post("/api/session", json={"name": name})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_name"
    assert "32" in answer.json()["error"]["text"]


@pytest.mark.parametrize("spelling", ["moqi", "ｍｏｑｉ", " moqi "])
async def test_a_name_belongs_to_whoever_took_it(visit: Visit, join: Join, spelling: str) -> None:
    owner = await join("moqi")
    answer = await visit().post("/api/session", json={"name": spelling})
    assert answer.status_code == 409
    assert "moqi" in answer.json()["error"]["text"]
    assert "登录码" in answer.json()["error"]["text"]
    await owner.delete("/api/session")
    assert (await visit().post("/api/session", json={"name": spelling})).status_code == 409


async def test_leaving_ends_the_session_for_everybody_who_copied_it(visit: Visit, join: Join) -> None:
    client = await join("小墨")
    secret = client.cookies["moqi_session"]
    assert (await client.delete("/api/session")).status_code == 204
    assert (await client.get("/api/session")).json() is None
    thief = visit()
    thief.cookies.set("moqi_session", secret)
    answer = await thief.get("/api/messages")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signed_out")


async def test_a_login_code_brings_back_once(made: Stage, visit: Visit, join: Join) -> None:
    who = (await (await join("小墨")).get("/api/session")).json()
    code, _ = await made.console.db.run(tokens.create, who["id"], "login", "", utcnow(), None)
    back = visit()
    answer = await back.post("/api/session", json={"login": f" {code} "})
    assert (answer.status_code, answer.json()) == (201, who)
    assert (await back.get("/api/session")).json() == who
    again = await visit().post("/api/session", json={"login": code})
    assert (again.status_code, again.json()["error"]["code"]) == (401, "bad_code")


@pytest.mark.parametrize("purpose", ["api", "session"])
async def test_other_tokens_are_no_login_codes(made: Stage, visit: Visit, join: Join, purpose: str) -> None:
    who = (await (await join("小墨")).get("/api/session")).json()
    code, _ = await made.console.db.run(tokens.create, who["id"], purpose, "", utcnow(), None)
    assert (await visit().post("/api/session", json={"login": code})).status_code == 401


async def test_an_api_token_and_a_lapsed_session_are_no_cookie(made: Stage, visit: Visit, join: Join) -> None:
    who = (await (await join("小墨")).get("/api/session")).json()
    api, _ = await made.console.db.run(tokens.create, who["id"], "api", "", utcnow(), None)
    past = utcnow() - timedelta(seconds=1)
    lapsed, _ = await made.console.db.run(tokens.create, who["id"], "session", "", past - timedelta(days=1), past)
    for secret in (api, lapsed):
        client = visit()
        client.cookies.set("moqi_session", secret)
        assert (await client.get("/api/messages")).status_code == 401


async def test_a_banned_person_is_shut_out_and_told(made: Stage, join: Join) -> None:
    client = await join("小墨")
    who = (await client.get("/api/session")).json()
    await made.console.db.run(users.set_banned, who["id"], True)
    for answer in (
        await client.get("/api/session"),
        await client.get("/api/messages"),
        await client.get("/api/stream"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "banned")
