"""Opens a checkpoint folder with diffusers: quietly, without a network, and with sentences for what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference.errors import ModelUnavailable


def import_engine(compiled: Path | None = None) -> None:
    """Import torch and diffusers, quietly and without a network. Raises ModelUnavailable.

    `compiled`: the folder in which compiled kernels outlive this process; an operator's own choice comes first.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    if compiled is not None:  # before the import, which puts a folder of its own there
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled))
    try:
        import diffusers
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise ModelUnavailable(
            f"Drawing needs {error.name}, which is not installed.", "Install moqi[image]."
        ) from error
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


@contextmanager
def load_errors(path: Path) -> Iterator[None]:
    """Whatever loading raises becomes ModelUnavailable."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, ImportError, MemoryError) as error:
        raise ModelUnavailable(
            f"{path} cannot be loaded: {error}", "Run `moqi doctor`, or download it again."
        ) from error


def read(path: Path, dtype: str) -> Any:
    """The pipeline of a checkpoint folder, in main memory."""
    import torch
    from diffusers import ZImagePipeline

    pipeline_class: Any = ZImagePipeline
    return pipeline_class.from_pretrained(
        str(path), dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
    )


def sharing(pipeline: Any) -> Any:
    """A pipeline that begins with pictures, made of the parts of one that begins with noise."""
    from diffusers import ZImageImg2ImgPipeline

    pipeline_class: Any = ZImageImg2ImgPipeline
    sharing = pipeline_class(**pipeline.components)
    sharing.set_progress_bar_config(disable=True)
    return sharing


def versions() -> str:
    """What computes: measured with another version, a figure says nothing."""
    import diffusers
    import torch

    return f"torch {torch.__version__}, diffusers {diffusers.__version__}"
