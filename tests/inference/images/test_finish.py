"""Pictures as files: exact pixels, small thumbnails, and exactly one AI-content label wherever they go."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from PIL import Image

from inference.images.finish import THUMBNAIL_SIDE, Finished, Label, finish, label_xmp, thumbnail, to_chat_jpeg
from inference.results import ImageResult

FIELD = "{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC"


def noise(width: int, height: int) -> Image.Image:
    """The hardest picture to compress."""
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))


def finished(image: Image.Image, *, label: bool = True) -> Finished:
    result = ImageResult(image=image, seed=4242, seconds=0.1, batch_size=1)
    return finish(result, job="17", model="Z-Image-Turbo", steps=8, producer="acme-bot", label=label)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def labels(data: bytes) -> list[dict[str, str]]:
    """The AIGC fields of a file, read from its raw XMP packets without our own code."""
    found = []
    rest = data
    while (start := rest.find(b"<x:xmpmeta")) >= 0:
        end = rest.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")
        found += [json.loads(field.text or "") for field in ElementTree.fromstring(rest[start:end]).iter(FIELD)]
        rest = rest[end:]
    return found


EXPECTED = {
    "Label": "1",
    "ContentProducer": "acme-bot",
    "ProduceID": "17",
    "ReservedCode1": "",
    "ContentPropagator": "acme-bot",
    "PropagateID": "17",
    "ReservedCode2": "",
}


def test_the_master_is_a_png_with_exactly_the_drawn_pixels() -> None:
    image = noise(300, 200)
    done = finished(image)
    assert (done.media_type, done.width, done.height) == ("image/png", 300, 200)
    assert done.sha256 == hashlib.sha256(done.data).hexdigest()
    read = opened(done.data)
    assert (read.format, read.mode, read.tobytes()) == ("PNG", "RGB", image.tobytes())


def test_the_same_picture_gives_the_same_file() -> None:
    assert finished(noise(64, 64)).sha256 == finished(noise(64, 64)).sha256


def test_the_parameters_can_be_read_back_and_hold_nothing_personal() -> None:
    info = opened(finished(noise(64, 64)).data).info
    assert info["parameters"] == "Steps: 8, Seed: 4242, Size: 64x64, Model: Z-Image-Turbo, Job: 17"
    assert set(info) <= {"parameters", "XML:com.adobe.xmp", "xmp"}


def test_the_thumbnail_is_small_and_keeps_the_shape() -> None:
    done = finished(noise(1024, 512))
    data, media_type = thumbnail(done.data)
    small = opened(data)
    assert (small.format, small.size, media_type) == ("WEBP", (THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2), "image/webp")
    assert opened(thumbnail(finished(noise(64, 64)).data)[0]).size == (64, 64), "small pictures are not blown up"


@pytest.mark.parametrize("kind", ["master", "thumbnail", "jpeg", "jpeg of the thumbnail", "shrunken jpeg"])
def test_every_file_carries_exactly_one_label(kind: str) -> None:
    done = finished(noise(256, 256))
    files: dict[str, Callable[[], bytes]] = {
        "master": lambda: done.data,
        "thumbnail": lambda: thumbnail(done.data)[0],
        "jpeg": lambda: to_chat_jpeg(done.data, 10_000_000),
        "jpeg of the thumbnail": lambda: to_chat_jpeg(thumbnail(done.data)[0], 10_000_000),
        "shrunken jpeg": lambda: to_chat_jpeg(done.data, 12_000),
    }
    data = files[kind]()
    assert labels(data) == [EXPECTED]
    packet = opened(data).info["xmp"]
    assert b"TC260:AIGC" in packet, "Pillow finds it where the format keeps XMP"


def test_the_label_can_be_left_out() -> None:
    done = finished(noise(64, 64), label=False)
    small, _ = thumbnail(done.data)
    assert [labels(data) for data in (done.data, small, to_chat_jpeg(done.data, 100_000))] == [[], [], []]


@pytest.mark.parametrize("value", ["", "墨契", "two words", 'a"b', "back\\slash", "line\n"])
def test_values_outside_the_standard_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        label_xmp(Label(producer=value, produce_id="1"))
    with pytest.raises(ValueError, match="printable ASCII"):
        label_xmp(Label(producer="moqi", produce_id=value))


def test_markup_in_a_value_stays_a_value() -> None:
    packet = label_xmp(Label(producer="<a>&</a>", produce_id="1"))
    assert [field["ContentProducer"] for field in labels(packet)] == ["<a>&</a>"]


def test_a_jpeg_gets_only_as_small_as_it_must() -> None:
    png = finished(noise(256, 256)).data
    sizes = [(limit, to_chat_jpeg(png, limit)) for limit in (200_000, 60_000, 20_000, 5_000)]
    assert all(len(data) <= limit for limit, data in sizes)
    sides = [opened(data).width for _, data in sizes]
    assert sides[0] == 256
    assert sides == sorted(sides, reverse=True)
    assert sides[-1] < 256
    assert all(opened(data).format == "JPEG" for _, data in sizes)


def test_a_limit_that_nothing_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        to_chat_jpeg(finished(noise(128, 128)).data, 100)
