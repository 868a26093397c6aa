"""Passages: offsets that hold, headings above them, nothing lost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.grounding.chunk import STANDARD, TOO_SHORT, Cutting, Page, chunk, title
from inference.grounding.tables import WHOLE, divided

HANDBOOK = sorted((Path(__file__).parents[3] / "deploy/knowledge").glob("*.md"))


def test_headings_above_a_passage() -> None:
    markdown = "序\n\n# 手册\n\n总则。\n\n## 假期\n\n### 年假\n\n十天。\n\n## 差旅\n\n二等座。\n"
    assert [(one.heading, one.text) for one in chunk(markdown)] == [
        ("", "序"),
        ("手册", "总则。"),
        ("手册 › 假期 › 年假", "十天。"),
        ("手册 › 差旅", "二等座。"),
    ]


def test_a_heading_that_is_a_text_is_not_said_in_full_below_it() -> None:
    (one, _) = chunk(f"# {'长' * 5000}\n\n## 年假\n\n十天。\n\n# 空 #\n")
    assert one.heading == f"{'长' * 119}… › 年假"


def test_a_heading_with_nothing_under_it_is_kept() -> None:
    assert [one.text for one in chunk("# 手册\n\n## 本页只有标题\n")] == ["## 本页只有标题"]


def test_a_hash_in_a_code_block_is_no_heading() -> None:
    (one,) = chunk("# 手册\n\n```\n# 注释\nmake run\n```\n")
    assert one.heading == "手册"
    assert "# 注释" in one.text


HEAD = "| 城市 | 标准 |\n|---|---|\n"


def rows(count: int) -> str:
    return "".join(f"| 城市{i} | 每晚 {i * 10} 元，含早餐，须提供增值税专用发票 |\n" for i in range(count))


def test_a_table_is_one_passage_and_a_short_lead_stays_with_it() -> None:
    table = HEAD + rows(30)
    assert STANDARD.size < len(table) < WHOLE
    (one,) = chunk(f"## 住宿\n\n标准如下：\n\n{table}")
    assert one.text == f"标准如下：\n\n{table.rstrip()}"


def test_every_part_of_a_long_table_stands_under_its_head() -> None:
    markdown = divided(f"# 差旅\n\n标准：\n\n{HEAD}{rows(100)}\n此表每年修订。\n", STANDARD.size)
    pieces = chunk(markdown)
    assert len(pieces) > 6
    for one in pieces:
        assert HEAD in one.text
        assert one.text == markdown[one.start : one.end]
        assert len(one.text) <= STANDARD.size + TOO_SHORT
    assert [line for one in pieces for line in one.text.split("\n") if "每晚" in line] == rows(100).rstrip().split("\n")
    assert pieces[-1].text.endswith("此表每年修订。")


def test_a_table_stays_with_the_text_around_it_while_there_is_room() -> None:
    around = (
        "住宿费按下表的标准据实报销，超过的部分由本人承担，并且不得以其他名目列支，违者按制度处理，情节严重的追究责任。"
    )
    (one,) = chunk(f"{around}\n\n{HEAD}{rows(2)}\n{around}")
    assert one.text.startswith(around)
    assert one.text.endswith(around)


def test_many_small_tables_do_not_grow_together_without_end() -> None:
    markdown = f"短句。\n\n{HEAD}| 上海 | 500 |\n\n" * 200
    assert max(len(one.text) for one in chunk(markdown)) <= WHOLE + TOO_SHORT


def test_a_row_longer_than_a_passage_is_cut_like_text() -> None:
    markdown = divided(f"{HEAD}| 上海 | {'住宿费据实报销。' * 300} |\n", STANDARD.size)
    assert max(len(one.text) for one in chunk(markdown)) <= STANDARD.size + TOO_SHORT


@pytest.mark.parametrize(
    "table", [f"| {'长' * 2000} | b |\n|---|---|\n", f"| {'长' * 900} | b |\n|---|---|\n| 1 | 2 |\n"]
)
def test_a_head_that_is_a_text_is_said_once(table: str) -> None:
    assert divided(table, STANDARD.size).count("长") == table.count("长")


def test_a_block_of_code_is_one_passage_and_holds_no_table() -> None:
    code = f"```\n{HEAD}{rows(20)}```"
    markdown = f"{'前文说明。' * 90}\n\n{code}\n\n{'后文说明。' * 90}\n"
    assert divided(markdown, 100) == markdown
    assert code in [one.text for one in chunk(markdown)]


def test_the_size_and_the_overlap_are_those_of_the_settings() -> None:
    markdown = "".join(f"第{n}条规定员工应当遵守公司的各项制度。" for n in range(200))
    pieces = chunk(markdown, Cutting(size=120, overlap=40))
    assert 72 <= min(len(one.text) for one in pieces[:-1]) <= max(len(one.text) for one in pieces) <= 120
    shared = [before.end - after.start for before, after in pairwise(pieces)]
    assert 0 < min(shared) <= max(shared) <= 40
    assert all(before.end <= after.start for before, after in pairwise(chunk(markdown, Cutting(size=120, overlap=0))))


def test_the_pages_of_a_passage() -> None:
    markdown = "一。\n\n二。\n\n# 章\n\n三。\n\n"
    pages = [Page(start=0, number=1), Page(start=4, number=3), Page(start=8, number=4)]
    assert [(one.place, one.text) for one in chunk(markdown, STANDARD, pages)] == [
        ("p. 1–3", "一。\n\n二。"),
        ("章 › p. 4", "三。"),
    ]


@pytest.mark.parametrize("path", HANDBOOK, ids=lambda path: path.stem)
def test_offsets_and_sizes_of_the_sample_handbook(path: Path) -> None:
    markdown = path.read_text(encoding="utf-8")
    pieces = chunk(markdown)
    assert len(pieces) > 3
    for one in pieces:
        assert markdown[one.start : one.end] == one.text
        assert one.heading.startswith(path.stem)
        assert len(one.text) <= STANDARD.size + TOO_SHORT


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="年假。，！\n# |-`ab1\t👍", max_size=1500), st.integers(100, 600))
def test_any_text_is_covered_by_its_passages(written: str, size: int) -> None:
    markdown = divided(written, size)
    covered = set[int]()
    for one in chunk(markdown, Cutting(size=size, overlap=size // 5)):
        assert markdown[one.start : one.end] == one.text
        assert one.text.strip()
        assert len(one.text) <= max(size, WHOLE) + TOO_SHORT
        covered.update(range(one.start, one.end))
    lost = [line for line in _outside(markdown, covered) if line.strip() and not line.lstrip().startswith("#")]
    assert lost == []


def _outside(markdown: str, covered: set[int]) -> list[str]:
    """The lines none of whose characters is in a passage."""
    lines, offset = [], 0
    for line in markdown.split("\n"):
        if covered.isdisjoint(range(offset, offset + len(line))):
            lines.append(line)
        offset += len(line) + 1
    return lines


def test_title() -> None:
    assert title("## 二\n\n# 一\n", "别名") == "一"
    assert title("没有标题", "别名") == "别名"
