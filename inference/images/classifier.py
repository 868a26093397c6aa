"""The picture check: a transformers image-classification checkpoint in a local folder, on the processor.

Nothing is downloaded and no code of the folder is run: safetensors only. It is loaded at the first picture.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from PIL.Image import Image

from inference.errors import PictureCheckFailed
from inference.moderation import Limits, Verdict, weigh

NEEDED = ("config.json", "model.safetensors", "preprocessor_config.json")


class Classifier:
    """An ImageCheck whose labels have limits."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._loaded: tuple[Any, Any] | None = None  # processor, model
        self._lock = threading.Lock()

    def check(self, image: Image) -> Verdict:
        """Judge one picture; the first one waits for the model. Raises PictureCheckFailed."""
        with self._lock:  # one at a time: they share the processor
            try:
                return weigh(self._scores(image), self._limits)
            except PictureCheckFailed:
                raise
            except Exception as error:  # whatever a checkpoint does, the policy decides what becomes of the picture
                raise PictureCheckFailed(f"The picture check of {self._folder} failed: {error!r}.") from error

    def _scores(self, image: Image) -> dict[str, float]:
        import torch

        processor, model = self._open()
        with torch.inference_mode():
            logits = model(**processor(images=image.convert("RGB"), return_tensors="pt")).logits[0].float()
        each = model.config.problem_type == "multi_label_classification"
        scores = logits.sigmoid() if each else logits.softmax(-1)
        return {model.config.id2label[index]: float(score) for index, score in enumerate(scores)}

    def _open(self) -> tuple[Any, Any]:
        if self._loaded is None:
            problem, next_step = examine(self._folder, self._limits)
            if problem:
                raise PictureCheckFailed(problem, next_step)
            from transformers import AutoImageProcessor, AutoModelForImageClassification

            processor = AutoImageProcessor.from_pretrained(self._folder, local_files_only=True, backend="pil")
            model = AutoModelForImageClassification.from_pretrained(
                self._folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            self._loaded = processor, model.eval()
        return self._loaded


def examine(folder: Path, limits: Limits) -> tuple[str, str]:
    """What keeps a folder from being used with these limits, and the next step; both empty when nothing does."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        step = "Name the folder of an image-classification checkpoint (safetensors) in policy.yaml: moderation.pictures"
        return f"{folder} has no {', '.join(missing)}.", step
    try:
        known = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})
    except (OSError, ValueError) as error:
        return f"{folder / 'config.json'} cannot be read: {error}.", "Copy the checkpoint again."
    unknown = sorted(limits.labels - set(known.values()))
    if unknown:
        labels = ", ".join(map(str, known.values()))
        return f"{folder} has no label {', '.join(unknown)}.", f"Its labels are: {labels}."
    return "", ""
