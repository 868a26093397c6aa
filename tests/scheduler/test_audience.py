"""Who will read an answer, and so which documents it may quote."""

from __future__ import annotations

import pytest

from scheduler.runners.ask import audience
from storage.records import ChatType, Identity, Membership, Origin

ALICE = Identity(platform="feishu", external_id="ou_1")
DEPARTMENTS = frozenset({"研发部", "平台组", "feishu:od-1"})


def origin(kind: ChatType) -> Origin:
    return Origin(platform="feishu", chat_id="oc_1", chat_type=kind, message_id="om_1", sender="ou_1")


@pytest.mark.parametrize(
    ("kind", "who", "external", "readers"),
    [
        (
            ChatType.DIRECT,
            Membership(departments=DEPARTMENTS),
            False,
            {"everyone", "user:7", "user:feishu:ou_1", "dept:外包", "dept:研发部", "dept:平台组", "dept:feishu:od-1"},
        ),
        (ChatType.DIRECT, Membership(guest=True), False, {"user:7", "user:feishu:ou_1"}),
        (ChatType.GROUP, Membership(departments=DEPARTMENTS), False, {"everyone", "group:feishu:oc_1"}),
        (ChatType.GROUP, Membership(), True, {"group:feishu:oc_1"}),
        (ChatType.GROUP, Membership(guest=True), False, {"group:feishu:oc_1"}),
    ],
)
def test_who_reads(kind: ChatType, who: Membership, external: bool, readers: set[str]) -> None:
    assert audience(7, origin(kind), "外包", [ALICE], who=who, external=external) == readers


def test_without_a_department_there_is_no_department() -> None:
    assert audience(7, origin(ChatType.DIRECT)) == {"everyone", "user:7"}
