"""Which questions wait for an answer, and what people thought of those that got one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from storage import feedback, joining, questions
from storage.database import Database
from storage.feedback import DOWN, UP
from storage.tables import settled
from tests.asked import NOW, asked
from tests.pictured import person

DAY = timedelta(days=1)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def listed(conn: Connection, limit: int = 100) -> list[str]:
    return [one.job.params["question"] for one in questions.unanswered(conn, NOW - 30 * DAY, limit)]


def test_what_was_refused_or_disliked_waits_until_somebody_has_seen_to_it(db: Database) -> None:
    def work(conn: Connection) -> None:
        anna, ben = person(conn, "anna"), person(conn, "ben")
        refused = asked(conn, anna, "没写的")
        spelled = '他说 {"grounded":false}, 也写 "chat":true'
        liked = asked(conn, anna, spelled, spelled, grounded=True)
        bad = asked(conn, ben, "写错的", grounded=True)
        for job, value in ((liked, UP), (bad, DOWN)):
            feedback.say(conn, job, anna, value, NOW, ["wrong"] if value == DOWN else [], "旧的")
        asked(conn, anna, "你好", chat=True)
        asked(conn, anna, "画一只猫", kind="draw")
        asked(conn, anna, "还在写", state="running")
        asked(conn, anna, "很久以前", at=NOW - 31 * DAY)
        feedback.say(conn, asked(conn, anna, "", grounded=True), ben, DOWN, NOW)  # its words were taken by the rule
        assert listed(conn) == ["写错的", "没写的"]
        assert listed(conn, 2) == ["写错的"], "the one without words was counted"
        doubt = questions.unanswered(conn, NOW - DAY, 9)[0]
        assert not doubt.refused
        assert [(one.user_id, one.reasons, one.said) for one in doubt.against] == [(anna, ("wrong",), "旧的")]
        drawn = asked(conn, anna, kind="draw")
        assert questions.settle(conn, [refused, drawn, 999], ben, NOW) == 1
        assert questions.settle(conn, [refused], anna, NOW) == 0
        assert questions.settle(conn, [], anna, NOW) == 0
        assert listed(conn) == ["写错的"]
        joining.hand_over(conn, ben, anna)
        assert conn.execute(settled.select()).one().user_id == anna
        assert questions.reopen(conn, [refused]) == 1
        assert listed(conn) == ["写错的", "没写的"]

    db.run_sync(work)


def test_opinions_come_with_what_they_are_about_the_newest_first(db: Database) -> None:
    def work(conn: Connection) -> None:
        anna = person(conn, "anna")
        for number, (kind, at) in enumerate((("ask", NOW), ("draw", NOW), ("ask", NOW + DAY), ("ask", NOW - 9 * DAY))):
            feedback.say(conn, asked(conn, anna, f"问 {number}", kind=kind), anna, UP, at)
        told = questions.opinions(conn, NOW - DAY)
        assert [(one.value, job.params["question"]) for one, job in told] == [(1, "问 2"), (1, "问 0")]
        assert len(questions.opinions(conn, NOW - DAY, limit=1)) == 1

    db.run_sync(work)
