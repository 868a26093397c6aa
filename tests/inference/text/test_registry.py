"""The door to the text engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.errors import ModelUnavailable
from inference.text import registry, vllm_engine
from inference.text.model import TextCard
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


@pytest.mark.parametrize(
    ("installed", "gpu", "engine"),
    [(True, True, "vllm"), (True, False, "transformers"), (False, True, "transformers")],
)
async def test_a_checkpoint_is_served_by_vllm_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, installed: bool, gpu: bool, engine: str
) -> None:
    monkeypatch.setattr(registry, "installed", lambda: installed)
    monkeypatch.setattr(registry, "has_gpu", lambda: gpu)
    options = TextOptions(path=Path("/models/qwen"), model="Qwen3-8B")
    assert chosen(options) == engine
    model = open_text_model(options)
    assert model.card == TextCard(name=engine, model="Qwen3-8B", generative=True)
    await model.close()


@pytest.mark.parametrize(
    ("visible", "device", "found"),
    [(None, True, True), ("0", True, True), ("", True, False), ("-1", True, False), (None, False, False)],
)
def test_a_gpu_that_is_hidden_is_none(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, device: bool, found: bool
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: device and str(path) == "/dev/nvidiactl")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert vllm_engine.has_gpu() is found


def test_other_engines_say_so() -> None:
    with pytest.raises(ModelUnavailable, match="gpt") as caught:
        open_text_model(TextOptions(engine="gpt"))
    assert "extractive" in caught.value.next_step


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_folder_is_asked_for(engine: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"{engine}, and text\.path"):
        open_text_model(TextOptions(engine=engine))


def test_a_server_without_an_address_is_asked_for() -> None:
    with pytest.raises(ModelUnavailable, match="base_url"):
        open_text_model(TextOptions(engine="openai"))


def test_the_key_is_not_shown() -> None:
    assert "sk-" not in repr(TextOptions(api_key="sk-secret"))
