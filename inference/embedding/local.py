"""An embedding model on this machine through sentence-transformers. Nothing else imports that (some seconds).

Two threads use it: one for passages, which come by the thousand, and one for questions, which somebody waits for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inference.embedding import wording
from inference.embedding.model import EncoderCard
from inference.errors import EmbeddingError
from inference.images.checkpoint_files import BrokenFileError, Problem, read_bytes, read_json, tensor_names

NEXT = "Look at embedding.path in model.yaml; `moqi doctor` tries it."
LONGEST = 2048  # tokens of a passage; ours have a few hundred
SAMPLE = 1 << 16  # bytes of each third of a weights file that its fingerprint is made of
WHOLE = "Download the whole checkpoint folder again."


class LocalEmbedder:
    """A checkpoint folder in the layout of sentence-transformers, such as Qwen3-Embedding's."""

    def __init__(
        self, path: Path, *, name: str = "", dimensions: int = 0, instruction: str | None = None, device: str = "auto"
    ) -> None:
        """`dimensions`: 0 = as many as the model has. `instruction`: None = what the folder says."""
        self._path, self._name, self._dimensions = path, name or path.name, dimensions
        self._instruction, self._device = instruction, device
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed-question")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed-passages")
        self._opening = asyncio.Lock()
        self._model: Any = None
        self._prompts = ("", "")  # what stands before questions, before passages
        self._card: EncoderCard | None = None

    async def open(self) -> EncoderCard:
        async with self._opening:
            if self._card is None:
                self._card = await self._on(self._reading, self._load)
            return self._card

    async def question(self, text: str) -> bytes:
        return (await self._made(self._asking, [text], 0))[0]

    async def passages(self, texts: Sequence[str]) -> list[bytes]:
        return await self._made(self._reading, list(texts), 1)

    async def close(self) -> None:
        for thread in (self._asking, self._reading):
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
        self._model = None

    async def _made(self, thread: ThreadPoolExecutor, texts: list[str], prompt: int) -> list[bytes]:
        await self.open()
        made: list[bytes] = await self._on(thread, self._encode, texts, prompt)
        return made

    async def _on(self, thread: ThreadPoolExecutor, work: Any, *arguments: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)
        except EmbeddingError:
            raise
        except Exception as error:  # torch raises what it likes, and who asked must hear of it
            raise EmbeddingError(f"The embedding model failed: {type(error).__name__}: {error}", NEXT) from error

    # On one of the threads from here on.

    def _load(self) -> EncoderCard:
        for one in preflight(self._path):
            raise EmbeddingError(one.problem, one.next_step)
        model = _loaded(self._path, self._device, self._dimensions)
        self._prompts = self._worded(model)
        self._model = model
        dimension = len(self._encode(["?"], 0)[0]) // 4
        if self._dimensions and dimension != self._dimensions:
            problem = f"{self._path} makes {dimension} numbers, and embedding.dimensions wants {self._dimensions}."
            raise EmbeddingError(problem, "Lower it, or leave it out.")
        recipe = wording.recipe("local", fingerprint(self._path), dimension, *self._prompts)
        return EncoderCard(model=self._name, recipe=recipe, dimension=dimension)

    def _worded(self, model: Any) -> tuple[str, str]:
        """What stands before questions and before passages."""
        if self._instruction is not None:
            return wording.prefix(self._instruction), ""
        return model.prompts.get("query") or "", model.prompts.get("document") or ""

    def _encode(self, texts: list[str], prompt: int) -> list[bytes]:
        if self._model is None:
            raise EmbeddingError("The embedding model is shut down.", "Ask again after the restart.")
        made = self._model.encode(
            texts, prompt=self._prompts[prompt], normalize_embeddings=True, show_progress_bar=False, batch_size=16
        )
        return [row.astype("<f4").tobytes() for row in made]


def preflight(path: Path) -> list[Problem]:
    """What keeps a folder from being loaded, without loading it."""
    try:
        config, modules = read_json(path / "config.json"), _modules(path)
        for file in _weights(path):
            tensor_names(file)
    except BrokenFileError as error:
        return [Problem(problem=str(error), next_step=WHOLE)]
    if not _weights(path):
        return [Problem(problem=f"{path} has no *.safetensors.", next_step="Only safetensors are loaded. " + WHOLE)]
    if "auto_map" in config or not all(one.startswith("sentence_transformers.") for one in modules):
        return [Problem(problem=f"{path} wants to run code of its own.", next_step="Choose a model without.")]
    return []


def _modules(path: Path) -> list[str]:
    """What the folder is made of: without this list it would be guessed, and the vectors would be worthless."""
    import json

    file = path / "modules.json"
    if not file.is_file():
        raise BrokenFileError(f"{file} is missing.")
    try:
        return [str(one["type"]) for one in json.loads(read_bytes(file))]
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenFileError(f"{file} is not a list of modules ({error}).") from error


def _weights(path: Path) -> list[Path]:
    return sorted(path.glob("*.safetensors"))


def fingerprint(path: Path) -> str:
    """Which weights these are, by a sample of them: other ones in the same folder are another model."""
    digest = hashlib.sha256((path / "config.json").read_bytes())
    for file in _weights(path):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        for start in (0, size // 2, max(0, size - SAMPLE)):
            digest.update(read_bytes(file, SAMPLE, start))
    return digest.hexdigest()[:16]


def _loaded(path: Path, device: str, dimensions: int) -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import torch
        import transformers
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        problem = f"Vectors of an own model need {error.name}, which is not installed."
        raise EmbeddingError(problem, "pip install 'moqi[embedding]'") from error
    transformers.utils.logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(
        str(path),
        device=device,
        local_files_only=True,
        trust_remote_code=False,
        truncate_dim=dimensions or None,
        # Processors without 16-bit arithmetic would be several times slower in it.
        model_kwargs={"use_safetensors": True, "dtype": "auto" if device != "cpu" else torch.float32},
    )
    model.max_seq_length = min(model.max_seq_length or LONGEST, LONGEST)
    return model.eval()
