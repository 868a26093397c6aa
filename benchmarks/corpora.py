"""The Chinese question sets beside the checkout, and larger ones made of their sentences."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent.parent / "shared/ragdata"
FILES = {"CMRC": "cmrc2018/cmrc2018_dev.json", "DRCD": "drcd/DRCD_dev.json"}

_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?\n]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Texts, and questions with the index of the text that answers each."""

    name: str
    texts: tuple[str, ...]
    questions: tuple[tuple[str, int], ...]
    answers: tuple[str, ...] = ()  # of the questions, in their order


def load(name: str) -> Corpus:
    """A set as its authors published it (SQuAD's shape)."""
    texts: list[str] = []
    questions: list[tuple[str, int]] = []
    answers: list[str] = []
    for article in json.loads((DATA / FILES[name]).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions += [(qa["question"], len(texts)) for qa in paragraph["qas"]]
            answers += [qa["answers"][0]["text"] for qa in paragraph["qas"]]
            texts.append(paragraph["context"])
    return Corpus(name=name, texts=tuple(texts), questions=tuple(questions), answers=tuple(answers))


def mixed(corpora: Sequence[Corpus]) -> list[Corpus]:
    """Each set's questions over the texts of all of them."""
    texts = tuple(text for corpus in corpora for text in corpus.texts)
    moved, before = [], 0
    for corpus in corpora:
        questions = tuple((question, right + before) for question, right in corpus.questions)
        moved.append(Corpus(name=f"{corpus.name}, mixed", texts=texts, questions=questions, answers=corpus.answers))
        before += len(corpus.texts)
    return moved


def recombined(corpora: Sequence[Corpus], count: int, characters: int = 400, seed: int = 1) -> list[str]:
    """`count` texts of about so many characters, of real sentences drawn at random: words occur as often as they do,
    together by chance."""
    sentences = [found for corpus in corpora for text in corpus.texts for found in _SENTENCE.findall(text)]
    draw = random.Random(seed)
    return [_one(sentences, characters, draw) for _ in range(count)]


def _one(sentences: Sequence[str], characters: int, draw: random.Random) -> str:
    text = ""
    while len(text) < characters:
        text += sentences[draw.randrange(len(sentences))]
    return text
