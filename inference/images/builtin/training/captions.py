"""Turns captions into token batches, and blurs some of them, so that the model learns to read past unknown words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.images.builtin import vocabulary
from inference.images.builtin.captions import ENDS, caption, marked
from inference.images.builtin.scene import Figure, Scene, sample

if TYPE_CHECKING:
    from torch import Tensor

CHINESE = 0.42  # share of the captions; English says one thing in more ways
NOISY = 0.6  # share of captions that are written badly
PIECES = 0.08  # share of the merges of an English word that are left out
EMPTY = 0.06  # share without any caption: what guidance compares with
CORPUS = 20_000


def corpus(seed: int) -> list[str]:
    """What the tokenizer learns its words from."""
    rng = random.Random(seed)
    said = [caption(sample(rng), rng, language="zh" if rng.random() < 0.5 else "en") for _ in range(CORPUS)]
    return [*said, *["user", "assistant", "system", "\n"] * 500]


def worn(scene: Scene, language: vocabulary.Language, rng: random.Random) -> str:
    """One way to ask for `scene`, marked where figures end, at times written badly."""
    if rng.random() < NOISY:
        text = marked(scene, rng, language=language, marks=_marks(language, rng))
        text = _put_otherwise(text, language, rng)
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4))):
            text = _blurred(text, language, rng)
        text = _misspelt(_opened(text, language, rng), language, rng)
    else:
        text = marked(scene, rng, language=language)
    return _loud(text, rng)


def _blurred(text: str, language: vocabulary.Language, rng: random.Random) -> str:
    """`text` with a word in it that means nothing: a rare character, or letters between two spaces."""
    if language == "en":
        words = text.split(" ")
        words.insert(rng.randint(0, len(words)), _nonsense(rng))
        return " ".join(words)
    place = rng.choice([at for at in range(len(text) + 1) if _between_words(text, at)])
    return text[:place] + "".join(_rare(rng) for _ in range(rng.choice((1, 1, 2)))) + text[place:]


def _nonsense(rng: random.Random) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 5)))


def _rare(rng: random.Random) -> str:
    rare = chr(rng.randrange(0x4E00, 0x9FA5))
    return rare if rare not in _CHARACTERS else ""


def _marks(language: vocabulary.Language, rng: random.Random) -> tuple[str, str]:
    """What stands between parts and between attributes: anything may, and what matters is that it stands there."""
    return _mark(language, rng, 0.7), _mark(language, rng, 0.35)


def _mark(language: vocabulary.Language, rng: random.Random, chance: float) -> str:
    """A mark no caption has, or nothing for the usual ones."""
    if rng.random() > chance:
        return ""
    kind = rng.random()
    if kind < 0.2:
        return " " + _nonsense(rng) + " " if language == "en" else (_rare(rng) or "·")
    mark = rng.choice(_MARKS) if kind < 0.8 else rng.choice(_MARKS) + rng.choice(_MARKS)
    return rng.choice((" {} ", "{} ", "{}") if language == "en" else ("{}", "{}", "{} ", " {} ")).format(mark)


_MARKS = (*"|~*+=<>&^_#@%$", "\n", "\t", "  ", "…", "·", "—", "–", "=>", "→", "•", "｜", "～", "＋", "／／", "\\")


def _opened(text: str, language: vocabulary.Language, rng: random.Random) -> str:
    """`text` after words that ask for something: what they are does not matter."""
    if rng.random() > 0.35:
        return text
    if language == "zh":
        return "".join(rng.choice((_rare(rng), rng.choice(_OPENING_ZH))) for _ in range(rng.randint(1, 4))) + text
    words = [rng.choice((_nonsense(rng), rng.choice(_OPENING_EN))) for _ in range(rng.randint(1, 4))]
    return " ".join((*words, text))


_OPENING_ZH = ("生成", "绘制", "设计", "做", "现在", "你好", "然后", "需要", "再", "图片", "我们", "可以", "一下")
_OPENING_EN = (
    "hello", "hey", "now", "then", "just", "let", "us", "make", "create", "generate", "paint", "render", "sketch",
    "for", "my", "team", "we", "need", "would", "like", "to", "see", "some", "this", "new", "image", "drawing", "with",
)  # fmt: skip


def _put_otherwise(text: str, language: vocabulary.Language, rng: random.Random) -> str:
    """Other small words after a figure, other ends of words: no single one of them may carry the meaning."""
    for found, others in _OTHERWISE[language]:
        chance = 0.5 if found.startswith(_END) else 0.15

        def another(match: re.Match[str], others: Sequence[str] = others, chance: float = chance) -> str:
            if rng.random() > chance:
                return match[0]
            return match.expand(rng.choice(others).replace("?", _rare(rng) if language == "zh" else _nonsense(rng)))

        text = re.sub(found, another, text)
    return text


_END = f"([{''.join(ENDS)}])"
_STANDS = {
    "zh": ("放在", "摆在", "处于", "站在", "落在", "画在", "就在", "?在", "?", "??"),
    "en": ("stands", "sits", "goes", "lies", "comes", "should be", "?"),
}
#: What is replaced, and by what; ? is a rare character or a nonsense word.
_OTHERWISE: dict[vocabulary.Language, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "zh": (
        (f"{_END}在", tuple(rf"\1{verb}" for verb in _STANDS["zh"])),
        (f"{_END}[和与、]", (r"\1加", r"\1?", r"\1??", r"\1再加上", r"\1并", r"\1及")),
        (f"{_END}的(.[边侧面方])[是有]", (r"\1的\2?", r"\1的\2为", r"\1的\2出现", r"\1\2有", r"\1，\2有")),
        ("([左右上下])[边侧面方]", (r"\1?",)),
        ("(?<![粉橘草金青中棕大])([红橙黄绿青蓝紫粉棕灰])色", (r"\1?", r"\1?色", r"纯\1", r"浅\1色", r"偏\1色")),
        ("([大小中])[号大小等]", (r"\1?", r"\1?的")),
        ("([圆星心菱环])形", (r"\1型",)),
        ("中间", ("中部", "当中")),
    ),
    "en": (
        (f"{_END} is ", tuple(rf"\1 {verb} " for verb in _STANDS["en"])),
        (f"{_END} (?:and|with|&) ", tuple(rf"\1 {joint} " for joint in ("plus", "?", "next to", "as well as"))),
        (f"{_END}, (?=[a1ot])", (r"\1 comes ", r"\1 we see ", r"\1 ? ", r"\1, then ")),
    ),
}


def _misspelt(text: str, language: vocabulary.Language, rng: random.Random) -> str:
    """Letters lost or added in English words, small words of either language that mean nothing: what is left tells."""
    if language == "en":
        return re.sub("[a-z]+", lambda found: _misspelt_word(found[0], rng), text)
    return "".join(_rare(rng) if one in _SMALL_ZH and rng.random() < 0.1 else one for one in text)


def _misspelt_word(word: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.05:
        return word + _nonsense(rng)[:4]
    if chance < 0.09 and len(word) > 3:
        at = rng.randrange(1, len(word))
        return word[:at] + word[at + 1 :]
    if chance < 0.12 and len(word) > 3:
        return word[:-1] + _nonsense(rng)[:3]
    return _nonsense(rng) if chance < 0.22 and word in _SMALL_EN else word


def _loud(text: str, rng: random.Random) -> str:
    chance = rng.random()
    return text.upper() if chance < 0.06 else text.title() if chance < 0.12 else text


_SMALL_ZH = frozenset("的是为有画请帮我给放要来")
_SMALL_EN = frozenset(("a", "an", "the", "is", "with", "against", "placed", "draw", "please", "of", "me", "i"))
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
class Asked:
    """A caption as the encoder reads it, and what is to be read in it."""

    tokens: list[int]
    ends: tuple[int, ...]  # of each figure the token where its words end; -1 for none
    figures: list[list[int]]  # of each figure the class of each of KINDS; -1 for none
    slots: list[int]  # the class of each of SLOTS; -1 where the caption says nothing

    @property
    def silent(self) -> bool:
        """Whether it asks for nothing."""
        return max(self.slots) < 0


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads captions as the pipeline does: in a chat turn, as tokens."""

    exact: Any  # a tokenizers.Tokenizer
    loose: Any  # the same, which now and then reads an English word in smaller pieces than it could
    before: str
    after: str

    @classmethod
    def of(cls, tokenizer: Any) -> Reader:
        from tokenizers import Tokenizer

        turn = [{"role": "user", "content": "\0"}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
        before, after = text.split("\0")
        exact, loose = (Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()) for _ in range(2))
        loose.model.dropout = PIECES
        return cls(exact, loose, before, after)

    def ask(self, scene: Scene, rng: random.Random, *, plainly: bool = False) -> Asked:
        """One way to ask for `scene`; `plainly` always in the usual words."""
        language: vocabulary.Language = "zh" if rng.random() < CHINESE else "en"
        text = marked(scene, rng, language=language) if plainly else worn(scene, language, rng)
        tokens, ends = self._read(text, self.loose if language == "en" and not plainly else self.exact)
        return Asked(tokens, ends, figures(scene), slots(scene))

    def silence(self) -> Asked:
        """No caption at all."""
        tokens, ends = self._read("", self.exact)
        return Asked(tokens, ends, [[-1] * len(KINDS)] * len(ENDS), [-1] * len(SLOTS))

    def _read(self, text: str, tokenizer: Any) -> tuple[list[int], tuple[int, ...]]:
        plain, ends = _without_marks(text)
        read = tokenizer.encode(self.before + plain + self.after, add_special_tokens=False)
        shift = len(self.before)
        places = [max(at for at, (start, _) in enumerate(read.offsets) if start < end + shift) for end in ends if end]
        return read.ids, tuple(places + [-1] * (len(ENDS) - len(places)))


