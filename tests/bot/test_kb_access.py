"""Who may read which document, by the settings."""

from __future__ import annotations

import pytest

from bot.kb_access import PUBLIC, Access, fits
from storage.documents import Holding
from storage.records import Document, utcnow

HR = frozenset({"dept:人事部"})
ADMINS = frozenset({"role:admin"})
BOB = frozenset({"user:feishu:ou_bob"})
RULES = (("人事/公开/", PUBLIC), ("人事/", HR), ("薪酬*", ADMINS))


@pytest.mark.parametrize(
    ("pattern", "name", "fitting"),
    [
        ("人事/", "人事/假期.md", True),
        ("人事/", "人事/2026/薪酬.xlsx", True),
        ("人事/", "其他/人事/假期.md", False),
        ("人事/*", "人事/2026/薪酬.xlsx", True),  # a star that stopped at a slash would leave folders open
        ("*/薪酬/*", "人事/薪酬/表.xlsx", True),
        ("薪酬*", "人事/薪酬表.xlsx", True),  # without a slash: the file's own name, wherever it lies
        ("薪酬*", "薪酬/假期.md", False),
        ("/薪酬*", "薪酬表.xlsx", True),
        ("/薪酬*", "人事/薪酬表.xlsx", False),
        ("*.PDF", "a/b.pdf", True),
        ("HR/", "hr/a.md", True),
        ("[机密]*", "[机密]合同.md", True),
        ("[机密]*", "机.md", False),
        ("（机密）*", "(机密)合同.md", True),
        ("第?章.md", "第二章.md", True),
        ("第?章.md", "第十二章.md", False),
        ("报销*", "制度/差旅／报销细则", False),  # a slash of the title is none between folders
        ("a+b(c).md", "a+b(c).md", True),
        ("*", "什么/都/行.md", True),
        ("docs.acme.cn/", "docs.acme.cn/handbook", True),
    ],
)
def test_which_documents_a_pattern_means(pattern: str, name: str, fitting: bool) -> None:
    assert fits(pattern, name) is fitting


@pytest.mark.parametrize(
    ("access", "name", "named", "held", "readers"),
    [
        (Access(), "a.md", frozenset(), None, PUBLIC),
        (Access(default=ADMINS), "a.md", frozenset(), None, ADMINS),
        (Access(default=ADMINS), "a.md", BOB, None, BOB),
        (Access(rules=RULES), "人事/a.md", PUBLIC, None, HR),  # a rule counts more than a folder
        (Access(rules=RULES), "人事/公开/a.md", HR, None, PUBLIC),  # and the first more than the second
        (Access(default=ADMINS), "a.md", PUBLIC, None, PUBLIC),  # of a source the settings say it
        (Access(default=ADMINS), "a.md", PUBLIC, frozenset(), ADMINS),  # by hand only a rule does
        (Access(default=ADMINS, rules=(("a*", PUBLIC),)), "a.md", BOB, frozenset(), PUBLIC),
        (Access(rules=RULES), "x/薪酬.md", frozenset(), BOB, ADMINS),
        (Access(), "a.md", frozenset(), BOB, BOB),  # who was named for it stays
        (Access(), "a.md", HR, BOB, HR),
        (Access(default=ADMINS), "a.md", frozenset(), PUBLIC, ADMINS),  # everyone does not outlive a stricter default
        (Access(default=ADMINS), "a.md", frozenset(), BOB, BOB),
    ],
)
def test_who_reads_a_document(
    access: Access, name: str, named: frozenset[str], held: frozenset[str] | None, readers: frozenset[str]
) -> None:
    """`held`: of a document added by hand; None = it comes from a source."""
    found = access.readers(name, named) if held is None else access.by_hand(name, named, held)
    assert found == readers


def test_only_what_is_to_change_is_changed() -> None:
    def held(number: int, source: str, principals: frozenset[str]) -> Holding:
        document = Document(id=number, name=f"{number}.md", title="", sha256="", updated_at=utcnow())
        return Holding(
            document=document, recipe="", source=source, ref="", revision="", passages=0, principals=principals
        )

    found = [held(1, "", BOB), held(2, "wiki", PUBLIC), held(3, "wiki", HR), held(4, "other", PUBLIC)]
    assert Access().changes(found, {"wiki": HR}) == {2: HR}
