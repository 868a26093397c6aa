"""Writing, pressing, reading back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bot.commands import Draw, Rules, parse
from bot.console import words
from bot.console.routes import build_router
from bot.events import ChatEvent
from inference.images.builtin.world import known
from storage.errors import DiskFull
from tests.bot.console.conftest import Join
from tests.bot.console.harness import Stage, stage

ID = "0123456789abcdef0123456789abcdef"
Visit = Callable[[], httpx.AsyncClient]


async def said(client: httpx.AsyncClient, **query: int) -> list[tuple[str, str]]:
    answer = await client.get("/api/messages", params=query)
    return [(m["author"], m["body"]["text"]) for m in answer.json()["messages"]]


async def test_a_message_is_accepted_kept_and_answered(made: Stage, join: Join) -> None:
    client = await join("小墨")
    answer = await client.post("/api/messages", json={"id": ID, "text": "你好"})
    assert answer.status_code == 202
    assert answer.json()["client"].endswith(ID)
    assert answer.json()["body"] == {"text": "你好"}
    [event] = made.script.accepted
    assert (event.platform, event.kind, event.text, event.sender_name, event.mentioned) == (
        "web",
        "message",
        "你好",
        "小墨",
        True,
    )
    assert (event.origin.chat_id, event.origin.message_id) == (str((await client.get("/api/session")).json()["id"]), ID)
    assert ChatEvent.from_json(event.to_json()) == event
    await made.script.settled()
    assert await said(client) == [("user", "你好"), ("bot", "你说：你好")]


async def test_the_same_id_five_times_is_one_message(made: Stage, join: Join) -> None:
    client = await join("小墨")
    answers = [await client.post("/api/messages", json={"id": ID, "text": f"第{n}次"}) for n in range(5)]
    assert [a.status_code for a in answers] == [202] * 5
    await made.script.settled()
    assert await said(client) == [("user", "第0次"), ("bot", "你说：第0次")]
    assert {event.text for event in made.script.accepted} == {"第0次"}


async def test_two_people_may_choose_the_same_id(made: Stage, join: Join) -> None:
    first, second = await join("小墨"), await join("阿契")
    await first.post("/api/messages", json={"id": ID, "text": "我的"})
    await second.post("/api/messages", json={"id": ID, "text": "你的"})
    await made.script.settled()
    assert await said(first) == [("user", "我的"), ("bot", "你说：我的")]
    assert await said(second) == [("user", "你的"), ("bot", "你说：你的")]


async def test_history_comes_in_pages(made: Stage, join: Join) -> None:
    client = await join("小墨")
    for n in range(3):
        await client.post("/api/messages", json={"id": f"{ID}{n}", "text": str(n)})
        await made.script.settled()
    newest = (await client.get("/api/messages", params={"limit": 4})).json()
    assert [m["body"]["text"] for m in newest["messages"]] == ["1", "你说：1", "2", "你说：2"]
    assert newest["more"]
    older = (await client.get("/api/messages", params={"limit": 4, "before": newest["messages"][0]["id"]})).json()
    assert [m["body"]["text"] for m in older["messages"]] == ["0", "你说：0"]
    assert not older["more"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": ID, "text": " \n "}, 422, "empty"),
        ({"id": ID, "text": "长" * 20_001}, 422, "too_long"),
        ({"id": ID, "text": "长" * 100_000}, 413, "too_large"),
        ({"id": "short", "text": "x"}, 422, "invalid"),
        ({"id": "../" * 8, "text": "x"}, 422, "invalid"),
        ({"id": ID + "\n", "text": "x"}, 422, "invalid"),
        ({"id": ID, "text": 7}, 422, "invalid"),
        ({"id": ID, "text": "x", "extra": 1}, 422, "invalid"),
        ({"text": "x"}, 422, "invalid"),
    ],
)
async def test_bad_messages_get_a_sentence(
    made: Stage, join: Join, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await (await join("小墨")).post("/api/messages", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["text"]
    assert made.script.accepted == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"id": "' + ID.encode() + b'", "text": "\\ud800"}', "application/json"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"id": "' + ID.encode() + b'", "text": "x"}', "text/plain"),
    ],
)
async def test_broken_bytes_are_refused(made: Stage, join: Join, content: bytes, kind: str) -> None:
    client = await join("小墨")
    answer = await client.post("/api/messages", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["code"] == "invalid"
    assert made.script.accepted == []


async def test_what_cannot_be_kept_is_not_acknowledged(made: Stage, join: Join) -> None:
    client = await join("小墨")

    async def full(event: ChatEvent) -> None:
        raise DiskFull

    made.app.router.routes.clear()
    made.app.include_router(build_router(replace(made.console, accept=full)))
    answer = await client.post("/api/messages", json={"id": ID, "text": "你好"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    made.app.router.routes.clear()
    made.app.include_router(build_router(made.console))
    assert (await client.post("/api/messages", json={"id": ID, "text": "你好"})).status_code == 202
    await made.script.settled()
    assert await said(client) == [("user", "你好"), ("bot", "你说：你好")]


async def test_a_button_press_is_an_event_and_says_a_toast(made: Stage, join: Join) -> None:
    client = await join("小墨")
    body = {"id": ID, "job": 17, "action": "cancel", "message": 3}
    answer = await client.post("/api/actions", json=body)
    assert answer.json() == {"toast": {"kind": "info", "text": "正在取消"}}
    [event] = made.script.pressed
    assert (event.kind, event.action, event.value, event.origin.message_id) == ("action", "cancel", {"job": 17}, "3")
    assert event.key.endswith(ID)
    assert event.key != ID


async def test_a_button_sends_what_it_carries(made: Stage, join: Join) -> None:
    value = {"reservation": 3, "version": 1, "choice": 0}
    body = {"id": ID, "value": value, "action": "res_confirm", "message": 3}
    assert (await (await join("小墨")).post("/api/actions", json=body)).status_code == 200
    [event] = made.script.pressed
    assert (event.action, event.value) == ("res_confirm", value)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "DROP TABLE"},
        {"job": 0},
        {"job": 2**40},
        {"message": -1},
        {"id": "x"},
        {"value": {"reservation": -1}},
        {"value": {"reservation": True}},
        {"value": {"reservation": "1"}},
        {"value": {"x" * 20: 1}},
        {"value": dict.fromkeys("abcde", 1)},
    ],
)
async def test_bad_presses_are_refused(made: Stage, join: Join, body: dict[str, Any]) -> None:
    whole = {"id": ID, "job": 17, "action": "cancel", "message": 3} | body
    assert (await (await join("小墨")).post("/api/actions", json=whole)).status_code == 422
    assert made.script.pressed == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/messages"), ("POST", "/api/actions"), ("GET", "/api/messages"), ("GET", "/api/stream")],
)
async def test_nobody_gets_in_without_a_session(visit: Visit, method: str, path: str) -> None:
    body = (
        {"id": ID, "text": "x"} if path.endswith("messages") else {"id": ID, "job": 1, "action": "redo", "message": 1}
    )
    answer = await visit().request(method, path, json=body if method == "POST" else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signed_out")


async def test_the_commands_are_listed(join: Join) -> None:
    listed = (await (await join("小墨")).get("/api/commands")).json()
    assert {"name": "/ask", "zh": "/问", "help": "从知识库里找答案，附出处"} in listed


async def test_sizes_are_suggested_to_whoever_is_signed_in(join: Join, made: Stage) -> None:
    listed = (await (await join("小墨")).get("/api/sizes")).json()
    assert listed == [{"name": "256x192", "zh": "4:3", "help": "每张计 1 份额度"}]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://x") as stranger:
        assert (await stranger.get("/api/sizes")).status_code == 401


async def test_templates_are_suggested_to_whoever_is_signed_in(join: Join, made: Stage) -> None:
    listed = (await (await join("小墨")).get("/api/templates")).json()
    assert listed == [{"name": "海报", "help": "主题 颜色"}, {"name": "徽标", "help": ""}]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://x") as stranger:
        assert (await stranger.get("/api/templates")).status_code == 401


async def test_errors_speak_the_language_of_the_page(tmp_path: Any) -> None:
    with stage(tmp_path, language="en") as made:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://x") as client:
            assert "not signed in" in (await client.get("/api/messages")).json()["error"]["text"]
            assert '<html lang="en"' in (await client.get("/")).text


@pytest.mark.parametrize("practice", [False, True])
def test_both_languages_have_the_same_words(practice: bool) -> None:
    chinese, english = words.of("zh", practice=practice), words.of("en", practice=practice)
    assert chinese.keys() == english.keys()
    assert chinese["send"] != english["send"]


@pytest.mark.parametrize(("language", "line"), [("zh", "内置练习模型"), ("en", "built-in practice model")])
@pytest.mark.parametrize("practice", [False, True])
async def test_an_empty_page_introduces_the_practice_model(
    tmp_path: Any, language: str, line: str, practice: bool
) -> None:
    with stage(tmp_path, language=language, practice=practice) as made:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://x") as client:
            page = (await client.get("/")).text
    greeting = re.findall(r'<p class="practice">(.*)</p>', page)
    assert [line in text and "image.path" in text for text in greeting] == [True] * practice
    boot = json.loads(re.search(r'id="boot">(.*?)</script>', page)[1])  # type: ignore[index]
    asked = parse(boot["words"]["example_draw"], Rules())
    assert isinstance(asked, Draw)
    assert known(asked.prompt) is practice
