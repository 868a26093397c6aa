"""Qwen3-Reranker on this machine: a language model that is asked whether a document answers, and says yes or no.

The score is how much more likely "yes" is than "no". One thread owns the model. Whoever leaves stops the work at the
next batch.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inference.embedding import wording
from inference.embedding.local import fingerprint
from inference.embedding.model import EncoderCard
from inference.errors import EmbeddingError
from inference.text.local import preflight

NEXT = "Look at embedding.reranker.path in model.yaml."
LONGEST = 1024  # tokens of a document; the question and what is asked of it are never cut
BATCH = 4  # documents at once: how long somebody who left keeps the thread


class QwenReranker:
    """A checkpoint folder of Qwen3-Reranker."""

    def __init__(self, path: Path, *, name: str = "", device: str = "auto") -> None:
        self._path, self._name, self._device = path, name or path.name, device
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reranker")
        self._opening = asyncio.Lock()
        self._closing = threading.Event()
        self._opened: tuple[Any, Any] | None = None  # tokenizer and model
        self._card: EncoderCard | None = None

    async def open(self) -> EncoderCard:
        async with self._opening:
            if self._card is None:
                self._card = await self._on(self._load)
            return self._card

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        await self.open()
        left = threading.Event()
        try:
            found: list[float] = await self._on(self._judge, question, list(texts), left)
        finally:
            left.set()
        return found

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        self._opened = None

    async def _on(self, work: Any, *arguments: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except EmbeddingError:
            raise
        except Exception as error:  # torch raises what it likes, and who asked must hear of it
            raise EmbeddingError(f"The reranker failed: {type(error).__name__}: {error}", NEXT) from error

    # On the thread from here on.

    def _load(self) -> EncoderCard:
        for one in preflight(self._path):
            raise EmbeddingError(one.problem, one.next_step)
        self._opened = _loaded(self._path, self._device)
        unknown = [word for word, ids in _answers(self._opened[0]).items() if len(ids) != 1]
        if unknown:
            raise EmbeddingError(f"{self._path} has no token for {unknown[0]!r}: it is no Qwen3-Reranker.", NEXT)
        return EncoderCard(model=self._name, recipe=wording.recipe("qwen", fingerprint(self._path)))

    def _judge(self, question: str, texts: list[str], left: threading.Event) -> list[float]:
        found: list[float] = []
        for start in range(0, len(texts), BATCH):
            if left.is_set() or self._closing.is_set():
                raise EmbeddingError("Nobody waits for these ranks any more.")
            found += self._batch(question, texts[start : start + BATCH])
        return found

    def _batch(self, question: str, texts: list[str]) -> list[float]:
        import torch

        if self._opened is None:
            raise EmbeddingError("The reranker is shut down.", "Ask again after the restart.")
        tokenizer, model = self._opened
        before, behind = (tokenizer(part).input_ids for part in wording.pair(question))
        rows = [before + tokenizer(text).input_ids[:LONGEST] + behind for text in texts]
        longest = max(map(len, rows))
        pad = tokenizer.pad_token_id or 0
        # Padded in front: the answer is read behind the last token.
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=model.device)
        seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
        answers = [ids_[0] for ids_ in _answers(tokenizer).values()]
        with torch.inference_mode():
            said = model(input_ids=ids, attention_mask=seen, logits_to_keep=1).logits[:, -1, answers].float()
        return [float(yes) for yes in torch.softmax(said, dim=-1)[:, 1]]


def _answers(tokenizer: Any) -> dict[str, list[int]]:
    return {word: tokenizer(word, add_special_tokens=False).input_ids for word in ("no", "yes")}


def _loaded(path: Path, device: str) -> tuple[Any, Any]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import torch
        import transformers
    except ImportError as error:
        raise EmbeddingError(f"Ranking needs {error.name}, which is not installed.", "Install moqi[image].") from error
    transformers.utils.logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        str(path),
        dtype="auto" if device != "cpu" else torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return tokenizer, model.to(device).eval()
