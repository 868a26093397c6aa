"""Which model is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.errors import ModelUnavailable
from inference.images.registry import BUILTIN, LoadOptions, expected_card, load, resolve


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_folder_the_builtin_model_is_used(nothing: str | None) -> None:
    choice = resolve(nothing)
    assert (choice.name, choice.path, choice.builtin) == ("builtin", BUILTIN, True)
    assert "no image.path" in choice.reason


def test_a_named_folder_is_used_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "Z-Image-Turbo"
    assert (resolve(str(folder)).name, resolve(str(folder)).builtin) == ("Z-Image-Turbo", False)
    assert resolve(str(folder), name="Tongyi-MAI/Z-Image-Turbo").name == "Tongyi-MAI/Z-Image-Turbo"
    assert str(folder) in resolve(str(folder)).reason


def test_a_broken_folder_never_becomes_the_builtin_model(tmp_path: Path) -> None:
    choice = resolve(str(tmp_path / "gone"))
    assert not choice.builtin
    with pytest.raises(ModelUnavailable, match="gone"):
        load(choice, LoadOptions())


def test_the_card_is_known_before_anything_is_loaded() -> None:
    card = expected_card(resolve(None), LoadOptions())
    assert (card.name, card.builtin, card.device, card.default_steps, card.multiple) == ("builtin", True, "auto", 8, 16)


def test_each_models_own_size_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    cards = [expected_card(resolve(path), LoadOptions()) for path in (None, str(tmp_path / "Z-Image-Turbo"))]
    assert [card.default_size for card in cards] == [(256, 256), (1024, 1024)]


def test_the_loaded_card_is_the_expected_one_but_for_the_device() -> None:
    choice, options = resolve(None), LoadOptions(device="cpu", dtype="float32")
    model = load(choice, options)
    assert model.card == expected_card(choice, options)
