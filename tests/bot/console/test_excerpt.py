"""How passages that overlap are put together again."""

from __future__ import annotations

from bot.console.library import excerpt
from storage.records import Passage

TEXT = "零一二三四五六七八九甲乙丙丁戊己庚辛壬癸"


def passage(ordinal: int, start: int, end: int, document: int = 1) -> Passage:
    return Passage(
        id=ordinal,
        document_id=document,
        document="x",
        heading="",
        ordinal=ordinal,
        start=start,
        end=end,
        text=TEXT[start:end],
    )


def test_overlaps_are_said_once() -> None:
    pieces = [passage(0, 0, 6), passage(1, 4, 10), passage(2, 8, 14), passage(3, 12, 20)]
    made = excerpt(pieces[2], [pieces[0], pieces[1], pieces[3]])
    assert made.before + made.passage.text + made.after == TEXT


def test_a_gap_is_a_new_paragraph_and_other_documents_stay_out() -> None:
    made = excerpt(passage(2, 10, 14), [passage(0, 0, 3), passage(1, 5, 10), passage(3, 14, 16, document=2)])
    assert made.before == TEXT[0:3] + "\n\n" + TEXT[5:10]
    assert made.after == ""


def test_what_is_not_next_to_it_is_no_context() -> None:
    made = excerpt(passage(5, 10, 14), [passage(3, 0, 5), passage(7, 18, 20)])
    assert (made.before, made.after) == ("", "")
