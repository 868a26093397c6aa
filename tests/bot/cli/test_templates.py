"""`moqi templates`: kept, listed, taken away, and carried to another installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.cli.common import Exit
from tests.bot.cli.installation import Installation


def test_a_template_is_kept_shown_carried_over_and_taken_away(moqi: Installation, tmp_path: Path) -> None:
    kept = "templates kept: 1; the same already: 0\n"
    assert moqi("templates", "save", "海报", "一张{主题}，{颜色=蓝}底 --n 2").out == kept
    assert moqi("templates", "show", "海报").out == "一张{主题}，{颜色=蓝}底 --n 2\n  主题\n  颜色 = 蓝\n"
    moqi("role", "set", "web:anna", "user")
    moqi("templates", "save", "a", "x", "--of", "web:anna")
    moqi("templates", "save", "b", "x", "--of", "group:feishu:oc_1")
    (team,) = moqi("templates", "list", "--json").json
    assert (team["name"], team["whose"], team["version"], team["saved_by"]) == ("海报", "team", 1, "cli:olga")
    assert [one["name"] for one in moqi("templates", "list", "--of", "web:anna", "--json").json] == ["a"]
    file = tmp_path / "templates.json"
    file.write_text(moqi("templates", "export").out, encoding="utf-8")
    assert moqi("templates", "import", str(file)).out == "templates kept: 0; the same already: 1\n"
    assert moqi("templates", "import", str(file), "--of", "web:anna").out == kept
    assert moqi("templates", "delete", "海报").out == "took away 海报\n"
    assert moqi("templates", "list").out == "there are no templates\n"
    assert moqi("templates", "delete", "海报").code == Exit.USAGE
    assert "template.delete" in moqi("audit", "list").out
    assert moqi("verify").code == Exit.DONE


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"name": "x", "text": "{a"}]', "x: 这里的花括号没有配对"),
        ('[{"name": "x", "text": "猫"}, {"name": "a/b", "text": "猫"}]', "a/b: “a/b”不能作模板名"),
        ('[{"name": "徽标", "text": "猫"}]', "徽标 is a template of policy.yaml"),
        ('{"x": 1}', "is no list of"),
    ],
)
def test_what_cannot_be_kept_is_said_and_nothing_is(moqi: Installation, content: str, told: str) -> None:
    with (moqi.config / "policy.yaml").open("a", encoding="utf-8") as policy:
        policy.write(f"\ntemplates: {json.dumps({'徽标': '{色=黑}徽标'}, ensure_ascii=False)}\n")
    file = moqi.data.parent / "templates.json"
    file.write_text(content, encoding="utf-8")
    said = moqi("templates", "import", str(file))
    assert said.code == Exit.USAGE
    assert told in said.err
    assert [one["whose"] for one in moqi("templates", "list", "--json").json] == ["settings"]
