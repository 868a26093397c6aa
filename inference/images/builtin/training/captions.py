"""Turns captions into token batches, and blurs some of them, so that the model learns to read past unknown words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.images.builtin import vocabulary
from inference.images.builtin.captions import caption
from inference.images.builtin.scene import Figure, Scene, sample

if TYPE_CHECKING:
    from torch import Tensor

NOISY = 0.3  # share of captions that get foreign words
EMPTY = 0.06  # share without any caption: what guidance compares with
CORPUS = 20_000


def corpus(seed: int) -> list[str]:
    """What the tokenizer learns its words from."""
    rng = random.Random(seed)
    said = [caption(sample(rng), rng, language=_language(rng)) for _ in range(CORPUS)]
    return [*said, *["user", "assistant", "system", "\n"] * 500]


def ask(scene: Scene, rng: random.Random) -> str:
    """One way to ask for `scene`, in either language, at times with foreign words in it."""
    text = caption(scene, rng, language=_language(rng))
    for _ in range(rng.randint(1, 3) if rng.random() < NOISY else 0):
        text = _blurred(text, rng)
    return text


def _language(rng: random.Random) -> vocabulary.Language:
    return "zh" if rng.random() < 0.5 else "en"


def _blurred(text: str, rng: random.Random) -> str:
    """`text` with a word in it that means nothing: a rare character, or letters between two spaces."""
    if text.isascii():
        words = text.split(" ")
        nonsense = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 7)))
        words.insert(rng.randint(0, len(words)), nonsense)
        return " ".join(words)
    place = rng.choice([at for at in range(len(text) + 1) if _between_words(text, at)])
    rare = chr(rng.randrange(0x4E00, 0x9FA5))
    return text[:place] + (rare if rare not in _CHARACTERS else "") + text[place:]


_CHARACTERS = frozenset(
    character
    for terms in (vocabulary.COLOURS, vocabulary.SHAPES, vocabulary.SIZES, vocabulary.PLACES, vocabulary.STYLES)
    for term in terms.values()
    for word in (*term.zh, *term.zh_held)
    for character in word
)


def _between_words(text: str, at: int) -> bool:
    """Whether no word of the vocabulary would be cut: one of the two neighbours belongs to none."""
    return at in (0, len(text)) or text[at - 1] not in _CHARACTERS or text[at] not in _CHARACTERS


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads captions as the pipeline does: in a chat turn, as tokens."""

    tokenizer: Any
    before: str
    after: str

    @classmethod
    def of(cls, tokenizer: Any) -> Reader:
        turn = [{"role": "user", "content": "\0"}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
        before, after = text.split("\0")
        return cls(tokenizer, before, after)

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        tokens: list[list[int]] = self.tokenizer([self.before + text + self.after for text in texts]).input_ids
        return tokens


def padded(tokens: Sequence[Sequence[int]], length: int) -> tuple[Tensor, Tensor]:
    """Token ids (batch, length), zeros after the end, and the real lengths (batch)."""
    import torch

    ids = torch.zeros(len(tokens), length, dtype=torch.long)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = torch.tensor(one)
    return ids, torch.tensor([len(one) for one in tokens])


# What a caption says, as classes -------------------------------------------------------------------------------------

_KINDS: dict[str, Sequence[object]] = {
    "shape": (None, *vocabulary.SHAPES),
    "colour": (None, *vocabulary.COLOURS),
    "size": (None, *vocabulary.SIZES),
    "place": (None, *vocabulary.PLACES),
    "style": (None, *vocabulary.STYLES),
    "count": (None, 1, 2, 3, 4),
}
SLOTS: tuple[tuple[str, int], ...] = (
    *((f"{kind}{number}", len(values)) for number in (0, 1) for kind, values in _KINDS.items()),
    ("background", len(_KINDS["colour"])),
)


def slots(scene: Scene) -> list[int]:
    """The class of each of SLOTS. A relation counts as the two places it means; figures go from left to right."""
    placed = sorted((_placed(scene, index) for index in range(len(scene.figures))), key=_order)
    classes = []
    for number in (0, 1):
        figure, place = placed[number] if number < len(placed) else (None, None)
        for kind, values in _KINDS.items():
            value = place if kind == "place" else getattr(figure, kind, None)
            classes.append(values.index(value))
    return [*classes, _KINDS["colour"].index(scene.background)]


def _placed(scene: Scene, index: int) -> tuple[Figure, vocabulary.Place | None]:
    figure = scene.figures[index]
    if not scene.relation:
        return figure, figure.place
    near = vocabulary.RELATION_SIDE[scene.relation]
    return figure, near if index == 0 else vocabulary.OPPOSITE[near]


def _order(placed: tuple[Figure, vocabulary.Place | None]) -> tuple[object, ...]:
    figure, place = placed
    return (_KINDS["place"].index(place), figure.shape, figure.colour or "")
