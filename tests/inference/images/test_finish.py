"""Pictures as files: exact pixels, small thumbnails, and exactly one AI-content label wherever they go."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageChops

from inference.images.finish import THUMBNAIL_SIDE, Finished, finish, shown, shown_jpeg, thumbnail, to_chat_jpeg
from inference.images.label import Label, label_xmp
from inference.images.recipe import Recipe, read
from inference.images.source import keep
from inference.results import ImageResult

FIELD = "{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC"


def noise(width: int, height: int) -> Image.Image:
    """The hardest picture to compress."""
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))


RECIPE = Recipe(prompt="一只猫", seed=4242, steps=8, width=64, height=64, model="Z-Image-Turbo", job="17")


def finished(image: Image.Image, recipe: Recipe | None = RECIPE) -> Finished:
    result = ImageResult(image=image, seed=4242, seconds=0.1, batch_size=1)
    return finish(result, job="17", recipe=recipe, producer="acme-bot")


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
    said = "Steps: 8, CFG scale: 0, Seed: 4242, Size: 64x64, Model: Z-Image-Turbo, Job: 17"
    assert info["parameters"] == f"一只猫\n{said}"
    assert set(info) <= {"parameters", "moqi", "XML:com.adobe.xmp", "xmp"}


def test_a_private_picture_says_nothing_of_how_it_was_made_but_that_ai_made_it() -> None:
    private = finished(noise(64, 64), None).data
    for data in (private, shown(private, "AI生成"), to_chat_jpeg(private, 10**6), thumbnail(private)[0]):
        image = opened(data)
        assert labels(data) == [EXPECTED]
        assert read(data) is None
        assert not {"parameters", "moqi", "exif"} & set(image.info)


def test_the_thumbnail_is_small_and_keeps_the_shape() -> None:
    done = finished(noise(1024, 512))
    data, media_type = thumbnail(done.data)
    small = opened(data)
    assert (small.format, small.size, media_type) == ("WEBP", (THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2), "image/webp")
    assert opened(thumbnail(finished(noise(64, 64)).data)[0]).size == (64, 64), "small pictures are not blown up"


MARKED = ["marked", "marked thumbnail", "jpeg of the marked", "preview of the marked", "remix"]


@pytest.mark.parametrize("kind", ["master", "thumbnail", "jpeg", "jpeg of the thumbnail", "shrunken jpeg", *MARKED])
def test_every_file_carries_exactly_one_label(kind: str) -> None:
    done = finished(noise(256, 256))
    files: dict[str, Callable[[], bytes]] = {
        "master": lambda: done.data,
        "thumbnail": lambda: thumbnail(done.data)[0],
        "jpeg": lambda: to_chat_jpeg(done.data, 10_000_000),
        "jpeg of the thumbnail": lambda: to_chat_jpeg(thumbnail(done.data)[0], 10_000_000),
        "shrunken jpeg": lambda: to_chat_jpeg(done.data, 12_000),
        "marked": lambda: shown(done.data, "AI生成"),
        "marked thumbnail": lambda: thumbnail(done.data, "AI生成")[0],
        "jpeg of the marked": lambda: to_chat_jpeg(shown(done.data, "AI生成"), 10_000_000),
        "preview of the marked": lambda: shown_jpeg(to_chat_jpeg(done.data, 10_000_000), "AI生成"),
        "remix": lambda: finished(opened(keep(foreign()).data)).data,
    }
    data = files[kind]()
    assert labels(data) == [EXPECTED]
    packet = opened(data).info["xmp"]
    assert b"TC260:AIGC" in packet, "Pillow finds it where the format keeps XMP"


def foreign() -> bytes:
    """A picture of somebody else's generator, with a label and a recipe of its own."""
    buffer = io.BytesIO()
    packet = label_xmp(Label(producer="somebody-else", produce_id="4711"))
    noise(64, 64).save(buffer, "JPEG", xmp=packet, exif=to_exif())
    return buffer.getvalue()


def to_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "their prompt"
    return exif.tobytes()


def test_the_marked_copy_differs_from_the_master_only_where_the_mark_is() -> None:
    master = finished(noise(300, 200))
    copy = opened(shown(master.data, "AI生成"))
    changed = ImageChops.difference(copy.convert("RGB"), opened(master.data)).getbbox()
    assert changed is not None
    left, top, right, bottom = changed
    assert (left > 150, top > 150, right <= 300, bottom <= 200) == (True, True, True, True)
    assert read(shown(master.data, "AI生成")) == RECIPE


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_exiftool_finds_one_label_too(name: str, tmp_path: Path) -> None:
    master = finished(noise(64, 64)).data
    made = {"a.png": shown(master, "AI生成"), "a.jpg": to_chat_jpeg(master, 10**6), "a.webp": thumbnail(master)[0]}
    (tmp_path / name).write_bytes(made[name])
    command = ["exiftool", "-j", "-a", "-G1:4", "-XMP:all", str(tmp_path / name)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    aigc = [value for key, value in found.items() if key.lower().endswith(":aigc")]
    assert [json.loads(one) if isinstance(one, str) else one for one in aigc] == [EXPECTED]


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