def _without_marks(text: str) -> tuple[str, list[int]]:
    """The text, and where each mark stood in it; 0 for a mark that is not there."""
    plain = text.translate(dict.fromkeys(map(ord, ENDS)))
    return plain, [max(text.find(end) - sum(other in text[: text.find(end)] for other in ENDS), 0) for end in ENDS]


@dataclass(frozen=True, slots=True)
class Captions:
    """A batch of captions, zeros after the end of each."""

    tokens: Tensor  # (batch, length)
    lengths: Tensor  # (batch)
    ends: Tensor  # (batch, figures)
    figures: Tensor  # (batch, figures, kinds)
    slots: Tensor  # (batch, slots)


def together(asked: Sequence[Asked], length: int) -> Captions:
    """Captions padded to `length` tokens."""
    import torch

    tokens = torch.zeros(len(asked), length, dtype=torch.long)
    for row, one in enumerate(asked):
        tokens[row, : len(one.tokens)] = torch.tensor(one.tokens)
    return Captions(
        tokens,
        torch.tensor([len(one.tokens) for one in asked]),
        torch.tensor([one.ends for one in asked]),
        torch.tensor([one.figures for one in asked]),
        torch.tensor([one.slots for one in asked]),
    )


# What a caption says, as classes -------------------------------------------------------------------------------------

