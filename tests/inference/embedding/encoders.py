"""Embedders and rerankers for tests: tiny checkpoints in the layouts of Qwen3's, and ones that compute by rule."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference.embedding import vector, wording
from inference.embedding.model import EncoderCard
from inference.errors import EmbeddingError
from inference.grounding import tokens
from inference.images.builtin.components import tokenizer

WIDTH = 64
TEXTS = ("年假每年十天，报销凭发票。", "Judge whether the Document meets the requirements: yes no", wording.TASK)


class Counting:
    """An embedder that understands: the more words two texts share, the nearer they are. `means` names same things."""

    def __init__(
        self, *, dimension: int = 256, model: str = "counting", means: Callable[[str], str] = lambda text: text
    ) -> None:
        self.dimension, self.model, self.means = dimension, model, means
        self.fails = False  # every call raises
        self.hangs = False  # no call returns
        self.read = 0  # passages
        self.asked: list[str] = []

    async def open(self) -> EncoderCard:
        recipe = wording.recipe(self.model, self.dimension)
        return EncoderCard(model=self.model, recipe=recipe, dimension=self.dimension)

    async def question(self, text: str) -> bytes:
        self.asked.append(text)
        return (await self._made([text]))[0]

    async def passages(self, texts: Sequence[str]) -> list[bytes]:
        self.read += len(texts)
        return await self._made(texts)

    async def close(self) -> None:
        """Nothing is held."""

    async def _made(self, texts: Sequence[str]) -> list[bytes]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise EmbeddingError("The model is gone.", "Start it again.")
        return [self._one(tokens.fold(self.means(text))) for text in texts]

    def _one(self, folded: str) -> bytes:
        numbers = [0.0] * self.dimension
        for term in [*tokens.bigrams(folded), *tokens.words(folded), "-"]:
            place = int.from_bytes(hashlib.blake2s(term.encode(), digest_size=4).digest(), "big")
            numbers[place % self.dimension] += 1.0
        return vector.pack(numbers)


class Guessing(Counting):
    """An embedder that understands nothing."""

    def _one(self, folded: str) -> bytes:
        seed = hashlib.blake2s(folded.encode()).digest() * (self.dimension // 32 + 1)
        return vector.pack([float(byte) - 127.5 for byte in seed[: self.dimension]])


class Judging:
    """A reranker that likes the texts that `likes` says, and counts what it was given."""

    def __init__(self, likes: Callable[[str, str], float]) -> None:
        self.likes = likes
        self.fails = False
        self.hangs = False
        self.read: list[int] = []

    async def open(self) -> EncoderCard:
        return EncoderCard(model="judging", recipe=wording.recipe("judging"))

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        self.read.append(len(texts))
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise EmbeddingError("The model is gone.", "Start it again.")
        return [self.likes(question, text) for text in texts]

    async def close(self) -> None:
        """Nothing is held."""


def make_embedder(out: Path, *, seed: int = 7) -> Path:
    """A checkpoint in the layout of Qwen3-Embedding: last token's state, length 1, an instruction before questions."""
    from tokenizers import processors

    model, words = _model(seed)
    end = "<|endoftext|>"
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, words.convert_tokens_to_ids(end))]
    )
    words.padding_side = "left"
    model.save_pretrained(out)
    words.save_pretrained(out)
    modules = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    _write(
        out / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate(modules)
        ],
    )
    _write(
        out / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": WIDTH,
            "pooling_mode_mean_tokens": False,
            "pooling_mode_lasttoken": True,
            "include_prompt": True,
        },
    )
    prompts = {"query": wording.prefix(wording.TASK), "document": ""}
    _write(out / "config_sentence_transformers.json", {"prompts": prompts, "similarity_fn_name": "cosine"})
    return out


def make_reranker(out: Path, *, seed: int = 5, texts: Sequence[str] = TEXTS) -> Path:
    """A checkpoint in the layout of Qwen3-Reranker, that knows the words in `texts`."""
    model, words = _model(seed, texts)
    model.save_pretrained(out)
    words.save_pretrained(out)
    return out


def _model(seed: int, texts: Sequence[str] = TEXTS) -> tuple[Any, Any]:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    words: Any = tokenizer([*texts] * 4, 512)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=words.convert_tokens_to_ids("<|endoftext|>"),
    )
    return Qwen3ForCausalLM(config), words


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")
