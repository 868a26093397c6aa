"""Passages: offsets that hold, headings above them, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.grounding.chunk import CAPACITY, TOO_SHORT, chunk, title

HANDBOOK = sorted((Path(__file__).parents[3] / "deploy/knowledge").glob("*.md"))


def test_headings_above_a_passage() -> None:
    markdown = "序\n\n# 手册\n\n总则。\n\n## 假期\n\n### 年假\n\n十天。\n\n## 差旅\n\n二等座。\n"
    assert [(one.heading, one.text) for one in chunk(markdown)] == [
        ("", "序"),
        ("手册", "总则。"),
        ("手册 › 假期 › 年假", "十天。"),
        ("手册 › 差旅", "二等座。"),
    ]


def test_a_heading_with_nothing_under_it_is_kept() -> None:
    assert [one.text for one in chunk("# 手册\n\n## 本页只有标题\n")] == ["## 本页只有标题"]


def test_a_hash_in_a_code_block_is_no_heading() -> None:
    (one,) = chunk("# 手册\n\n```\n# 注释\nmake run\n```\n")
    assert one.heading == "手册"
    assert "# 注释" in one.text


def test_a_short_lead_stays_with_its_table() -> None:
    rows = "".join(f"| 城市{i} | 每晚 {i * 10} 元，含早餐，须提供增值税专用发票 |\n" for i in range(30))
    first, *_ = chunk(f"## 住宿\n\n标准如下：\n\n| 城市 | 标准 |\n|---|---|\n{rows}")
    assert first.text.startswith("标准如下：")
    assert "城市0" in first.text


@pytest.mark.parametrize("path", HANDBOOK, ids=lambda path: path.stem)
def test_offsets_and_sizes_of_the_sample_handbook(path: Path) -> None:
    markdown = path.read_text(encoding="utf-8")
    pieces = chunk(markdown)
    assert len(pieces) > 3
    for one in pieces:
        assert markdown[one.start : one.end] == one.text
        assert one.heading.startswith(path.stem)
        assert len(one.text) <= CAPACITY[1] + TOO_SHORT


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="年假。，！\n# |-`ab1\t👍", max_size=1500))
def test_any_text_is_covered_by_its_passages(markdown: str) -> None:
    covered = set[int]()
    for one in chunk(markdown):
        assert markdown[one.start : one.end] == one.text
        assert one.text.strip()
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
