"""Whose turn it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler import fairness
from storage.records import ChatType, Job, JobState, Kind, Origin, utcnow

ORIGIN = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="1")


def job(number: int, user: int, *, key: str = "", count: int = 1, vtag: float = 0.0) -> Job:
    return Job(
        id=number,
        kind=Kind.DRAW,
        user_id=user,
        state=JobState.QUEUED,
        params={"count": count},
        origin=ORIGIN,
        cost=1,
        weight=1.0,
        priority=0,
        vtag=vtag,
        batch_key=key,
        attempt=0,
        lost=0,
        token="",
        cancel_requested=False,
        parent_id=None,
        result=None,
        error=None,
        cause=None,
        created_at=utcnow(),
        not_before=None,
        started_at=None,
        finished_at=None,
    )


@pytest.mark.parametrize(
    ("waiting", "running", "room", "expected"),
    [
        ([], {}, 4, []),
        ([job(1, 1), job(2, 2)], {}, 4, [1]),  # no key: alone
        ([job(1, 1, key="a"), job(2, 2, key="b"), job(3, 3, key="a")], {}, 4, [1, 3]),  # equal keys share
        ([job(1, 1, key="a"), job(2, 2, key="a"), job(3, 3, key="a")], {}, 2, [1, 2]),  # up to the room
        ([job(1, 1, key="a", count=3), job(2, 2, key="a", count=2)], {}, 4, [1]),  # 3 + 2 do not fit into 4
        ([job(1, 1, key="a", count=9), job(2, 2, key="a")], {}, 4, [1]),  # larger than the room: alone
        ([job(n, 1, key="a") for n in range(1, 6)], {}, 9, [1, 2, 3]),  # three at once per person
        ([job(1, 1, key="a"), job(2, 2, key="a")], {1: 3}, 4, [2]),  # at the limit: the next person
        ([job(1, 1), job(2, 1)], {1: 3}, 4, []),
    ],
)
def test_the_choice_of_a_batch(waiting: list[Job], running: dict[int, int], room: int, expected: list[int]) -> None:
    chosen = fairness.choose(waiting, running, concurrency=3, room=lambda head: room)
    assert [item.id for item in chosen] == expected


def test_a_single_picture_starts_next_behind_two_hundred_of_somebody_else() -> None:
    """Serve by tag; the newcomer arrives while the first of 200 runs."""
    vtime, finish = 0.0, 0.0
    waiting = []
    for number in range(200):
        tag = fairness.tag(vtime, finish, 8.0)
        finish = tag.finish
        waiting.append(job(number, 1, vtag=tag.start))
    served = waiting.pop(0)
    vtime = max(vtime, served.vtag)
    waiting.append(job(1000, 2, vtag=fairness.tag(vtime, 0.0, 8.0).start))
    waiting.sort(key=lambda item: (item.priority, item.vtag, item.id))
    assert [item.id for item in waiting[:2]] == [1000, 1]


@pytest.mark.parametrize(("priority", "risen"), [(0, 0), (10, 0), (20, 10), (50, 20), (15, 10)])
def test_what_waited_too_long_rises_one_class(priority: int, risen: int) -> None:
    assert fairness.before(priority) == risen


def test_two_busy_people_alternate_and_a_double_share_gets_double() -> None:
    def order(shares: dict[int, float]) -> list[int]:
        items = []
        for user, share in shares.items():
            finish = 0.0
            for number in range(12):
                tag = fairness.tag(0.0, finish, 1.0, share)
                finish = tag.finish
                items.append(replace(job(user * 100 + number, user), vtag=tag.start))
        return [item.user_id for item in sorted(items, key=lambda item: (item.vtag, item.id))][:9]

    assert order({1: 1.0, 2: 1.0}) == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert order({1: 2.0, 2: 1.0}).count(1) == 6
