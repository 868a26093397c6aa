"""What each answer of Feishu's API means."""

from __future__ import annotations

import pytest

from bot.platforms.base import Blocked, PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.feishu.codes import (
    CODES,
    Answer,
    Busy,
    CardRefused,
    MessageGone,
    Stale,
    StreamClosed,
    Verdict,
    error_of,
)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, 99991400, Busy),
        (400, 99991400, Busy),
        (200, 99991400, Busy),  # trap 17: the code counts, whatever the status says
        (400, 230020, Busy),  # trap 18: no permission problem
        (400, 11232, Busy),  # trap 28
        (429, 5, Busy),
        (429, None, Busy),
        (400, 230049, Retry),
        (500, 2200, Retry),
        (502, None, Retry),
        (200, None, Retry),
        (200, 424242, Retry),  # trap 33: a success is HTTP and code, neither without the other
        (500, 0, Retry),
        (404, None, Undelivered),
        (400, 424242, Undelivered),
        (400, 230011, MessageGone),
        (400, 230110, MessageGone),
        (400, 230031, MessageGone),  # trap 21
        (400, 230022, Blocked),  # trap 26
        (400, 230028, Blocked),
        (400, 230002, Undelivered),  # trap 27
        (400, 230029, Undelivered),
        (400, 230053, Undelivered),
        (400, 232009, Undelivered),
        (400, 99992361, Undelivered),
        (400, 10014, Unconfigured),
        (400, 99991672, Unconfigured),  # trap 30
        (400, 99991663, Unconfigured),  # refused although just renewed
    ],
)
def test_meaning(status: int, code: int | None, kind: type[PlatformError]) -> None:
    answer = Answer(status=status, code=code, body={"msg": "as Feishu says it"})
    assert not answer.ok
    error = error_of(answer)
    expected = Retry if (status, code) == (404, None) else kind  # no JSON: some proxy spoke, not Feishu
    assert type(error) is expected


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.1),
        ("-3", 0.1),
        ("99999", 300.0),
        ("", 1.0),
        ("nan", 1.0),
        ("soon", 1.0),
    ],
)
def test_reset_header(reset: str, wait: float) -> None:
    error = error_of(Answer(status=429, code=99991400, body={}, reset=reset))
    assert isinstance(error, Retry)
    assert error.after == wait


def test_sentence_has_code_meaning_and_the_platforms_words() -> None:
    text = str(error_of(Answer(status=400, code=99991672, body={"msg": "need scope:\n [im:message]"})))
    assert text == (
        "Feishu 99991672 (HTTP 400): a scope is missing: grant it in the console and publish a version; "
        "it said: need scope: [im:message]"
    )


RETRY, REFRESH, TELL_USER, TELL_ADMIN, GIVE_UP = "retry", "refresh", "tell the user", "tell the admin", "give up"
NEW_MESSAGE, OTHER_WAY = "say it in a new message", "change the message instead"
#: Every code of the facts we keep (sections 2.2 and 2.4, and the pictures of 2.1), and what is done about it.
WHAT_TO_DO: dict[str, tuple[type[PlatformError], list[int]]] = {
    RETRY: (Retry, [99991400, 230020, 11232, 11233, 230049, 200810, 131001, 131007, 1069704]),
    REFRESH: (Unconfigured, [99991661, 99991663, 99991664, 99991665, 99991668, 99991671, 99991677]),
    TELL_USER: (Blocked, [230022, 230028]),
    TELL_ADMIN: (Unconfigured, [10003, 10014, 10015, 230006, 230027, 99991401, 99991672]),
    NEW_MESSAGE: (MessageGone, [230011, 230019, 230031, 230050, 230071, 230072, 230110]),
    OTHER_WAY: (CardRefused, [200220, 200740, 200750, 200770, 200850, 300309, 300311, 300317]),
    GIVE_UP: (
        Undelivered,
        [
            *(230001, 230002, 230013, 230025, 230029, 230034, 230035, 230038, 230053, 230054, 230055, 230099, 232009),
            *(200860, 300301, 300302, 300303, 300305, 300307, 99992361, 99992402),
            *(234001, 234003, 234004, 234006, 234010, 234011, 234037, 234038, 234039, 234043),
            *(234003, 234004, 234037, 234038, 234043),
            *(131005, 131006, 1770002, 1770003, 1770032, 1770033, 2889925),  # of the wiki
        ],
    ),
}


@pytest.mark.parametrize(("what", "code"), [(what, code) for what, (_, codes) in WHAT_TO_DO.items() for code in codes])
def test_every_known_code_says_what_to_do(what: str, code: int) -> None:
    error = error_of(Answer(status=400, code=code, body={}))
    kind = WHAT_TO_DO[what][0]
    assert isinstance(error, kind)
    if kind is Undelivered:
        assert type(error) is Undelivered
    assert f"Feishu {code} (HTTP 400): {CODES[code][1]}" in str(error)
    renewed = Answer(status=400, code=code, body={}).verdict is Verdict.RENEW
    assert renewed is (what == REFRESH)


def test_no_code_of_the_table_is_left_out_of_its_test() -> None:
    assert {code for _, codes in WHAT_TO_DO.values() for code in codes} == set(CODES)


@pytest.mark.parametrize(("code", "kind"), [(300309, StreamClosed), (200850, StreamClosed), (300317, Stale)])
def test_what_can_be_set_right_in_a_card_has_a_name_of_its_own(code: int, kind: type[PlatformError]) -> None:
    assert type(error_of(Answer(status=400, code=code, body={}))) is kind


def test_settings_that_cannot_be_changed_are_given_up_and_a_server_error_is_not() -> None:
    assert type(error_of(Answer(status=400, code=2200, body={}))) is Undelivered
    assert type(error_of(Answer(status=500, code=2200, body={}))) is Retry
