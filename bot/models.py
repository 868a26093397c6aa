"""The image models there are: the practice model, the one that model.yaml names, and those of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.commands.names import nearest
from bot.opening import image_choice
from bot.settings import Settings
from inference.images.checkpoint_files import BrokenFileError, tensors_of
from inference.images.preflight import Preflight, preflight
from inference.images.registry import Choice, resolve, stored
from inference.images.store import lock
from inference.images.store.lock import Lock
from inference.images.store.pull import NAME

FOLDER = "models"  # of the data folder
DEFAULT = ("default", "默认")  # what people write for the model of model.yaml
TRANSFORMER = "transformer"


class UnknownModel(Exception):
    """No model has this name. `near`: those that may be meant."""

    def __init__(self, name: str, near: Sequence[str]) -> None:
        super().__init__(f"There is no model {name}. " + (f"Perhaps {', '.join(near)}?" if near else ""))
        self.name = name
        self.near = tuple(near)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One model, as its files say."""

    choice: Choice
    default: bool  # what model.yaml says
    size: int  # bytes
    dtype: str  # of its transformer as it is stored: BF16 | F32; empty = unreadable
    lock: Lock | None  # what it was when it came in; None = it did not come in by `moqi models pull`

    @property
    def name(self) -> str:
        return self.choice.name


class Shelf:
    """Knows the models by their names. Every call looks at the folders anew: it costs milliseconds."""

    def __init__(self, settings: Settings, data: Path) -> None:
        self._settings = settings
        self.store = data / FOLDER

    def default(self) -> Choice:
        """What model.yaml says."""
        return image_choice(self._settings)

    def choices(self) -> list[Choice]:
        """Every model, the default first. Of two that have a name, the first is meant by it."""
        found = [self.default(), resolve(None), *(stored(one.name, one) for one in self._folders())]
        first: dict[str, Choice] = {}
        for one in found:
            first.setdefault(one.name.lower(), one)
        return list(first.values())

    def choice(self, name: str) -> Choice:
        """The model of exactly this name; empty = the default. Raises UnknownModel."""
        if not name:
            return self.default()
        found = next((one for one in self.choices() if one.name == name), None)
        if found is None:
            raise UnknownModel(name, ())
        return found

    def find(self, written: str) -> str:
        """The name of the model that somebody means; empty = the default. Raises UnknownModel."""
        if written.lower() in DEFAULT:
            return ""
        names = [one.name for one in self.choices()]
        wanted = written.lower()
        whole = [name for name in names if name.lower() == wanted]
        meant = whole or [name for name in names if name.lower().rpartition("/")[2] == wanted]
        if len(meant) == 1:
            return meant[0]
        folded = {name.lower(): name for name in names}
        near = (
            [name.lower() for name in meant] or nearest(wanted, folded) or [name for name in folded if wanted in name]
        )
        raise UnknownModel(written, [folded[name] for name in near])

    def models(self) -> list[Model]:
        """Every model with what its files say."""
        default = self.default()
        return [_model(one, default=one == default) for one in self.choices()]

    def check(self, choice: Choice) -> Preflight:
        """Whether a model could be loaded, as far as can be seen without doing so."""
        return preflight(choice.path, dtype=self._settings.model.image.dtype)

    def _folders(self) -> list[Path]:
        """The store's models; what is being brought in has a name with a dot before it."""
        if not self.store.is_dir():
            return []
        return sorted(one for one in self.store.iterdir() if one.is_dir() and NAME.fullmatch(one.name))


def _model(choice: Choice, *, default: bool) -> Model:
    try:
        known = lock.read(choice.path)
    except BrokenFileError:
        known = None  # `moqi models verify` says what is wrong with it
    return Model(
        choice=choice,
        default=default,
        size=known.size if known else sum(map(_size, choice.path.rglob("*"))),
        dtype=_dtype(choice.path),
        lock=known,
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _dtype(path: Path) -> str:
    """The number format that most bytes of the transformer have."""
    sizes: dict[str, int] = {}
    for file in sorted((path / TRANSFORMER).glob("*.safetensors")):
        try:
            for tensor in tensors_of(file).tensors:
                sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.end - tensor.start
        except BrokenFileError:
            return ""
    return max(sizes, key=lambda name: sizes[name], default="")
