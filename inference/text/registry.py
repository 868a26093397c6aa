"""Which text engine is used: the one door through which all of them come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inference.errors import ModelUnavailable
from inference.text.chat import ChatModel
from inference.text.extractive import ExtractiveModel
from inference.text.grounded import GroundedModel
from inference.text.local import LocalModel
from inference.text.model import TextModel
from inference.text.remote import RemoteModel

#: The engines of this release, by the name that `text.engine` of model.yaml gives them.
ENGINES = ("openai", "transformers", "extractive")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOptions:
    """What model.yaml says of the engine that answers."""

    engine: str = "auto"
    model: str = ""
    base_url: str = ""
    api_key: str = ""
    path: Path | None = None  # of a checkpoint on this machine
    max_tokens: int = 8192  # of a question with its passages and its answer

    def __repr__(self) -> str:
        return (
            f"TextOptions(engine={self.engine!r}, model={self.model!r}, base_url={self.base_url!r}, path={self.path})"
        )


def chosen(options: TextOptions) -> str:
    """Which engine it is: `auto` is the best one that is there."""
    if options.engine != "auto":
        return options.engine
    return "openai" if options.base_url else "transformers" if options.path else "extractive"


def open_text_model(options: TextOptions, chat: ChatModel | None = None) -> TextModel:
    """Open the engine, on the language model `chat` where one is open already; closing it closes that.

    Raises `ModelUnavailable` for one that this release does not have.
    """
    match chosen(options):
        case "openai" | "transformers":
            return GroundedModel(chat or _chat(options))
        case "extractive":
            return ExtractiveModel()
        case engine:
            known = ", ".join(("auto", *ENGINES))
            raise ModelUnavailable(
                f"The text engine {engine!r} is not part of this release; it comes with a later one.",
                f"Set text.engine in model.yaml to one of: {known}.",
            )


def open_chat_model(options: TextOptions) -> ChatModel | None:
    """The language model itself; None where none is configured. Raises `ModelUnavailable`."""
    return _chat(options) if chosen(options) in ("openai", "transformers") else None


def _chat(options: TextOptions) -> ChatModel:
    if chosen(options) == "openai":
        return remote(options)
    if options.path is None:
        raise ModelUnavailable("text.engine is transformers, and text.path is empty.", "Write the checkpoint's folder.")
    return LocalModel(options.path, name=options.model, max_tokens=options.max_tokens)


def remote(options: TextOptions) -> RemoteModel:
    """The client of the server that model.yaml names. Raises `ModelUnavailable` where it names none."""
    if not options.base_url:
        raise ModelUnavailable("text.engine is openai, and text.base_url is empty.", "Write the server's address.")
    return RemoteModel(base_url=options.base_url, api_key=options.api_key, model=options.model)
