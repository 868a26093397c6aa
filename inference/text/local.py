"""A language model on this machine through transformers: for small machines and small models. Nothing else imports it.

One thread owns the model and writes one answer at a time; the others wait in its queue. It is loaded at the first
question. Whoever leaves stops the writing at the next token. There is no grammar that holds it to a JSON Schema: the
schema stands in the prompt, and what does not keep to it is dropped by who asked (inference/text/grounded.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inference.errors import TextError, TextTooLong
from inference.images.checkpoint_files import BrokenFileError, Problem, read_json, tensor_names
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.model import TextCard
from inference.text.thoughts import Thoughts

log = logging.getLogger(__name__)

NEXT = "Look at text.path in model.yaml; `moqi doctor` tries it."


class LocalModel:
    """A checkpoint folder in the Hugging Face layout. Safe for concurrent streams."""

    def __init__(self, path: Path, *, name: str = "", max_tokens: int = 8192) -> None:
        """`max_tokens`: of a question with its passages and its answer."""
        self._path, self._name, self._max_tokens = path, name or path.name, max_tokens
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text-model")
        self._opened: tuple[Any, Any] | None = None  # tokenizer and model, on the thread
        self._closing = threading.Event()

    @property
    def card(self) -> TextCard:
        return TextCard(name="transformers", model=self._name, generative=True)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | Ended | TextError]()
        left = threading.Event()

        def say(piece: str | Ended | TextError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        try:
            self._thread.submit(self._write, request, say, left)
        except RuntimeError as error:
            raise TextError("The language model is shut down.", "Ask again after the restart.") from error
        thoughts = Thoughts()
        try:
            while not isinstance(piece := await pieces.get(), Ended):
                if isinstance(piece, TextError):
                    raise piece
                if text := thoughts.feed(piece):
                    yield Piece(text)
            if text := thoughts.end():
                yield Piece(text)
            yield piece
        finally:
            left.set()

    async def close(self) -> None:
        """Stop what is written, free the model, end the thread. Safe to repeat."""
        self._closing.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        self._opened = None

    # On the model's thread from here on.

    def _write(
        self, request: ChatRequest, say: Callable[[str | Ended | TextError], None], left: threading.Event
    ) -> None:
        try:
            say(Ended(reason="abort") if self._stopped(left) else self._written(request, say, left))
        except TextError as error:
            say(error)
        except Exception as error:  # torch raises what it likes, and who asked must hear of it
            log.exception("the language model failed", extra={"action": "text-model-failed"})
            say(TextError(f"The language model failed: {type(error).__name__}: {error}", NEXT))

    def _written(
        self, request: ChatRequest, say: Callable[[str | Ended | TextError], None], left: threading.Event
    ) -> Ended:
        import torch

        tokenizer, model = self._open()
        prompt = self._prompt(tokenizer, request)
        room = min(request.max_tokens, self._max_tokens - prompt.shape[1])
        sampling = (
            {"do_sample": True, "temperature": request.temperature} if request.temperature else {"do_sample": False}
        )
        with torch.inference_mode():
            written = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=room,
                streamer=_streamer(tokenizer, say),
                stopping_criteria=[lambda ids, scores: torch.full((len(ids),), self._stopped(left), device=ids.device)],
                **sampling,
            )
        count = written.shape[1] - prompt.shape[1]
        if int(written[0, -1]) in _ends(model):
            return Ended(reason="stop", read=prompt.shape[1], written=count)
        return Ended(reason="abort" if self._stopped(left) else "length", read=prompt.shape[1], written=count)

    def _prompt(self, tokenizer: Any, request: ChatRequest) -> Any:
        """The messages as the model reads them, shape (1, tokens). Raises TextError for more than it can read."""
        turns = [{"role": message.role, "content": message.text} for message in request.messages]
        made = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, enable_thinking=False, return_tensors="pt", return_dict=True
        )["input_ids"]
        if made.shape[1] + request.max_tokens > self._max_tokens:
            problem = (
                f"The question with its passages has {made.shape[1]} tokens; with the answer {self._max_tokens} fit."
            )
            raise TextTooLong(problem, "Raise text.max_model_len, or ask a shorter question.")
        return made

    def _stopped(self, left: threading.Event) -> bool:
        return left.is_set() or self._closing.is_set()

    def _open(self) -> tuple[Any, Any]:
        """The model, loaded at the first question. Raises TextError."""
        if self._opened is None:
            problems = preflight(self._path)
            if problems:
                raise TextError(problems[0].problem, problems[0].next_step)
            self._opened = _loaded(self._path)
        return self._opened


def preflight(path: Path) -> list[Problem]:
    """What keeps a folder from being loaded, without loading it."""
    whole = "Download the whole checkpoint folder again."
    try:
        config = read_json(path / "config.json")
        weights = sorted(path.glob("*.safetensors"))
        for file in weights:
            tensor_names(file)
    except BrokenFileError as error:
        return [Problem(problem=str(error), next_step=whole)]
    if not weights:
        return [Problem(problem=f"{path} has no *.safetensors.", next_step="Only safetensors are loaded. " + whole)]
    if not any((path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        return [Problem(problem=f"{path} has no tokenizer.", next_step=whole)]
    if "auto_map" in config:
        return [Problem(problem=f"{path} wants to run code of its own.", next_step="Choose a model without auto_map.")]
    return []


def _loaded(path: Path) -> tuple[Any, Any]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import torch
        import transformers
    except ImportError as error:
        raise TextError(f"Answering needs {error.name}, which is not installed.", "Install moqi[image].") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    place = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        str(path), dtype="auto", local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    return tokenizer, model.to(place).eval()


def _streamer(tokenizer: Any, say: Callable[[str], None]) -> Any:
    """Says the text as it grows, whole characters only, without the prompt and special tokens."""
    from transformers import TextStreamer

    class Streamer(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            if text:
                say(text)

    return Streamer(tokenizer, skip_prompt=True, skip_special_tokens=True)


def _ends(model: Any) -> set[int]:
    """The tokens that end a text."""
    found = model.generation_config.eos_token_id
    return set(found if isinstance(found, list) else [found])
