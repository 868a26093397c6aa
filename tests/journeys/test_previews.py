"""Running pictures, shown as they are: on a Feishu card and on the page, and never in the outcome's way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.journeys.held import Held
from tests.journeys.moqi import Person, until
from tests.journeys.test_feishu import NUMBERS, Member, pictures
from tests.simulators.feishu import FeishuSimulator

ORDER = "/draw 红色的圆，蓝色背景 --size 128x128 --seed 7"


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator) -> Iterator[Held]:
    settings = {
        "platforms": {"web": {"enabled": True}, "feishu": platform.settings},
        "interface": {"features": {"previews": True}},
    }
    house = Held(tmp_path_factory.mktemp("previews"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    house.ready()
    yield house
    house.go_on()
    assert house.stop() == 0
    house.verify()


def middle(data: bytes) -> list[float]:
    """The colour in the middle of a picture."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    red, green, blue = np.asarray(picture.resize((16, 16), Image.Resampling.BOX)).astype(float)[8, 8]
    return [float(red), float(green), float(blue)]


def test_a_card_shows_the_running_picture_and_then_the_finished_one(house: Held, platform: FeishuSimulator) -> None:
    house.hold_after(5)
    alice = Member(platform, next(NUMBERS))
    order = alice.say(ORDER)
    until(lambda: any(pictures(sent) for sent in alice.answers(order)), "a preview on the card")
    (card,) = alice.answers(order)
    assert "正在画" in card.text
    (preview,) = pictures(card)
    shown = Image.open(io.BytesIO(platform.images[preview]))
    assert (shown.format, shown.size) == ("JPEG", (128, 128))
    red, _, blue = middle(platform.images[preview])
    assert red > blue
    house.go_on()
    card = alice.ended(order)
    (key,) = pictures(card)
    assert key != preview
    assert Image.open(io.BytesIO(platform.images[key])).format == "PNG"


def test_where_feishu_takes_no_preview_the_outcome_comes_all_the_same(house: Held, platform: FeishuSimulator) -> None:
    house.hold_after(5)
    platform.fail("limit", on="/im/v1/images", seconds=1.0)
    alice = Member(platform, next(NUMBERS))
    order = alice.say(ORDER)
    until(lambda: any("第 5/8 步" in sent.text for sent in alice.answers(order)), "the progress without a preview")
    (card,) = alice.answers(order)
    assert pictures(card) == []
    house.go_on()
    card = alice.ended(order)
    assert "画好了" in card.text
    (key,) = pictures(card)
    assert Image.open(io.BytesIO(platform.images[key])).size == (128, 128)


def test_the_page_shows_it_to_its_owner_alone(house: Held) -> None:
    house.hold_after(5)
    owner, other = Person(house, "小墨"), Person(house, "小砚")
    with owner.watching() as seen, other.watching() as elsewhere:
        owner.say(ORDER)
        told = until(lambda: [data for name, data in seen if name == "preview"], "a preview on the page")
        assert told[0]["src"].startswith("data:image/jpeg;base64,")
        with owner.watching() as late:
            until(lambda: any(name == "preview" for name, _ in late), "the preview on a page opened meanwhile")
        house.go_on()
        until(lambda: any(data.get("body", {}).get("state") == "done" for _, data in list(seen)), "the picture")
        assert not any(name == "preview" for name, _ in elsewhere)
    assert all("data:image" not in json.dumps(message) for message in owner.history()), "nothing of it is kept"
