"""What a picture is found by."""

from __future__ import annotations

from inference.grounding.captions import Sought, indexed, sought


def test_chinese_is_kept_in_characters_and_pairs_and_other_words_as_they_are() -> None:
    assert indexed("一隻貓，Red ＣＡＴ_2") == ("一", "只", "猫", "一只", "只猫", "red", "cat", "2")
    assert indexed("……") == ()


def test_chinese_must_occur_in_its_order_and_a_word_may_only_begin_so() -> None:
    exact = (Sought(text="金毛", begins=False), Sought(text="毛犬", begins=False))
    assert sought("金毛犬 Cat") == (*exact, Sought(text="cat", begins=True))
    assert sought("猫") == (Sought(text="猫", begins=False),)
    assert sought("!?") == ()
