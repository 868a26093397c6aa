"""The simulator's cards that are typed in, and its new faults: believed by the unmodified lark-oapi client."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App
from tests.simulators.feishu_http import ApiError
from tests.simulators.test_feishu import lark_client, sdk  # noqa: F401 - a fixture

CARD: dict[str, Any] = {
    "schema": "2.0",
    "config": {"update_multi": True, "streaming_mode": True, "summary": {"content": "年假"}},
    "body": {"elements": [{"tag": "markdown", "element_id": "text", "content": "满"}]},
}
STILL: dict[str, Any] = {**CARD, "config": {"update_multi": True, "summary": {"content": "满一年五天"}}}


def dumped(card: dict[str, Any]) -> str:
    return json.dumps(card, ensure_ascii=False)


class Lark:
    """What a bot written with lark-oapi does with a card; every call returns its code."""

    def __init__(self, feishu: FeishuSimulator, lark: SimpleNamespace) -> None:
        from lark_oapi.api.cardkit import v1

        self.v1, self.im = v1, lark.im
        client = lark_client(lark, feishu)
        self.cards, self.messages = client.cardkit.v1, client.im.v1.message

    def create(self, card: dict[str, Any] = CARD) -> str:
        body = self.v1.CreateCardRequestBody.builder().type("card_json").data(dumped(card)).build()
        answer = self.cards.card.create(self.v1.CreateCardRequest.builder().request_body(body).build())
        return str(answer.data.card_id) if answer.success() else str(answer.code)

    def send(self, card_id: str, uuid: str = "") -> Any:
        content = json.dumps({"type": "card", "data": {"card_id": card_id}})
        body = self.im.CreateMessageRequestBody.builder().receive_id("oc_1").msg_type("interactive").content(content)
        request = self.im.CreateMessageRequest.builder().receive_id_type("chat_id")
        return self.messages.create(request.request_body(body.uuid(uuid).build()).build())

    def content(self, card_id: str, text: str, sequence: int, element: str = "text", uuid: str = "") -> int:
        body = self.v1.ContentCardElementRequestBody.builder().content(text).sequence(sequence).uuid(uuid).build()
        request = self.v1.ContentCardElementRequest.builder().card_id(card_id).element_id(element).request_body(body)
        return int(self.cards.card_element.content(request.build()).code)

    def put(self, card_id: str, card: dict[str, Any], sequence: int) -> int:
        shape = self.v1.Card.builder().type("card_json").data(dumped(card)).build()
        body = self.v1.UpdateCardRequestBody.builder().card(shape).sequence(sequence).build()
        return int(
            self.cards.card.update(self.v1.UpdateCardRequest.builder().card_id(card_id).request_body(body).build()).code
        )

    def settings(self, card_id: str, config: dict[str, Any], sequence: int) -> int:
        body = self.v1.SettingsCardRequestBody.builder().settings(json.dumps({"config": config})).sequence(sequence)
        request = self.v1.SettingsCardRequest.builder().card_id(card_id).request_body(body.build()).build()
        return int(self.cards.card.settings(request).code)

    def converted(self, message_id: str) -> str:
        body = self.v1.IdConvertCardRequestBody.builder().message_id(message_id).build()
        return str(
            self.cards.card.id_convert(self.v1.IdConvertCardRequest.builder().request_body(body).build()).data.card_id
        )


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    # The SDK keeps tokens per app id for the whole process: each simulator needs an app of its own.
    with FeishuSimulator(App(app_id=f"cli_{secrets.token_hex(8)}"), limits=False) as simulator:
        yield simulator


@pytest.fixture
def lark(feishu: FeishuSimulator, sdk: SimpleNamespace) -> Lark:  # noqa: F811
    return Lark(feishu, sdk)


def test_unmodified_sdk_types_in_a_card_and_ends_it(feishu: FeishuSimulator, lark: Lark) -> None:
    card_id = lark.create()
    message_id = lark.send(card_id, "u1").data.message_id
    sent = feishu.messages[message_id]
    assert sent.generating
    assert [lark.content(card_id, text, n) for n, text in enumerate(["满一", "满一年", "满一年五天"], 1)] == [0, 0, 0]
    assert [card["body"]["elements"][0]["content"] for card in sent.updates] == ["满一", "满一年", "满一年五天"]
    assert lark.settings(card_id, {"streaming_mode": False}, 4) == 0
    assert sent.generating, "settings do not change what the chat list says"
    assert lark.put(card_id, STILL, 5) == 0
    assert (sent.generating, sent.preview, sent.shown) == (False, "满一年五天", STILL)
    assert lark.converted(message_id) == card_id


def test_sequence_uuid_and_mode_are_watched(feishu: FeishuSimulator, lark: Lark) -> None:
    card_id = lark.create()
    assert lark.content(card_id, "a", 7, uuid="x") == 0
    assert lark.content(card_id, "b", 7) == 300317
    assert lark.content(card_id, "b", 6) == 300317
    assert lark.content(card_id, "b", 8, uuid="x") == 200770
    assert lark.settings(card_id, {"summary": {"content": "x"}}, 9) == 2200
    feishu.advance(601)
    assert lark.content(card_id, "b", 10) == 300309
    assert lark.settings(card_id, {"streaming_mode": True}, 11) == 0
    assert lark.content(card_id, "b", 12) == 0
    assert lark.content(card_id, "b", 13, element="nothing") == 300313
    assert lark.put(card_id, STILL, 14) == 0
    assert lark.content(card_id, "b", 15) == 300309


def test_a_card_is_sent_once_and_lives_two_weeks(feishu: FeishuSimulator, lark: Lark) -> None:
    feishu.token_seconds = 30 * 86400
    card_id = lark.create()
    first = lark.send(card_id, "u1")
    assert lark.send(card_id, "u1").data.message_id == first.data.message_id
    assert lark.send(card_id, "u2").code == 230099
    assert lark.send("7000", "u3").code == 200740
    feishu.advance(14 * 86400 + 1)
    assert lark.put(card_id, STILL, 9) == 200750
    assert len(feishu.visible()) == 1


def test_limits_of_a_card(feishu: FeishuSimulator, lark: Lark) -> None:
    many = {**STILL, "body": {"elements": [{"tag": "hr"}] * 201}}
    large = {**STILL, "body": {"elements": [{"tag": "markdown", "content": "x" * 31_000}]}}
    assert (lark.create(many), lark.create(large)) == ("300305", "200860")
    card_id = lark.create()
    assert lark.content(card_id, "x" * 31_000, 1) == 200860
    feishu.cardkit.limits = True
    assert [lark.content(card_id, f"{n}", n) for n in range(2, 14)].count(99991400) >= 1


def test_the_scope_is_missing(feishu: FeishuSimulator, lark: Lark) -> None:
    feishu.cardkit.granted = False
    assert lark.create() == "99991672"
    assert feishu.cardkit.entities == {}


Call = Callable[..., httpx.Response]


@pytest.fixture
def call(feishu: FeishuSimulator) -> Iterator[Call]:
    """A call with a token, by hand."""
    with httpx.Client(base_url=f"{feishu.url}/open-apis") as http:
        credentials = {"app_id": feishu.app.app_id, "app_secret": feishu.app.app_secret}
        token = http.post("/auth/v3/tenant_access_token/internal", json=credentials).json()["tenant_access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        yield lambda method, path, **body: http.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("400", 400), ("limit", 200)])
def test_rate_limits_come_in_three_forms(feishu: FeishuSimulator, call: Call, kind: str, status: int) -> None:
    feishu.fail(kind, seconds=7, on="/im/")
    answer = call("POST", "/im/v1/messages/om_1/reply", msg_type="text", content='{"text":"x"}')
    assert (answer.status_code, answer.json()["code"]) == (status, 99991400)
    assert answer.headers["x-ogw-ratelimit-reset"] == "7"


def test_torn_answer_is_no_answer_but_it_acted(feishu: FeishuSimulator, call: Call) -> None:
    feishu.remember("om_1", "oc_1")
    feishu.fail("torn", on="/im/")
    with pytest.raises(httpx.HTTPError):
        call("POST", "/im/v1/messages/om_1/reply", msg_type="text", content='{"text":"x"}')
    assert len(feishu.visible()) == 1


def test_audit_people_who_take_nothing_and_edits(feishu: FeishuSimulator, call: Call) -> None:

    def send(to: str, text: str) -> Any:
        content = json.dumps({"text": text}, ensure_ascii=False)
        path = "/im/v1/messages?receive_id_type=open_id"
        return call("POST", path, receive_id=to, msg_type="text", content=content).json()

    feishu.banned.add("禁")
    feishu.leaks.add("机密")
    feishu.refusing["ou_left"] = 230029
    assert [send("ou_1", "禁")["code"], send("ou_1", "机密")["code"], send("ou_left", "x")["code"]] == [
        230022,
        230028,
        230029,
    ]
    path = f"/im/v1/messages/{send('ou_1', 'x')['data']['message_id']}"
    edits = [call("PUT", path, msg_type="text", content='{"text":"y"}').json()["code"] for _ in range(21)]
    assert edits == [0] * 20 + [230072]


def test_a_topic_keeps_its_answers(feishu: FeishuSimulator, call: Call) -> None:
    feishu.remember("om_1", "oc_1", "omt_1")
    feishu.remember("om_2", "oc_1")

    def thread(parent: str, **more: Any) -> str:
        body = {"msg_type": "text", "content": '{"text":"x"}', **more}
        return str(call("POST", f"/im/v1/messages/{parent}/reply", **body).json()["data"]["thread_id"])

    assert (thread("om_1"), thread("om_2")) == ("omt_1", "")
    opened = thread("om_2", reply_in_thread=True)
    assert opened.startswith("omt_")
    assert thread("om_2") == opened


def test_the_app_has_a_limit_of_its_own(feishu: FeishuSimulator) -> None:
    feishu.limits = True
    for _ in range(50):
        feishu._count_app()
    with pytest.raises(ApiError) as refused:
        feishu._count_app()
    assert (refused.value.code, refused.value.extra["x-ogw-ratelimit-limit"]) == (99991400, "50")