_VALUES: dict[str, Sequence[object]] = {
    "shape": (None, *vocabulary.SHAPES),
    "colour": (None, *vocabulary.COLOURS),
    "size": (None, *vocabulary.SIZES),
    "place": (None, *vocabulary.PLACES),
    "style": (None, *vocabulary.STYLES),
    "count": (None, 1, 2, 3, 4),
}
#: What is asked at the end of a figure's words.
KINDS = ("shape", "colour", "size", "style", "count")
#: What is asked at the end of the whole caption.
SLOTS: tuple[tuple[str, int], ...] = (
    *((f"{kind}{number}", len(values)) for number in (0, 1) for kind, values in _VALUES.items()),
    ("background", len(_VALUES["colour"])),
)


def values(kind: str) -> int:
    """How many classes one of KINDS has."""
    return len(_VALUES[kind])


def figures(scene: Scene) -> list[list[int]]:
    """Of each figure the class of each of KINDS, in the order of ENDS."""
    known = [[_VALUES[kind].index(getattr(figure, kind)) for kind in KINDS] for figure in scene.figures]
    return known + [[-1] * len(KINDS)] * (len(ENDS) - len(known))


def slots(scene: Scene) -> list[int]:
    """The class of each of SLOTS. A relation counts as the two places it means; figures go from left to right."""
    placed = sorted((_placed(scene, index) for index in range(len(scene.figures))), key=_order)
    classes = []
    for number in (0, 1):
        figure, place = placed[number] if number < len(placed) else (None, None)
        for kind, values in _VALUES.items():
            value = place if kind == "place" else getattr(figure, kind, None)
            classes.append(values.index(value))
    return [*classes, _VALUES["colour"].index(scene.background)]


def _placed(scene: Scene, index: int) -> tuple[Figure, vocabulary.Place | None]:
    figure = scene.figures[index]
    if not scene.relation:
        return figure, figure.place
    near = vocabulary.RELATION_SIDE[scene.relation]
    return figure, near if index == 0 else vocabulary.OPPOSITE[near]


def _order(placed: tuple[Figure, vocabulary.Place | None]) -> tuple[object, ...]:
    figure, place = placed
    return (_VALUES["place"].index(place), figure.shape, figure.colour or "")
