"""Pictures fit what a channel of WeCom takes."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from bot.platforms.base import TOO_LARGE, Undelivered
from bot.platforms.wecom.pictures import JPEG, PNG, fitting, kind_of
from inference.images.finish import finish
from inference.images.label import Label, label_xmp
from inference.results import ImageResult

WEBHOOK = 2 * 1024 * 1024


def noise(kind: str, side: int = 256) -> bytes:
    """A picture that packs badly, as photographs do."""
    image = Image.effect_noise((side, side), 80).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", PNG), ("JPEG", JPEG)])
async def test_what_fits_goes_as_it_is(kind: str, media_type: str) -> None:
    data = noise(kind)
    assert await fitting(data, WEBHOOK, frozenset({PNG, JPEG})) == (data, media_type)


async def test_trap_09_a_picture_that_is_too_large_for_a_webhook_becomes_a_jpeg_that_fits() -> None:
    data = noise("PNG", 1024)
    assert len(data) > WEBHOOK
    made, kind = await fitting(data, WEBHOOK, frozenset({PNG, JPEG}))
    assert kind == JPEG
    assert kind_of(made) == JPEG
    assert len(made) <= WEBHOOK


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "GIF"])
async def test_trap_09_a_kind_that_wecom_does_not_take_becomes_a_jpeg(kind: str) -> None:
    made, told = await fitting(noise(kind), WEBHOOK, frozenset({PNG, JPEG}))
    assert (kind_of(made), told) == (JPEG, JPEG)


async def test_the_label_of_a_drawn_picture_stays() -> None:
    drawn = finish(
        ImageResult(image=Image.effect_noise((64, 64), 80), seed=1, seconds=1.0, batch_size=1),
        job="17",
        recipe=None,
    )
    made, _ = await fitting(drawn.data, len(drawn.data) - 1)
    with Image.open(io.BytesIO(made)) as image:
        assert label_xmp(Label(producer="moqi", produce_id="17")) == image.info["xmp"]


@pytest.mark.parametrize(("data", "most"), [(b"no picture", WEBHOOK), (noise("PNG", 64), 200), (b"", WEBHOOK)])
async def test_what_never_fits_says_so(data: bytes, most: int) -> None:
    with pytest.raises(Undelivered, match="cannot be sent") as refused:
        await fitting(data, most)
    assert refused.value.code == TOO_LARGE
