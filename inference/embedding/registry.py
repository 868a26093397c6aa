"""Which model makes the vectors and which ranks: the one door through which all of them come."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inference.embedding.local import LocalEmbedder
from inference.embedding.model import Embedder, Reranker
from inference.embedding.qwen import QwenReranker
from inference.embedding.remote import RemoteEmbedder, RemoteReranker


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderOptions:
    """What model.yaml says of one of the two."""

    engine: str = "none"  # none | local | openai
    model: str = ""
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    path: Path | None = None
    dimensions: int = 0
    instruction: str | None = None
    device: str = "auto"


def open_embedder(options: EncoderOptions) -> Embedder | None:
    """What makes vectors; None where nothing is to. Nothing is loaded yet."""
    match options.engine:
        case "local" if options.path is not None:
            return LocalEmbedder(
                options.path,
                name=options.model,
                dimensions=options.dimensions,
                instruction=options.instruction,
                device=options.device,
            )
        case "openai":
            return RemoteEmbedder(
                options.base_url,
                model=options.model,
                api_key=options.api_key,
                dimensions=options.dimensions,
                instruction=options.instruction,
            )
    return None


def open_reranker(options: EncoderOptions) -> Reranker | None:
    """What ranks; None where nothing is to. Nothing is loaded yet."""
    match options.engine:
        case "local" if options.path is not None:
            return QwenReranker(options.path, name=options.model, device=options.device)
        case "openai":
            return RemoteReranker(options.base_url, model=options.model, api_key=options.api_key)
    return None
