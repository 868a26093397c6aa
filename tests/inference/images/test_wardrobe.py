"""Style adapters on the real pipeline: they act on those who asked, and leave no trace on anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from inference.errors import BadAdapter
from inference.images.adapters import Wanted, find
from inference.images.batching import batch_key
from inference.images.model import Taker
from inference.images.registry import BUILTIN
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest
from tests.inference.images import loras
from tests.inference.images.loras import write


class Watch:
    """Lets everybody stay, or nobody after the first step."""

    def __init__(self, leave: bool = False) -> None:
        self.leave, self.done = leave, 0

    def cancelled(self, index: int) -> bool:
        return self.leave and self.done > 0

    def step(self, index: int, done: int, total: int) -> None:
        self.done = done

    def preview(self, index: int) -> Taker | None:
        return None


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZImageModel]:
    """The practice model with one, two, one again as kohya writes it, and one whose file is spoilt after a look."""
    folder = tmp_path_factory.mktemp("styles")
    write(folder / "one.safetensors", loras.noise(1))
    write(folder / "two.safetensors", loras.noise(2))
    write(folder / "kohya.safetensors", loras.kohya(loras.noise(1)))
    spoilt = write(folder / "v1.5-spoilt.safetensors", loras.noise(3))
    found = find([Wanted(path=folder)], BUILTIN)
    spoilt.write_bytes(spoilt.read_bytes()[:-8])
    model = ZImageModel.load(BUILTIN, name="b", builtin=True, device="cpu", adapters=found.adapters)
    yield model
    model.close()


def request(*worn: tuple[str, float], seed: int = 7, **more: Any) -> ImageRequest:
    asked: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2}
    return ImageRequest(**asked, seed=seed, adapters=worn, **more)


def draw(model: ZImageModel, *batch: ImageRequest) -> list[bytes]:
    results = model.generate(batch, Watch())
    return [result.image.tobytes() for result in results if result is not None]


def alone(model: ZImageModel, *worn: tuple[str, float], **more: Any) -> bytes:
    [picture] = draw(model, request(*worn, **more))
    return picture


def test_without_adapters_a_picture_is_bit_by_bit_what_it_was_before(styled: ZImageModel) -> None:
    before = alone(styled)
    pictures = {alone(styled, ("one", 1.0)), alone(styled, ("two", 1.0)), alone(styled, ("one", 1.0), ("two", 1.0))}
    assert len({before, *pictures}) == 4
    assert alone(styled) == before


def test_weights_count_and_none_is_like_no_adapter(styled: ZImageModel) -> None:
    full, half = alone(styled, ("one", 1.0)), alone(styled, ("one", 0.5))
    assert alone(styled, ("one", 0.0)) == alone(styled) not in (full, half)
    assert full != half
    assert alone(styled, ("two", 0.0), ("one", 1.0)) == full
    assert batch_key(request(("one", 0.0)), 1) == batch_key(request(), 1)


def test_the_order_in_which_they_are_named_does_not_matter(styled: ZImageModel) -> None:
    here, there = (("one", 0.8), ("two", 0.6)), (("two", 0.6), ("one", 0.8))
    assert batch_key(request(*here), 1) == batch_key(request(*there), 1)
    assert draw(styled, request(*here, seed=1), request(*there, seed=2)) == [
        alone(styled, *here, seed=1),
        alone(styled, *here, seed=2),
    ]


def test_a_batch_of_different_styles_is_refused(styled: ZImageModel) -> None:
    with pytest.raises(ValueError, match="must share"):
        styled.generate([request(("one", 1.0)), request()], Watch())


def test_an_adapter_in_kohyas_layout_draws_the_same_picture(styled: ZImageModel) -> None:
    assert alone(styled, ("kohya", 1.0)) == alone(styled, ("one", 1.0))


def test_a_picture_to_begin_with_is_redrawn_in_the_style(styled: ZImageModel) -> None:
    source = Image.new("RGB", (64, 64), "white")
    plain, drawn = (alone(styled, *worn, source=source, strength=0.7) for worn in ((), (("one", 1.0),)))
    assert plain != drawn
    assert alone(styled, source=source, strength=0.7) == plain


def test_a_spoilt_file_fails_its_own_picture_only(styled: ZImageModel) -> None:
    before = alone(styled)
    for _ in range(2):
        with pytest.raises(BadAdapter, match="its header promises") as caught:
            styled.generate([request(("one", 1.0), ("v1.5-spoilt", 1.0))], Watch())
        assert caught.value.reason == "broken"
        assert alone(styled) == before
    with pytest.raises(BadAdapter, match="Available: kohya, one, two") as caught:
        styled.generate([request(("gone", 1.0))], Watch())
    assert caught.value.reason == "gone"


def test_whoever_leaves_takes_the_style_off(styled: ZImageModel) -> None:
    before = alone(styled)
    assert styled.generate([request(("one", 1.0))], Watch(leave=True)) == [None]
    assert alone(styled) == before


@pytest.mark.parametrize(
    ("room", "worn", "kept"),
    [
        (3, [("one",), ("two",), ("kohya",)], ("one", "two", "kohya")),
        (2, [("one",), ("two",), ("one",), ("kohya",)], ("one", "kohya")),
        (1, [("one",), ("two",)], ("two",)),
        (0, [("one", "two")], ("one", "two")),
        (0, [("one", "two"), ("kohya",)], ("kohya",)),
    ],
)
def test_what_was_not_worn_for_the_longest_goes_first(
    styled: ZImageModel,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    worn: list[tuple[str, ...]],
    kept: tuple[str, ...],
) -> None:
    wardrobe = styled._wardrobe
    monkeypatch.setattr(wardrobe, "_keep", room * max(one.size for one in styled.card.adapters))
    for names in worn:
        with wardrobe.wearing(tuple((name, 1.0) for name in names)):
            pass
    assert wardrobe.read == kept
