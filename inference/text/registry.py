"""Which text engine is used: the one door through which all of them come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inference.errors import ModelUnavailable
from inference.text.extractive import ExtractiveModel
from inference.text.model import TextModel

#: Engines by the name that `text.engine` of model.yaml gives them.
ENGINES: Mapping[str, Callable[[], TextModel]] = {"extractive": ExtractiveModel}

#: What `auto` becomes: the first engine that runs here.
AUTO = "extractive"


def open_text_model(engine: str = "auto") -> TextModel:
    """Open the engine of this name. Raises `ModelUnavailable` for one that this release does not have."""
    build = ENGINES.get(AUTO if engine == "auto" else engine)
    if build is None:
        known = ", ".join(("auto", *ENGINES))
        raise ModelUnavailable(
            f"The text engine {engine!r} is not part of this release; it comes with a later one.",
            f"Set text.engine in model.yaml to one of: {known}.",
        )
    return build()
