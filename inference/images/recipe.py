"""How a picture was made, as its file says it: for people in the form of AUTOMATIC1111's web UI, for us as JSON.

The first is read by many programs and cannot carry everything: what would be taken for another field is put otherwise
there. The JSON is exact: `read` gives back what `finish` was given, whatever stands in the prompt. Nobody's name or id
is part of it.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from PIL import Image

from inference.requests import ImageRequest
from inference.results import ImageResult

PARAMETERS: Final = "parameters"  # the text chunk of a PNG in which A1111 keeps it
OURS: Final = "moqi"  # the text chunk of a PNG with the JSON
_EXIF_IFD, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C  # where JPEG and WebP have them
_UNICODE = b"UNICODE\0"  # what EXIF wants before a comment in UTF-16
EXIF_MOST = 60_000  # bytes: a segment of a JPEG holds 65,533

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
#: Where a line begins like this, A1111 would read on as something else.
_FIELDS = re.compile(r"^(\s*(?:Negative prompt|Steps|Seed|Size))\s*:", re.IGNORECASE | re.MULTILINE)
_PLAIN = re.compile(r'[^,:"\n\\]+')  # what A1111 takes as a value without quotes


#: What a file may hold where: anybody can write one.
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("prompt", "negative", "model", "job", "version"), (str,)),
    **dict.fromkeys(("seed", "steps", "width", "height"), (int,)),
    **dict.fromkeys(("cfg", "strength"), (float, int)),
}


_NEEDED: Final = frozenset({"prompt", "seed", "steps", "width", "height", "model"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What it takes to draw a picture again."""

    prompt: str
    seed: int
    steps: int
    width: int
    height: int
    model: str
    negative: str = ""
    cfg: float = 0.0
    adapters: tuple[tuple[str, float], ...] = ()  # name and weight
    strength: float | None = None  # it began with another picture, and so much of it was drawn anew
    job: str = ""
    version: str = ""  # of Moqi

    @classmethod
    def of(cls, request: ImageRequest, result: ImageResult, *, model: str, job: str, version: str) -> Recipe:
        """What was asked of a model, and what it made of it."""
        return cls(
            prompt=request.prompt,
            negative=request.negative,
            seed=result.seed,
            steps=request.steps,
            width=result.image.width,
            height=result.image.height,
            model=model,
            cfg=request.cfg,
            adapters=request.adapters,
            strength=request.strength,
            job=job,
            version=version,
        )

    def to_json(self) -> str:
        """One line of ASCII; half a surrogate pair and NUL are escaped like everything else."""
        kept = {name: value for name, value in asdict(self).items() if name in _NEEDED or value not in ("", (), None)}
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Raises ValueError for what is none."""
        try:
            given = json.loads(text)
            known = {field.name: given[field.name] for field in fields(cls) if field.name in given}
            known["adapters"] = tuple((str(name), float(weight)) for name, weight in known.get("adapters", ()))
            wrong = [name for name, kinds in _KINDS.items() if not isinstance(known.get(name, kinds[0]()), kinds)]
            if wrong:
                raise TypeError(f"{wrong[0]} is {known[wrong[0]]!r}")
            return cls(**known)
        except (TypeError, KeyError, ValueError, RecursionError) as error:
            raise ValueError(f"is no recipe of Moqi: {error}") from error


def parameters(recipe: Recipe) -> str:
    """The recipe in A1111's form: the prompt, what is not wanted, and a line of settings."""
    strength = () if recipe.strength is None else (("Denoising strength", f"{recipe.strength:g}"),)
    styles = ", ".join(f"{name}:{weight:g}" for name, weight in recipe.adapters)
    settings: list[tuple[str, object]] = [
        ("Steps", recipe.steps),
        ("CFG scale", f"{recipe.cfg:g}"),
        ("Seed", recipe.seed),
        ("Size", f"{recipe.width}x{recipe.height}"),
        ("Model", recipe.model),
        *strength,
        *((("Lora", styles),) if styles else ()),
        *((("Job", recipe.job),) if recipe.job else ()),
        *((("Version", f"moqi {recipe.version}"),) if recipe.version else ()),
    ]
    negative = [f"Negative prompt: {_text(recipe.negative)}"] if recipe.negative else []
    line = ", ".join(f"{name}: {_value(str(value))}" for name, value in settings)
    return "\n".join((_text(recipe.prompt), *negative, line))


def read(data: bytes) -> Recipe | None:
    """The recipe that a PNG, JPEG or WebP of ours carries; None where there is none. Raises ValueError for no picture.

    Nothing but the head of the file is looked at: it is cheap.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            written = carried(image).ours
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"is no picture that can be read: {error}") from error
    try:
        return Recipe.from_json(written) if written else None
    except ValueError:
        return None  # somebody else's chunk of the same name


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """The recipe as a file carries it, to be passed on to a copy; both empty = it carries none."""

    parameters: str = ""
    ours: str = ""

    def exif(self) -> bytes:
        """For JPEG and WebP; empty when there is nothing to say, or more than a JPEG can hold."""
        if not self.ours:
            return b""
        exif = Image.Exif()
        comment = _UNICODE + self.parameters.encode("utf-16-be", "replace")
        exif.get_ifd(_EXIF_IFD).update({_USER_COMMENT: comment, _MAKER_NOTE: self.ours.encode()})
        packed = exif.tobytes()
        return packed if len(packed) <= EXIF_MOST else b""


def carried(image: Image.Image) -> Carried:
    """What an opened picture carries of its recipe."""
    if image.format == "PNG":
        return Carried(parameters=_str(image.info.get(PARAMETERS)), ours=_str(image.info.get(OURS)))
    kept = image.getexif().get_ifd(_EXIF_IFD)
    comment, ours = kept.get(_USER_COMMENT, b""), kept.get(_MAKER_NOTE, b"")
    said = comment.removeprefix(_UNICODE).decode("utf-16-be", "replace") if isinstance(comment, bytes) else ""
    return Carried(parameters=said, ours=ours.decode("utf-8", "replace") if isinstance(ours, bytes) else "")


def _str(value: Any) -> str:
    return str(value) if isinstance(value, str) else ""


def _text(prompt: str) -> str:
    """A prompt on lines of its own that are not taken for another field."""
    clean = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", prompt.replace("\r\n", "\n").replace("\r", "\n"))
    return _FIELDS.sub("\\1\N{FULLWIDTH COLON}", clean)


def _value(value: str) -> str:
    clean = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)
    return clean if _PLAIN.fullmatch(clean) else json.dumps(clean, ensure_ascii=False)
