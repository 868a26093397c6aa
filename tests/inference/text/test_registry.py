"""The door to the text engines."""

from __future__ import annotations

import pytest

from inference.errors import ModelUnavailable
from inference.text.registry import open_text_model


@pytest.mark.parametrize("engine", ["auto", "extractive"])
async def test_the_engine_that_always_works(engine: str) -> None:
    model = open_text_model(engine)
    assert (model.card.name, model.card.generative) == ("extractive", False)
    await model.close()


@pytest.mark.parametrize("engine", ["vllm", "transformers", "openai", "gpt"])
def test_other_engines_say_so(engine: str) -> None:
    with pytest.raises(ModelUnavailable, match=engine) as caught:
        open_text_model(engine)
    assert "extractive" in caught.value.next_step
