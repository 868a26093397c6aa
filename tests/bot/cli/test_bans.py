"""`moqi ban`: the same as in chat, for who sits at the machine."""

from __future__ import annotations

import pytest

from bot.cli.common import Exit
from tests.bot.cli.installation import Installation


def test_somebody_is_shut_out_listed_and_let_in_again(moqi: Installation) -> None:
    said = moqi("ban", "add", "feishu:ou_1", "--reason", "spam", "--until", "2099-12-31")
    assert said.code == Exit.DONE, said.err
    assert said.out.startswith("ou_1 is shut out until 2099-12-31")
    assert moqi("ban", "list", "--json").json == [
        {"who": "ou_1", "reason": "spam", "until": "2099-12-31T16:00:00+00:00"}
    ]
    assert "user.ban" in moqi("audit", "list").out
    assert moqi("ban", "remove", "ou_1").out == "ou_1 may go on\n"
    assert moqi("ban", "list").out == "nobody is shut out\n"
    assert moqi("verify").code == Exit.DONE


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("web:x", "--until", "2020-01-01"), "is over"),
        (("web:x", "--for", "ever"), "is no time"),
        (("nobody",), "Nobody is called"),
        (("web:boss",), "last admin"),
    ],
)
def test_bans_that_are_refused(moqi: Installation, words: tuple[str, ...], told: str) -> None:
    moqi("role", "set", "web:boss", "admin")
    said = moqi("ban", "add", *words)
    assert said.code == Exit.USAGE
    assert told in said.err
