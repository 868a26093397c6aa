"""What of a model's answer may be shown."""

from __future__ import annotations

import pytest

from inference.grounding.claims import Claim
from inference.grounding.validate import accept, shown
from storage.records import Passage

TEXT = (
    "出差住宿标准：一线城市每晚不超过 450 元，其他城市 1,200.50 元以内为套间，须经主管审批。"
    "详见 https://wiki.corp/oa 。"
)
OTHER = "年假为十五天，二〇二六年起实行；VPN 用 OpenVPN-2 登录 vpn.corp，邮箱 it@corp.com。第一天报到。"


def passage(number: int, text: str, heading: str = "差旅 › 住宿") -> Passage:
    return Passage(
        id=number, document_id=1, document="手册", heading=heading, ordinal=0, start=0, end=len(text), text=text
    )


PASSAGES = (passage(7, TEXT), passage(9, OTHER, "制度 › A100 机房"))


def judged(text: str, cites: tuple[int, ...] = (1,), quote: str = "一线城市每晚不超过 450 元") -> bool:
    return accept(Claim(text=text, cites=cites, quote=quote), PASSAGES) is not None


YEARLY = "年假为十五天"


@pytest.mark.parametrize(
    ("text", "cites", "quote", "stands"),
    [
        ("一线城市每晚最多 450 元。", (1,), "一线城市每晚不超过 450 元", True),
        ("一线城市每晚最多 ４５０ 元。", (1,), "一線城市每晚不超過450元", True),
        ("一线城市每晚最多四百五十元。", (1,), "一线城市每晚不超过 450 元", True),
        ("每晚最多 1200.5 元", (1,), "1,200.50 元以内为套间", True),
        ("一线城市每晚最多 540 元。", (1,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元，两晚 900 元。", (1,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 45 元。", (1,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元。", (1,), "一线城市每晚不超过 460 元", False),
        ("一线城市每晚最多 450 元。", (1,), "一线城市每晚不得超过 450 元", False),
        ("一线城市每晚最多 450 元。", (1,), "450 元", False),  # too short to prove anything
        ("一线城市每晚最多 450 元。", (2,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元。", (3,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元。", (0,), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元。", (1, 9), "一线城市每晚不超过 450 元", False),
        ("一线城市每晚最多 450 元。", (), "一线城市每晚不超过 450 元", False),
        ("", (1,), "一线城市每晚不超过 450 元", False),
        ("年假 15 天。", (2,), YEARLY, True),
        ("年假十五天，2026 年起。", (2,), "二〇二六年起实行", True),
        ("年假 16 天。", (2,), YEARLY, False),
        ("第 1 天报到。", (2,), "第一天报到", False),  # five characters
        ("第 1 天就报到，年假 15 天。", (2,), YEARLY, True),
        ("一般来说年假有十五天，两者都一样。", (2,), YEARLY, True),
        ("用 openvpn-2 登录 VPN。", (2,), "VPN 用 OpenVPN-2 登录", True),
        ("用 WireGuard 登录。", (2,), "VPN 用 OpenVPN-2 登录", False),
        ("用 SSH 登录。", (2,), "VPN 用 OpenVPN-2 登录", False),
        ("Log in with the tool named there.", (2,), "VPN 用 OpenVPN-2 登录", True),
        ("写信到 it@corp.com。", (2,), "邮箱 it@corp.com", True),
        ("写信到 it@evil.com。", (2,), "邮箱 it@corp.com", False),
        ("详情见 https://wiki.corp/oa。", (1,), "须经主管审批。详见", True),
        ("见 https://evil.example/?q=450。", (1,), "须经主管审批。详见", False),
        ("见 www.evil.example。", (1,), "须经主管审批。详见", False),
        ("A100 机房的规定：年假 15 天。", (2,), YEARLY, True),  # the heading says so
        ("每晚最多 450 元，年假 15 天。", (1, 2), YEARLY, True),
        ("每晚最多 450 元，年假 15 天。", (2,), YEARLY, False),
    ],
)
def test_a_sentence_stands_on_its_sources_or_not_at_all(
    text: str, cites: tuple[int, ...], quote: str, stands: bool
) -> None:
    assert judged(text, cites, quote) is stands


def test_the_quoted_source_is_named_first() -> None:
    found = accept(Claim(text="每晚最多 450 元，年假 15 天。", cites=(1, 2), quote=YEARLY), PASSAGES)
    assert found is not None
    assert found.passages == (1, 0)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("每晚 450 元 [1][12]。", "每晚 450 元 。"),
        ("见[这里](https://evil.example)！![x](http://a/b.png)", "见这里！x"),
        ('<at user_id="all">所有人</at> 开会', "所有人 开会"),
        ("@所有人 @all ＠全体成员 开会", "所有人 all 全体成员 开会"),
        ("详见 https://wiki.corp/oa?x=1，或 www.a.b/c。", "详见 …，或 …。"),
        ("<@here> 看\n\n`代码`\t吧", "看 代码 吧"),
        ("me@allison.com", "me@allison.com"),
    ],
)
def test_a_sentence_is_shown_as_plain_text(written: str, plain: str) -> None:
    assert shown(written) == plain
