"""What an engine gives back."""

from __future__ import annotations

from dataclasses import dataclass

from PIL.Image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """One picture of a batch. `image` is RGB, width x height as requested."""

    image: Image
    seed: int
    seconds: float  # wall time of the forward pass it was part of
    batch_size: int  # how many pictures shared that pass (same seed in another batch may differ by rounding)


@dataclass(frozen=True, kw_only=True, slots=True)
class Citation:
    """A numbered source of an answer. `quote` occurs verbatim in the passage."""

    mark: int  # [1], [2] … as written in the answer
    document: str
    passage: int  # passage id
    heading: str
    quote: str
    url: str = ""  # where people open the document's original


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    """The next piece of an answer that is being written."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A finished answer: the last value a text engine yields, in place of all that was streamed before it.

    Not grounded = the documents do not say.
    """

    text: str
    grounded: bool
    citations: tuple[Citation, ...] = ()
    nearest: tuple[str, ...] = ()  # names of the nearest documents when not grounded
    engine: str = ""  # which engine wrote it
    interrupted: bool = False  # the engine was cut off: what it had begun is not part of this
    tokens: int = 0  # that a language model read and wrote for it; 0 = none was used
