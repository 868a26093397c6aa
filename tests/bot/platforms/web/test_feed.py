"""Publishing to open pages."""

from __future__ import annotations

from typing import Any

import pytest

from bot.platforms.web.feed import PREVIEW_LIMIT, QUEUE_LIMIT, Feed, Subscription
from storage.records import Place


async def everything(page: Subscription) -> list[tuple[str, dict[str, Any]]]:
    page.end()
    found = []
    while (news := await page.get()) is not None:
        found.append((news.event, news.data))
    return found


def message(job: int | None = None, state: str = "", streaming: bool = False) -> dict[str, Any]:
    return {"id": 1, "body": {"text": "", "job": job, "state": state, "streaming": streaming}}


async def test_news_reach_every_page_of_the_person_and_no_other() -> None:
    feed = Feed()
    with feed.subscribe(1) as first, feed.subscribe(1) as second, feed.subscribe(2) as other:
        feed.message(1, message())
        assert [name for name, _ in await everything(first)] == ["message"]
        assert [name for name, _ in await everything(second)] == ["message"]
        assert await everything(other) == []
    assert feed.pages(1) == feed.pages(2) == 0


async def test_a_page_that_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    feed = Feed()
    with feed.subscribe(1) as slow, feed.subscribe(1) as quick:
        for done in range(QUEUE_LIMIT + 10):
            feed.progress(1, job=1, state="running", done=done)
            await quick.get()
        seen = []
        while (news := await slow.get()) is not None:
            seen.append(news.data["done"])
        assert seen == list(range(QUEUE_LIMIT))
        feed.progress(1, job=1, state="running", done=0)
        assert (await everything(quick))[-1][1]["done"] == 0


async def test_a_waiting_job_tells_its_place_and_the_range_of_its_time() -> None:
    feed = Feed()
    with feed.subscribe(1) as page:
        feed.queued(1, job=7, place=Place(place=3, seconds=55.04, low=40, high=70))
        ((_, told),) = await everything(page)
    assert (told["state"], told["place"], told["seconds"]) == ("queued", 3, 55.0)
    assert (told["low"], told["high"], told.get("title")) == (40, 70, None)
    with feed.subscribe(1) as page:
        feed.queued(1, job=7, place=Place(place=3, seconds=None), title="排队中 · 第 3 位 · 管理员已暂停，恢复后继续")
        assert (await everything(page))[-1][1]["title"].endswith("管理员已暂停，恢复后继续")


async def test_a_page_that_opens_in_the_middle_is_told_where_things_stand() -> None:
    feed = Feed()
    feed.progress(1, job=7, state="running", done=3, total=8)
    for piece in ("年假", "😀", "五天"):
        feed.delta(1, job=8, text=piece)
    with feed.subscribe(1) as page:
        feed.delta(1, job=8, text="。")
        assert [data for _, data in await everything(page)] == [
            {"job": 7, "state": "running", "done": 3, "total": 8, "seconds": None},
            {"job": 8, "at": 0, "text": "年假😀五天"},
            {"job": 8, "at": 5, "text": "。"},
        ]
    with feed.subscribe(2) as other:
        assert await everything(other) == []


@pytest.mark.parametrize(
    ("last", "remembered"),
    [
        (message(7, "done"), False),
        (message(7, "failed"), False),
        (message(7, "cancelled"), False),
        (message(7, "running"), True),
        (message(7, "queued"), True),
        (message(7, "", streaming=True), True),
        (message(8, "done"), True),
        (message(None), True),
    ],
)
async def test_the_last_word_on_a_job_ends_its_live_state(last: dict[str, Any], remembered: bool) -> None:
    feed = Feed()
    feed.progress(1, job=7, state="running", done=3, total=8)
    feed.message(1, last)
    with feed.subscribe(1) as page:
        assert bool(await everything(page)) is remembered


async def test_closing_ends_pages_that_are_open_and_pages_that_come() -> None:
    feed = Feed()
    with feed.subscribe(1) as page:
        feed.progress(1, job=1, state="running")
        feed.close()
        news = await page.get()
        assert news is not None
        assert news.event == "progress"
        assert await page.get() is None
    with feed.subscribe(2) as late:
        assert await late.get() is None


async def test_the_latest_preview_is_for_its_owner_until_the_picture_comes() -> None:
    feed = Feed()
    with feed.subscribe(1) as page, feed.subscribe(2) as other:
        for jpeg in (b"first", b"second", bytes(PREVIEW_LIMIT + 1)):
            feed.preview(1, job=7, jpeg=jpeg)
        sources = ["data:image/jpeg;base64,Zmlyc3Q=", "data:image/jpeg;base64,c2Vjb25k"]
        assert await everything(page) == [("preview", {"job": 7, "src": src}) for src in sources]
        assert await everything(other) == []
    with feed.subscribe(1) as late, feed.subscribe(2) as other:
        assert await everything(late) == [("preview", {"job": 7, "src": sources[-1]})]
        assert await everything(other) == []
    feed.message(1, message(7, "done"))
    with feed.subscribe(1) as later:
        assert await everything(later) == []
