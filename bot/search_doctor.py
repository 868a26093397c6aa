"""What `moqi doctor` says of the models that the search has beside words: whether they are there. Whether they are good
enough for these documents is for `moqi kb vectors` to say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec

from bot.doctor import PATIENCE, Check, failed
from bot.opening import encoder_options
from bot.settings import Settings
from inference.embedding import local
from inference.embedding.model import Embedder, Reranker
from inference.embedding.registry import EncoderOptions, open_embedder, open_reranker
from inference.errors import InferenceError
from inference.text.local import preflight

SHOWN = "`moqi kb vectors` shows whether it takes part"


def search(settings: Settings) -> Iterator[Check]:
    """Each model that is named can be loaded or reached; nothing when none is."""
    wanted = settings.model.embedding
    for name, one in (("", wanted), (".next", wanted.next)):
        options = encoder_options(settings, one)
        yield from _looked_at(f"embedding{name}", options, open_embedder(options))
    options = encoder_options(settings, wanted.reranker)
    yield from _looked_at("embedding.reranker", options, open_reranker(options))


def _looked_at(name: str, options: EncoderOptions, model: Embedder | Reranker | None) -> Iterator[Check]:
    if model is None:
        return
    if options.path is not None and options.engine == "local":
        yield _files(name, options)
    else:
        yield asyncio.run(_reached(name, options, model))


def _files(name: str, options: EncoderOptions) -> Check:
    """The checkpoint and what loads it, without loading it: that takes seconds."""
    assert options.path is not None
    ranks = name.endswith("reranker")
    package, extra = ("transformers", "image") if ranks else ("sentence_transformers", "embedding")
    if find_spec(package) is None:
        return failed(name, f"{package} is not installed.", f"pip install 'moqi[{extra}]'")
    for one in (preflight if ranks else local.preflight)(options.path):
        return failed(name, one.problem, one.next_step)
    return Check(name=name, detail=f"{options.path}; {SHOWN}")


async def _reached(name: str, options: EncoderOptions, model: Embedder | Reranker) -> Check:
    try:
        async with asyncio.timeout(PATIENCE):
            card = await model.open()
    except InferenceError as error:
        return failed(name, error.problem, error.next_step)
    except TimeoutError:
        return failed(name, f"{options.base_url} does not answer within {PATIENCE:g} s.", "Look whether it runs.")
    finally:
        await model.close()
    length = f", {card.dimension} numbers" if card.dimension else ""
    return Check(name=name, detail=f"{card.model} at {options.base_url}{length}; {SHOWN}")
