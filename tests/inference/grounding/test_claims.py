"""An answer that is written piece by piece, read piece by piece."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.grounding.claims import LONGEST, Claim, ClaimReader

ONE = {"text": '住宿"标准"{一}', "cites": [2, 1, 2], "quote": "每晚 \\ 450 元"}
WHOLE = json.dumps({"answerable": True, "claims": [ONE, {"text": "b", "cites": [1], "quote": "c"}]}, ensure_ascii=False)


def read(*pieces: str) -> tuple[list[Claim], bool | None]:
    reader = ClaimReader()
    return [claim for piece in pieces for claim in reader.feed(piece)], reader.answerable


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_however_it_is_cut_the_sentences_are_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    claims, answerable = read(*(WHOLE[start:end] for start, end in pairwise(edges)))
    assert claims == [
        Claim(text='住宿"标准"{一}', cites=(2, 1), quote="每晚 \\ 450 元"),
        Claim(text="b", cites=(1,), quote="c"),
    ]
    assert answerable is True


def test_a_sentence_is_given_as_soon_as_it_is_closed() -> None:
    reader = ClaimReader()
    end = WHOLE.index('}, {"text"')
    assert list(reader.feed(WHOLE[:end])) == []
    assert len(list(reader.feed("}"))) == 1
    assert reader.answerable is None


@pytest.mark.parametrize(
    ("written", "claims", "answerable"),
    [
        ("", 0, None),
        ("根据资料，每晚 450 元。", 0, None),
        ('{"answerable": false, "claims": []}', 0, False),
        ('```json\n{"answerable": true, "claims": [{"text": "a", "cites": [1], "quote": "b"}]}\n```', 1, True),
        ('{"answerable": "no", "claims": []}', 0, None),
        ('{"claims": [{"text": "a", "cites": "1", "quote": "b"}]}', 0, None),
        ('{"claims": [{"text": "a", "cites": [true], "quote": "b"}]}', 0, None),
        ('{"claims": [{"text": "a", "cites": [1]}]}', 0, None),
        ('{"claims": [{"text": "a", "cites": [1], "quote": null}]}', 0, None),
        ('[[{"text": "a", "cites": [1], "quote": "b"}]]', 1, None),
        ('{"answerable": true, "claims": [{"text": "a", "ci', 0, None),
        ("}}]]" + '{"answerable": false, "claims": []}', 0, False),
        ("{" * 5000, 0, None),
    ],
)
def test_what_is_not_as_agreed_says_nothing(written: str, claims: int, answerable: bool | None) -> None:
    found, said = read(written)
    assert (len(found), said) == (claims, answerable)


def test_a_model_that_does_not_stop_is_not_read_for_ever() -> None:
    found, said = read(*(['{"text": "'] + ["x" * 1000] * 40))
    assert found == []
    assert said is None
    reader = ClaimReader()
    list(reader.feed(" " * LONGEST))
    assert list(reader.feed(WHOLE)) == []
