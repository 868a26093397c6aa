"""Which text engine is used: the one door through which all of them come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference.errors import ModelUnavailable
from inference.text.chat import ChatModel
from inference.text.extractive import ExtractiveModel
from inference.text.grounded import GroundedModel
from inference.text.local import LocalModel
from inference.text.model import TextCard, TextModel
from inference.text.remote import RemoteModel
from inference.text.supervised import Gate, SupervisedModel
from inference.text.vllm_engine import VllmEngine, VllmOptions, has_gpu, installed

#: The engines of this release, by the name that `text.engine` of model.yaml gives them.
ENGINES = ("vllm", "openai", "transformers", "extractive")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOptions:
    """What model.yaml says of the engine that answers."""

    engine: str = "auto"
    model: str = ""
    base_url: str = ""
    api_key: str = ""
    path: Path | None = None  # of a checkpoint on this machine
    max_tokens: int = 8192  # of a question with its passages and its answer
    share: float = 0.3  # of the GPU's memory, for vllm
    streams: int = 16  # answers that vllm writes at once
    cache: int = 0  # bytes in which vllm keeps what it has read; 0 = what is left of its share
    lends: bool = False  # vllm may be put to sleep
    folder: Path | None = None  # where vllm notes itself and keeps what it compiled

    def __repr__(self) -> str:
        return (
            f"TextOptions(engine={self.engine!r}, model={self.model!r}, base_url={self.base_url!r}, path={self.path})"
        )


def chosen(options: TextOptions) -> str:
    """Which engine it is: `auto` is the best one that is there."""
    if options.engine != "auto":
        return options.engine
    if options.base_url:
        return "openai"
    if options.path is None:
        return "extractive"
    return "vllm" if installed() and has_gpu() else "transformers"


def open_text_model(options: TextOptions, chat: ChatModel | None = None) -> TextModel:
    """Open the engine, on the language model `chat` where one is open already; closing it closes that.

    Raises `ModelUnavailable` for one that this release does not have.
    """
    engine = chosen(options)
    if engine == "extractive":
        return ExtractiveModel()
    if engine in ENGINES:
        return GroundedModel(chat or _chat(options))
    raise ModelUnavailable(
        f"The text engine {engine!r} is not part of this release; it comes with a later one.",
        f"Set text.engine in model.yaml to one of: {', '.join(('auto', *ENGINES))}.",
    )


def open_chat_model(options: TextOptions, gate: Gate | None = None) -> ChatModel | None:
    """The language model itself; None where none is configured. Raises `ModelUnavailable`.

    `gate` is held while an engine on this machine's GPU starts, falls asleep or wakes.
    """
    return _chat(options, gate) if chosen(options) in ENGINES[:-1] else None


def _chat(options: TextOptions, gate: Gate | None = None) -> ChatModel:
    match chosen(options):
        case "openai":
            return remote(options)
        case "vllm":
            return _supervised(options, gate)
        case _:
            return LocalModel(_path(options), name=options.model, max_tokens=options.max_tokens)


def _supervised(options: TextOptions, gate: Gate | None) -> SupervisedModel:
    wanted = VllmOptions(
        path=_path(options),
        max_tokens=options.max_tokens,
        share=options.share,
        streams=options.streams,
        cache=options.cache,
        lends=options.lends,
        folder=options.folder,
    )
    card = TextCard(name="vllm", model=options.model or wanted.path.name, generative=True)
    return SupervisedModel(card, partial(VllmEngine.start, wanted), gate=gate)


def _path(options: TextOptions) -> Path:
    if options.path is None:
        problem = f"text.engine is {chosen(options)}, and text.path is empty."
        raise ModelUnavailable(problem, "Write the checkpoint's folder.")
    return options.path


def remote(options: TextOptions) -> RemoteModel:
    """The client of the server that model.yaml names. Raises `ModelUnavailable` where it names none."""
    if not options.base_url:
        raise ModelUnavailable("text.engine is openai, and text.base_url is empty.", "Write the server's address.")
    return RemoteModel(base_url=options.base_url, api_key=options.api_key, model=options.model)
