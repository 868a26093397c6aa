"""A server that speaks OpenAI's language, over real HTTP through the real client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inference.errors import TextError
from inference.grounding.contract import SCHEMA
from inference.requests import AnswerRequest, Message
from inference.results import Answer
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.grounded import GroundedModel
from inference.text.remote import RemoteModel
from inference.text.resting import FAILURES, REST, Resting
from inference.text.thoughts import Thoughts
from tests.inference.text.scripted import answer
from tests.inference.text.test_grounded import A, asked
from tests.simulators.openai import Server, serving

HELLO = ChatRequest(messages=(Message(role="user", text="你好"),), max_tokens=50, schema=SCHEMA, salt="k1")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


async def said(server: Server, request: ChatRequest = HELLO, **options: Any) -> tuple[str, Ended]:
    model = RemoteModel(base_url=server.url, **options)
    try:
        pieces = [piece async for piece in model.stream(request)]
    finally:
        await model.close()
    assert isinstance(pieces[-1], Ended)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), pieces[-1]


async def test_an_answer_with_everything_that_is_asked_for(server: Server) -> None:
    server.key, server.says = "sk-right", "<think>\n嗯\n</think>\n\n你好，我在。"
    text, ended = await said(server, api_key="sk-right")
    assert text == "\n\n你好，我在。"
    assert ended == Ended(reason="stop", read=90, written=10)
    body = server.asked[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("qwen3", 50, 0.0)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["cache_salt"] == "k1"
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["answerable", "claims"]


@pytest.mark.parametrize(
    ("refuses", "tries"),
    [({"cache_salt"}, 2), ({"response_format"}, 3), ({"stream_options"}, 4), ({"chat_template_kwargs"}, 2)],
)
async def test_what_a_server_does_not_take_is_left_out_from_then_on(
    server: Server, refuses: set[str], tries: int
) -> None:
    server.refuses, server.says = frozenset(refuses), "好"
    model = RemoteModel(base_url=server.url)
    for _ in range(2):
        assert Piece("好") in [piece async for piece in model.stream(HELLO)]
    await model.close()
    assert len(server.asked) == tries + 1


@pytest.mark.parametrize(
    ("changes", "options", "problem"),
    [
        ({"key": "sk-right"}, {"api_key": "sk-wrong"}, "refuses the key"),
        ({}, {"model": "gpt-9"}, "no model 'gpt-9'"),
        ({"models": ()}, {}, "serves no model"),
        ({"status": 429}, {"model": "qwen3"}, "too much to do"),
        ({"status": 503}, {"model": "qwen3"}, "answered 503"),
        ({"refuses": frozenset({"messages"})}, {"model": "qwen3"}, "answered 400"),
        ({"says": "一二三四五六七", "cut": 6}, {}, "broke off|cannot be reached"),
        ({"says": "一", "finish": None}, {}, "broke off"),
    ],
)
async def test_what_goes_wrong_is_said_with_the_next_step_and_without_the_key(
    server: Server, changes: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    for name, value in changes.items():
        setattr(server, name, value)
    with pytest.raises(TextError, match=problem) as caught:
        await said(server, **options)
    assert caught.value.next_step
    assert "sk-" not in str(caught.value)


async def test_a_server_that_is_not_there() -> None:
    model = RemoteModel(base_url="http://127.0.0.1:9/v1", model="x")
    with pytest.raises(TextError, match="cannot be reached"):
        await model.models()
    await model.close()


@pytest.mark.parametrize(("finish", "reason"), [("length", "length"), ("content_filter", "abort")])
async def test_how_an_answer_ends(server: Server, finish: str, reason: str) -> None:
    server.finish, server.says = finish, "好"
    assert (await said(server))[1].reason == reason


async def test_a_grounded_answer_and_after_three_failures_the_passages_at_once(server: Server) -> None:
    server.says = answer(A)
    now = [0.0]
    model = GroundedModel(RemoteModel(base_url=server.url), resting=Resting(lambda: now[0]))

    async def ask(request: AnswerRequest) -> Answer:
        last = [piece async for piece in model.stream(request)][-1]
        assert isinstance(last, Answer)
        return last

    assert (await ask(asked())).text == "一线城市每晚最多 450 元。 [1]"
    server.status = 500
    for _ in range(FAILURES):
        assert (await ask(asked())).interrupted
    tried = len(server.asked)
    assert (await ask(asked())).engine == "extractive"
    assert len(server.asked) == tried
    now[0] += REST
    server.status = 200
    assert (await ask(asked())).engine == "openai"
    await model.close()


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<think>b</think>c", "ac"),
        ("<think>\n\n</think>\n\n好", "\n\n好"),
        ("1 < 2 <thin> 3", "1 < 2 <thin> 3"),
        ("a<think>never closed", "a"),
        ("a<", "a<"),
        ("<think>a</think>b<think>c</think>d", "bd"),
    ],
)
def test_what_is_thought_aloud_is_kept_back(text: str, shown: str, size: int) -> None:
    thoughts = Thoughts()
    pieces = [thoughts.feed(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join(pieces) + thoughts.end() == shown
