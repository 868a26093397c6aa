"""Feishu's wiki as our client reads it, against the simulator over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from bot.platforms.base import Unconfigured
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.feishu.wiki import TRIES, Node, Refused, Unlisted, Unread, Unsuitable, Wiki
from bot.platforms.feishu.wiki_text import tidy
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_wiki import MOST_NODES, Page


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def wiki(feishu: FeishuSimulator, time: Time) -> AsyncIterator[Wiki]:
    settings = FeishuSettings.model_validate(feishu.settings)
    client = FeishuClient(settings, pooled(settings), clock=lambda: time.now, sleep=time.sleep)
    opened = Wiki(settings, client, sleep=time.sleep)
    yield opened
    await opened.close()


async def node_of(wiki: Wiki, page: Page) -> Node:
    listing = await wiki.pages(page.space)
    return next(node for node in listing.nodes if node.token == page.token)


# --- listing ----------------------------------------------------------------------------------------------------


async def test_every_page_is_found_though_pages_of_the_list_are_empty(feishu: FeishuSimulator, wiki: Wiki) -> None:
    """Trap 31: an empty page of the list with has_more is not its end."""
    space = feishu.wiki.space("制度")
    top = [feishu.wiki.add(space, f"第{n}章") for n in range(MOST_NODES + 5)]
    below = feishu.wiki.add(space, "细则", parent=top[7])
    deepest = feishu.wiki.add(space, "附表", parent=below)
    listing = await wiki.pages(space)
    assert listing.complete
    assert {node.token for node in listing.nodes} == {page.token for page in (*top, below, deepest)}
    found = next(node for node in listing.nodes if node.token == deepest.token)
    assert found.path == ("制度", "第7章", "细则")
    assert found.url == f"https://acme.feishu.cn/wiki/{deepest.token}"
    sizes = [call for call in feishu.calls if call.endswith("/nodes")]
    assert len(sizes) == 3 + 2 + 2  # an empty one among those of each level


async def test_a_page_is_listed_with_what_stands_beneath_it(feishu: FeishuSimulator, wiki: Wiki) -> None:
    space = feishu.wiki.space("制度")
    root = feishu.wiki.add(space, "人事")
    leave = feishu.wiki.add(space, "请假", parent=root)
    feishu.wiki.add(space, "财务")
    listing = await wiki.pages("", root.token)
    assert [(node.token, node.path) for node in listing.nodes] == [(root.token, ()), (leave.token, ("人事",))]


async def test_nothing_is_looked_for_beneath_a_shortcut(feishu: FeishuSimulator, wiki: Wiki) -> None:
    """Trap 31: beneath a shortcut stands once more what stands beneath its original."""
    space = feishu.wiki.space("制度")
    original = feishu.wiki.add(space, "请假")
    feishu.wiki.add(space, "年假", parent=original)
    feishu.wiki.shortcut(space, original)
    listing = await wiki.pages(space)
    assert sorted((node.title, node.shortcut) for node in listing.nodes) == [
        ("年假", False),
        ("请假", False),
        ("请假", True),
    ]
    assert sum(call.endswith("/nodes") for call in feishu.calls) == 2 + 2  # of the space, and of the original


async def test_a_list_that_breaks_off_is_no_list(feishu: FeishuSimulator, wiki: Wiki) -> None:
    space = feishu.wiki.space("制度")
    feishu.wiki.cap = 2
    for n in range(5):
        feishu.wiki.add(space, str(n))
    feishu.wiki.broken[""] = TRIES
    with pytest.raises(Unlisted, match="131007"):
        await wiki.pages(space)
    assert len((await wiki.pages(space)).nodes) == 5


@pytest.mark.parametrize("kind", ["html", "429", "limit", "500", "close", "garbage"])
async def test_a_call_that_fails_in_passing_is_tried_again(
    feishu: FeishuSimulator, wiki: Wiki, time: Time, kind: str
) -> None:
    space = feishu.wiki.space("制度")
    feishu.wiki.add(space, "请假")
    feishu.fail(kind, times=2, on="/nodes", seconds=7)
    assert len((await wiki.pages(space)).nodes) == 1
    if kind in ("429", "limit"):
        assert time.slept.count(7.0) == 2  # as long as the platform says


async def test_a_space_the_app_is_no_member_of_is_refused(feishu: FeishuSimulator, wiki: Wiki) -> None:
    space = feishu.wiki.space("制度")
    page = feishu.wiki.add(space, "请假")
    assert await wiki.title(space) == "制度"
    assert await wiki.title("", page.token) == "请假"
    feishu.wiki.strangers.add(space)
    for node in ("", page.token):
        with pytest.raises(Refused, match="add the app to the space as a member"):
            await wiki.pages(space, node)
    assert not await wiki.readable(page.token)


async def test_a_subtree_that_is_hidden_leaves_the_list_incomplete(feishu: FeishuSimulator, wiki: Wiki) -> None:
    space = feishu.wiki.space("制度")
    top = feishu.wiki.add(space, "请假")
    page = feishu.wiki.add(space, "年假", parent=top)
    feishu.wiki.hidden.add(top.token)
    listing = await wiki.pages(space)
    assert ([node.title for node in listing.nodes], listing.complete) == (["请假"], False)
    assert await wiki.readable(top.token)
    assert not await wiki.readable(page.token)


async def test_a_missing_scope_is_for_the_operator(feishu: FeishuSimulator, wiki: Wiki) -> None:
    """Not a verdict about pages: nothing may be taken out for it."""
    space = feishu.wiki.space("制度")
    feishu.wiki.no_scope.add("wiki")
    with pytest.raises(Unconfigured, match="99991672"):
        await wiki.pages(space)


# --- contents ---------------------------------------------------------------------------------------------------


def lock(feishu: FeishuSimulator, page: Page) -> None:
    feishu.wiki.locked.add(page.obj)


def trash(feishu: FeishuSimulator, page: Page) -> None:
    feishu.wiki.trash(page)


def grow(feishu: FeishuSimulator, page: Page) -> None:
    feishu.wiki.endless.add(page.obj)


def empty(feishu: FeishuSimulator, page: Page) -> None:
    page.text = " \n"


def fall_over(feishu: FeishuSimulator, page: Page) -> None:
    feishu.fail("html", times=2 * TRIES, on=page.obj)
    feishu.fail("html", times=2 * TRIES, on="/docs/v1/content")


@pytest.mark.parametrize(
    ("act", "expected", "says"),
    [
        (lock, Refused, "1770032"),
        (trash, Refused, "1770002"),
        (grow, Unsuitable, "too large"),
        (empty, Unsuitable, "no text"),
        (fall_over, Unread, "not its JSON"),
    ],
)
async def test_why_a_page_cannot_be_read(
    feishu: FeishuSimulator,
    wiki: Wiki,
    act: Callable[[FeishuSimulator, Page], None],
    expected: type[Exception],
    says: str,
) -> None:
    page = feishu.wiki.add(feishu.wiki.space("制度"), "请假", "年假十天。")
    node = await node_of(wiki, page)
    act(feishu, page)
    with pytest.raises(expected, match=says):
        await wiki.read(node)


async def test_a_page_is_read_as_markdown_else_as_bare_text(feishu: FeishuSimulator, wiki: Wiki) -> None:
    page = feishu.wiki.add(feishu.wiki.space("制度"), "请假", "年假[十天](https%3A%2F%2Fx)。")
    node = await node_of(wiki, page)
    found = await wiki.read(node)
    assert (found.data.decode(), found.ending) == ("# 请假\n\n年假十天。", ".md")
    feishu.wiki.no_scope.add("docs")
    assert (await wiki.read(node)).ending == ".txt"
    feishu.wiki.no_scope.clear()
    feishu.wiki.huge.add(page.obj)
    assert (await wiki.read(node)).data.decode() == page.text


@pytest.mark.parametrize("kind", ["sheet", "bitable", "mindnote", "slides", "board"])
async def test_kinds_without_text_are_said_to_be_so(feishu: FeishuSimulator, wiki: Wiki, kind: str) -> None:
    page = feishu.wiki.add(feishu.wiki.space("制度"), "表", kind=kind)
    with pytest.raises(Unsuitable, match="not read"):
        await wiki.read(await node_of(wiki, page))


async def test_files_are_downloaded_where_their_kind_can_be_read(
    feishu: FeishuSimulator, wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = feishu.wiki.space("制度")
    file = feishu.wiki.add(space, "手册.TXT", kind="file", data="内部".encode())
    data = feishu.wiki.add(space, "数据.json", kind="file", data=b"{}")
    found = await wiki.read(await node_of(wiki, file))
    assert (found.data.decode(), found.ending) == ("内部", ".txt")
    with pytest.raises(Unsuitable, match=r"\.json are not read"):
        await wiki.read(await node_of(wiki, data))
    feishu.expire_tokens()
    assert (await wiki.read(await node_of(wiki, file))).data
    monkeypatch.setattr("inference.grounding.parse.MAX_BYTES", 3)
    with pytest.raises(Unsuitable, match="more than"):
        await wiki.read(await node_of(wiki, file))
    feishu.wiki.locked.add(file.obj)
    with pytest.raises(Refused, match="1770032"):
        await wiki.read(await node_of(wiki, file))


async def test_old_documents_are_read_as_text(feishu: FeishuSimulator, wiki: Wiki) -> None:
    page = feishu.wiki.add(feishu.wiki.space("制度"), "旧制度", "旧的。", kind="doc")
    assert (await wiki.read(await node_of(wiki, page))).data.decode() == "旧的。"


async def test_what_is_locked_is_told_for_many_at_once(feishu: FeishuSimulator, wiki: Wiki) -> None:
    space = feishu.wiki.space("制度")
    pages = [feishu.wiki.add(space, str(n)) for n in range(201)]
    feishu.wiki.locked.add(pages[0].obj)
    feishu.wiki.trash(pages[200])
    asked = [(page.obj, page.kind) for page in pages]
    assert await wiki.shut(asked) == {pages[0].obj, pages[200].obj}
    assert sum("batch_query" in call for call in feishu.calls) == 2
    feishu.wiki.no_scope.add("drive")
    with pytest.raises(Unread, match=r"drive:drive\.metadata:readonly"):
        await wiki.shut(asked)


async def test_documents_are_asked_for_five_times_a_second() -> None:
    """Against a platform that refuses the sixth; the pace is ours, so it never has to."""
    with FeishuSimulator() as feishu:
        settings = FeishuSettings.model_validate(feishu.settings)
        wiki = Wiki(settings)
        page = feishu.wiki.add(feishu.wiki.space("制度"), "请假", "年假十天。")
        node = await node_of(wiki, page)
        for _ in range(7):
            await wiki.read(node)
        assert sum("/docs/v1/content" in call for call in feishu.calls) == 7
        await wiki.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("见[制度](https%3A%2F%2Fa.cn%2Fb)第三条", "见制度第三条"),
        ("前![图](https://a/b.png)后<img src='x'/>", "前后"),
        ("`[a](b) <c>`与```\n<table>\n```", "`[a](b) <c>`与```\n<table>\n```"),
        ("若 3 < 5 且 7 > 6", "若 3 < 5 且 7 > 6"),
        ("<b>要点</b>", "要点"),
    ],
)
def test_what_is_not_said_is_taken_out(given: str, expected: str) -> None:
    assert tidy(given) == expected


def test_tables_become_markdown() -> None:
    html = "<table><tbody><tr><td>级别</td><td>标准</td></tr><tr><td>经理</td><td>600 元</td></tr></tbody></table>"
    assert "| 经理 | 600 元 |" in tidy(f"住宿：\n{html}\n完")
