"""Errors of the engines.

InferenceError
├── ModelUnavailable      no usable model: the checkpoint is missing or broken (tell the user, tell the operator)
│   └── DeviceClosed      the engine is being shut down (leave the job: it runs after the restart)
├── PullError             a model cannot be brought into the store (tell the operator; nothing was changed)
├── ImageError            a picture could not be drawn
│   ├── BadImageRequest   the request does not fit the model (tell the user; never try again)
│   │   ├── PromptTooLong the model cannot read all of the prompt
│   │   ├── BadSource     what was given as a picture to begin with is none that can be used
│   │   └── BadAdapter    a style adapter that was asked for is gone, or does not fit the model
│   ├── OutOfMemory       the batch did not fit (try again with fewer pictures, then fail the job)
│   └── NotFinite         the model produced NaN (fail the job; never post a black picture)
├── GpuBusy               somebody else has had the GPU's memory for too long (try again later)
│   └── TakenBack         it went back to them between being given it and beginning (ask for another turn)
├── EmbeddingError        a text could not be made a vector, or passages not be ranked (search by words alone)
├── OrderCheckFailed      nobody could judge an order (the team's policy says what becomes of it)
├── PictureCheckFailed    nobody could judge a picture (the team's policy says what becomes of it)
└── TextError             an answer could not be written (fall back to quotations)
    ├── TextTooLong       the model cannot read all of the question and its passages (try with fewer)
    ├── TextBusy          the engine takes no more at the moment (wait in line)
    └── EngineDown        the engine is not there; it is being started again (fall back, and ask it the next time)

Each class answers "now what?": `transient` says whether the same request may succeed later.
"""

from __future__ import annotations


class InferenceError(Exception):
    """An engine could not do what was asked."""

    transient = False

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message if not next_step else f"{message} {next_step}")
        self.problem = message
        self.next_step = next_step


class ModelUnavailable(InferenceError):
    """The model's files are missing or broken."""


class DeviceClosed(ModelUnavailable):
    """The engine is being shut down."""

    transient = True


class PullError(InferenceError):
    """A model cannot be brought into the store."""


class ImageError(InferenceError):
    """A picture could not be drawn."""

    member: int | None = None  # index of the one at fault: the others of its batch may be tried again; None = all


class BadImageRequest(ImageError):
    """The request does not fit the model's card."""


class PromptTooLong(BadImageRequest):
    """The prompt has more tokens than the model reads. Their number is known only to its tokenizer."""


class BadSource(BadImageRequest):
    """A file that was given as a picture cannot be used as one. `reason`: format | large | broken | small."""

    def __init__(self, reason: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.reason = reason


class BadAdapter(BadImageRequest):
    """A style adapter (LoRA) cannot be used. `reason`: gone | broken."""

    def __init__(self, reason: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.reason = reason


class OutOfMemory(ImageError):
    """The device ran out of memory."""

    transient = True


class NotFinite(ImageError):
    """The model produced values that are not numbers."""


class EmbeddingError(InferenceError):
    """A text could not be made a vector, or passages not be ranked by a model."""

    transient = True


class GpuBusy(InferenceError):
    """The GPU's memory was somebody else's for too long."""

    transient = True


class TakenBack(GpuBusy):
    """Whose turn it was has changed just now: ask for another turn."""


class OrderCheckFailed(InferenceError):
    """The language model's check of orders does not work."""


class PictureCheckFailed(InferenceError):
    """The check of finished pictures does not work."""


class TextError(InferenceError):
    """An answer could not be written."""

    transient = True


class TextTooLong(TextError):
    """The question with its passages has more tokens than the model reads. Their number only its tokenizer knows."""

    transient = False


class TextBusy(TextError):
    """The engine has as much to do as it takes."""


class EngineDown(TextError):
    """The engine is not there at the moment. Unlike other failures this needs no rest: it says itself when it is."""
