"""Tiny checkpoints in the layouts of Qwen3-Embedding and Qwen3-Reranker, held against plain transformers."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from inference.embedding import wording
from inference.embedding.local import LocalEmbedder, preflight
from inference.embedding.qwen import LONGEST, QwenReranker
from inference.errors import EmbeddingError
from tests.inference.embedding.encoders import WIDTH, make_embedder, make_reranker

pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own

QUESTION = "年假每年几天？"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("reranker"))


def loaded(path: Path, kind: str) -> tuple[Any, Any]:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(path), getattr(transformers, kind).from_pretrained(path).eval()


def numbers(vector: bytes) -> Any:
    import numpy as np

    return np.frombuffer(vector, "<f4")


def reference(path: Path, text: str) -> Any:
    """The state of the last token at length 1."""
    import torch

    words, model = loaded(path, "AutoModel")
    with torch.inference_mode():
        state = model(**words(text, return_tensors="pt")).last_hidden_state[0, -1]
    return (state / state.norm()).numpy()


async def test_questions_and_passages_are_what_transformers_make_of_them(embedder: Path) -> None:
    import numpy as np

    model = LocalEmbedder(embedder, name="tiny")
    try:
        card = await model.open()
        question, (passage, _) = await model.question(QUESTION), await model.passages([QUESTION, "报销" * 90])
    finally:
        await model.close()
    assert (card.model, card.dimension) == ("tiny", WIDTH)
    asked = wording.prefix(wording.TASK) + QUESTION
    np.testing.assert_allclose(numbers(question), reference(embedder, asked), atol=1e-5)
    np.testing.assert_allclose(numbers(passage), reference(embedder, QUESTION), atol=1e-5)
    with pytest.raises(EmbeddingError, match="shut"):
        await model.question(QUESTION)


async def test_questions_come_between_passages_and_nothing_is_mixed_up(embedder: Path) -> None:
    model = LocalEmbedder(embedder)
    try:
        alone = [await model.question(f"年假{number}") for number in range(8)]
        passages = asyncio.gather(*(model.passages(["报销凭发票" * length] * 4) for length in range(1, 13)))
        together = await asyncio.gather(*(model.question(f"年假{number}") for number in range(8)))
        await passages
    finally:
        await model.close()
    assert together == alone


async def test_shorter_vectors_another_instruction_and_other_weights_are_other_encoders(
    embedder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(embedder, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-9] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    models = [
        LocalEmbedder(embedder),
        LocalEmbedder(embedder, name="again"),
        LocalEmbedder(embedder, dimensions=16),
        LocalEmbedder(embedder, instruction="Find"),
        LocalEmbedder(other),
    ]
    cards = [await model.open() for model in models]
    lengths = [len(await models[at].question("年假")) // 4 for at in (0, 2)]
    for model in models:
        await model.close()
    assert lengths == [WIDTH, 16] == [cards[0].dimension, cards[2].dimension]
    assert cards[0].recipe == cards[1].recipe
    assert len({card.recipe for card in cards}) == 4


async def test_more_numbers_than_there_are_is_an_error(embedder: Path) -> None:
    model = LocalEmbedder(embedder, dimensions=4096)
    with pytest.raises(EmbeddingError, match=f"makes {WIDTH} numbers, and embedding.dimensions wants 4096"):
        await model.open()
    await model.close()


def broken(path: Path, what: str) -> None:
    match what:
        case "missing.":
            (path / "modules.json").unlink()
        case "not a list of modules":
            (path / "modules.json").write_text('{"a": 1}', encoding="utf-8")
        case "run code of its own":
            modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
            modules[1]["type"] = "os.system"
            (path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        case "no *.safetensors":
            (path / "model.safetensors").unlink()
        case "config.json":
            (path / "config.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "what", ["missing.", "not a list of modules", "run code of its own", "no *.safetensors", "config.json"]
)
async def test_a_folder_that_is_no_checkpoint_is_refused_before_anything_is_loaded(
    embedder: Path, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(embedder, folder)
    assert preflight(folder) == []
    broken(folder, what)
    model = LocalEmbedder(folder)
    with pytest.raises(EmbeddingError) as refused:
        await model.open()
    await model.close()
    assert what in str(refused.value)


async def test_ranks_are_how_much_more_likely_yes_is_than_no(reranker: Path) -> None:
    """A long document is cut, what is asked of it never."""
    import torch

    texts = ["年假每年十天。", "报销凭发票。", "无关" * LONGEST, ""]
    model = QwenReranker(reranker)
    try:
        card, scores = await model.open(), await model.scores(QUESTION, texts)
    finally:
        await model.close()
    words, plain = loaded(reranker, "AutoModelForCausalLM")
    before, behind = (words(part).input_ids for part in wording.pair(QUESTION))
    yes, no = (words(word).input_ids[0] for word in ("yes", "no"))
    for text, score in zip(texts, scores, strict=True):
        ids = torch.tensor([before + words(text).input_ids[:LONGEST] + behind])
        with torch.inference_mode():
            said = plain(input_ids=ids).logits[0, -1]
        assert score == pytest.approx(float(torch.softmax(said[[no, yes]], 0)[1]), abs=1e-5)
    assert card.dimension == 0
    with pytest.raises(EmbeddingError, match="shut"):
        await model.scores(QUESTION, texts)


async def test_whoever_leaves_stops_the_ranking_at_the_next_batch(
    reranker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batches, left = QwenReranker(reranker), 0, threading.Event()
    await model.open()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def batch(question: str, texts: list[str]) -> list[float]:
        nonlocal batches
        batches += 1
        loop.call_soon_threadsafe(begun.set)
        return [0.5] * len(texts) if left.wait(10) else []

    monkeypatch.setattr(model, "_batch", batch)
    asking = asyncio.create_task(model.scores(QUESTION, ["年假"] * 40))
    await begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    left.set()
    await model.scores(QUESTION, ["年假"])
    await model.close()
    assert asking.cancelled()
    assert batches == 2


async def test_a_model_without_yes_and_no_is_no_reranker(tmp_path: Path) -> None:
    model = QwenReranker(make_reranker(tmp_path, texts=["年假每年十天"]))
    with pytest.raises(EmbeddingError, match="it is no Qwen3-Reranker"):
        await model.open()
    await model.close()
