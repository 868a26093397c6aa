"""Words that a team does not want: what hides one, what only looks like one, and what becomes of the order."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.moderation import Action, Rule, Screen, hits, holding, words
from bot.settings import SettingsError, load

BANNED = frozenset(words(["大熊猫", "ass", "黑 客", "Bad-Word", "爆Zha"]))
SCREEN = Screen(
    rules=(Rule(name="一", words=BANNED), Rule(name="二", words=frozenset(words(["猫"])), action=Action.FLAG))
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("一只大熊猫", "大熊猫"),
        ("一只大 熊 猫", "大熊猫"),
        ("大-熊.猫!", "大熊猫"),
        ("大\u200b熊\u200d猫", "大熊猫"),
        ("大\n熊\t猫", "大熊猫"),
        ("大熊貓", "大熊猫"),  # traditional
        ("駭客不是黑客", "黑客"),
        ("ＡＳＳ", "ass"),
        ("a.s s", "ass"),
        ("画ass吗", "ass"),
        ("BAD word", "badword"),
        ("b_a_d_w_o_r_d", "badword"),
        ("爆 z h a", "爆zha"),
        ("аss", "ass"),  # a Cyrillic letter
        ("аѕѕ", "ass"),  # nothing but
        ("ΒΑD ωord", "badword"),  # Greek
        ("á\u0323s\u0338s", "ass"),  # marks
        ("大\u0336熊\u20dd猫", "大熊猫"),
        ("b\u200ba\u00add word", "badword"),  # invisible
        ("ʙᴀᴅ ᴡᴏʀᴅ", "badword"),
        ("🅰🆂🆂", "ass"),
        ("cl\u200bass", None),  # reads class
        ("first class, glass, assassin", None),
        ("assa ss", None),
        ("大的熊和小的", None),
        ("大 熊", None),
        ("", None),
    ],
)
def test_what_hides_a_word_and_what_only_looks_like_one(text: str, word: str | None) -> None:
    found = {hit.rule.name: hit.word for hit in hits(SCREEN, text)}
    assert found.get("一") == word


@pytest.mark.parametrize("text", ["が", "か", "한국어", "Привет", "naïve", "หนึ่ง"])
def test_a_word_in_any_script_is_still_itself(text: str) -> None:
    assert hits(Screen(rules=(Rule(name="一", words=frozenset(words([text]))),)), text)


def test_voiced_kana_are_other_letters() -> None:
    assert not hits(Screen(rules=(Rule(name="一", words=frozenset(words(["か"]))),)), "が")


def test_a_rule_for_review_lets_the_order_go_ahead() -> None:
    screen = Screen(rules=(Rule(name="看", words=frozenset(words(["猫"])), action=Action.REVIEW), *SCREEN.rules))
    assert holding(screen, "一只猫") == ["看"]
    assert holding(SCREEN, "一只猫") == []


def test_every_rule_is_met_once() -> None:
    assert [hit.rule.name for hit in hits(SCREEN, "猫 猫 大熊猫 大熊猫")] == ["一", "二"]
    assert "熊" not in repr(SCREEN) + repr(hits(SCREEN, "大熊猫"))  # a list may be secret


def settings(folder: Path, text: str) -> Screen:
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return load(folder, {}).policy.moderation.screen()


def test_lists_stand_in_the_file_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# 竞品\n大熊貓\n\n  ASS \n", encoding="utf-8")
    listed = '{name: a, words: "${file:words.txt}"}, {name: b, words: [猫], action: flag}'
    text = f"moderation:\n  rules: [{listed}]\n"
    screen = settings(tmp_path, text)
    assert [(rule.name, rule.words, rule.action) for rule in screen.rules] == [
        ("a", frozenset({"大熊猫", "ass"}), Action.REFUSE),
        ("b", frozenset({"猫"}), Action.FLAG),
    ]
    before = load(tmp_path, {})
    (tmp_path / "words.txt").write_text("别的", encoding="utf-8")
    assert load(tmp_path, {}) != before  # so that a reload takes it


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{name: a, words: "${file:no.txt}"}]', "the file no.txt does not exist"),
        ("[{name: a, words: [猫, '!!']}]", "word 2 is empty once spaces and punctuation are left out"),
        ("[{name: a, words: 3}]", "write a list of words, or the file that has them"),
        ("[{name: a, words: [x], action: hide}]", "must be 'refuse', 'review'"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings(tmp_path, f"moderation:\n  rules: {text}\n")
