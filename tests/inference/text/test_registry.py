"""The door to the text engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.errors import ModelUnavailable
from inference.text.registry import TextOptions, chosen, open_text_model


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        (TextOptions(), "extractive"),
        (TextOptions(base_url="http://gpu:8000/v1"), "openai"),
        (TextOptions(engine="extractive", base_url="http://gpu:8000/v1"), "extractive"),
        (TextOptions(engine="openai", base_url="http://gpu:8000/v1"), "openai"),
        (TextOptions(path=Path("/models/qwen")), "transformers"),
        (TextOptions(path=Path("/models/qwen"), base_url="http://gpu:8000/v1"), "openai"),
    ],
)
async def test_auto_is_the_best_that_is_there(options: TextOptions, engine: str) -> None:
    assert chosen(options) == engine
    model = open_text_model(options)
    assert (model.card.name, model.card.generative) == (engine, engine != "extractive")
    await model.close()


@pytest.mark.parametrize("engine", ["vllm", "gpt"])
def test_other_engines_say_so(engine: str) -> None:
    with pytest.raises(ModelUnavailable, match=engine) as caught:
        open_text_model(TextOptions(engine=engine))
    assert "extractive" in caught.value.next_step


def test_a_folder_is_asked_for() -> None:
    with pytest.raises(ModelUnavailable, match=r"text\.path"):
        open_text_model(TextOptions(engine="transformers"))


def test_a_server_without_an_address_is_asked_for() -> None:
    with pytest.raises(ModelUnavailable, match="base_url"):
        open_text_model(TextOptions(engine="openai"))


def test_the_key_is_not_shown() -> None:
    assert "sk-" not in repr(TextOptions(api_key="sk-secret"))
