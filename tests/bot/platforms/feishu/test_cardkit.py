"""CardKit's calls as they leave the bot, and what its answers become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.platforms.base import Retry, Unconfigured, Undelivered
from bot.platforms.feishu.cardkit import PRINTING, CardKit, content_of
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import CardRefused, Stale, StreamClosed
from bot.platforms.feishu.rules import check_card
from tests.simulators.feishu import FeishuSimulator

CARD: dict[str, Any] = {
    "schema": "2.0",
    "config": {"update_multi": True, "summary": {"content": "年假"}},
    "body": {"elements": [{"tag": "markdown", "element_id": "text", "content": "满"}]},
}
TYPING = {**CARD, "config": {**CARD["config"], "streaming_mode": True, "streaming_config": PRINTING}}


@pytest.fixture
def kit(client: FeishuClient) -> CardKit:
    return CardKit(client)


async def test_a_card_is_made_sent_typed_in_and_closed(
    feishu: FeishuSimulator, client: FeishuClient, kit: CardKit
) -> None:
    card_id = await kit.create(CARD)
    assert len(card_id) <= 20
    message_id = await client.send("oc_1", "chat_id", "interactive", content_of(card_id), "u")
    await kit.put(card_id, TYPING, 1, passing=True)
    await kit.content(card_id, "text", "满一年", 2, passing=True)
    await kit.reopen(card_id, 3, passing=True)
    await kit.put(card_id, CARD, 4, passing=False)
    sent = feishu.messages[message_id]
    assert [what for what, _ in feishu.cardkit.entities[card_id].operations] == ["card", "content", "settings", "card"]
    assert (sent.preview, sent.shown) == ("年假", CARD)


def test_a_card_being_typed_in_is_within_the_rules() -> None:
    assert check_card(TYPING) == []


async def test_ids_cannot_leave_their_place_in_the_address(feishu: FeishuSimulator, kit: CardKit) -> None:
    with pytest.raises(Undelivered):
        await kit.content("7/../../im", "text", "x", 1, passing=True)
    assert feishu.calls[-1] == "PUT /open-apis/cardkit/v1/cards/7%2F..%2F..%2Fim/elements/text/content"


async def test_success_without_a_card_is_no_success(kit: CardKit, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.platforms.feishu.codes import Answer

    async def nothing(*given: object, **more: object) -> Answer:
        return Answer(status=200, code=0, body={"code": 0, "data": {}})

    monkeypatch.setattr(FeishuClient, "call", nothing)
    with pytest.raises(Retry, match="card_id"):
        await kit.create(CARD)


async def test_refusals_by_what_to_do_about_them(feishu: FeishuSimulator, kit: CardKit) -> None:
    card_id = await kit.create(CARD)
    with pytest.raises(StreamClosed):
        await kit.content(card_id, "text", "满一", 1, passing=True)
    await kit.put(card_id, TYPING, 5, passing=True)
    with pytest.raises(Stale):
        await kit.content(card_id, "text", "满一", 5, passing=True)
    with pytest.raises(CardRefused):
        await kit.put("7000", CARD, 1, passing=True)
    feishu.cardkit.granted = False
    with pytest.raises(Unconfigured, match=r"cardkit:card:write") as missing:
        await kit.create(CARD)
    assert "publish a version" in str(missing.value)


def test_the_message_names_its_card() -> None:
    assert json.loads(content_of("7355")) == {"type": "card", "data": {"card_id": "7355"}}
