"""`moqi kb unanswered` and `moqi kb feedback`: what a person at the machine, and a program, learns of answers."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.cli.common import Exit
from storage import audit, feedback
from storage.feedback import DOWN, UP
from storage.records import utcnow
from tests.asked import asked, shelved
from tests.bot.cli.installation import Installation
from tests.pictured import person


def seeded(moqi: Installation) -> list[int]:
    def work(conn: Connection) -> list[int]:
        anna, pay = person(conn, "anna"), {"薪酬.md": shelved(conn, "薪酬.md", "P5 两万", readers="dept:人事部")}
        twice = [asked(conn, anna, question, offered={}, at=utcnow()) for question in ("可以带狗吗", "带狗可以么")]
        liked = asked(conn, anna, "P5 多少", "两万 [1]", grounded=True, offered=pay, at=utcnow(), standalone="P5 多少")
        feedback.say(conn, liked, anna, UP, utcnow())
        feedback.say(conn, liked, person(conn, "ben"), DOWN, utcnow(), ["wrong"], "旧了")
        return [*twice, liked]

    with moqi.database() as db:
        return db.run_sync(work)


def test_what_waits_is_listed_and_marked_with_what_asks_the_same(moqi: Installation) -> None:
    assert moqi("kb", "unanswered").out == "No question waits for an answer.\n"
    first, second, liked = seeded(moqi)
    pay, dog = moqi("kb", "unanswered", "--json").json
    assert (pay["question"], pay["answer"], pay["documents"], pay["askers"]) == (
        "P5 多少", "两万 [1]", ["薪酬.md"], ["anna"],
    )  # fmt: skip
    assert (dog["jobs"], dog["times"], dog["refused"]) == ([second, first], 2, 2)
    assert f"{second}\t带狗可以么\t2\t0\t\tanna" in moqi("kb", "unanswered").out
    wrong = moqi("kb", "unanswered", "--done", str(first), "--done", "99")
    assert (wrong.code, "No open question has the number 99" in wrong.err) == (Exit.USAGE, True)
    assert len(moqi("kb", "unanswered", "--json").json) == 2, "all or nothing"
    assert moqi("kb", "unanswered", "--done", str(first)).out == "2 marked as seen to\n"
    assert [one["jobs"] for one in moqi("kb", "unanswered", "--json").json] == [[liked]]
    with moqi.database() as db:
        entry = db.read_sync(audit.entries, action="kb.settle")[0]
    assert (entry.actor.startswith("cli:"), entry.detail) == (True, {"jobs": [second, first]})


def test_what_people_think_comes_with_question_answer_and_passages(moqi: Installation) -> None:
    assert moqi("kb", "feedback").out == "Nobody has said anything about an answer.\n"
    seeded(moqi)
    down, up = sorted(moqi("kb", "feedback", "--json").json, key=lambda one: str(one["vote"]))
    assert (down["vote"], down["reasons"], down["said"], down["who"]) == ("down", ["wrong"], "旧了", "ben")
    assert (down["question"], down["answer"], down["grounded"]) == ("P5 多少", "两万 [1]", True)
    assert down["offered"] == [{"document": "薪酬.md", "passage": 1, "text": "P5 两万"}]
    assert (up["vote"], up["who"]) == ("up", "anna")
    assert "\tdown\tP5 多少\twrong\t旧了" in moqi("kb", "feedback", "--days", "1").out
    assert moqi("kb", "feedback", "--days", "0").code == Exit.USAGE
