"""Answers from Feishu's wiki: each person only from what the settings give them, and nothing of what was taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.kb import SYNCED
from storage import syncs
from storage.database import Database
from tests.journeys.moqi import Moqi, Person, until
from tests.journeys.test_feishu import Member
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_wiki import Page, WikiSide

EVERY = "1s"


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def pages(platform: FeishuSimulator) -> dict[str, Page]:
    """A space for the people of HR, one for everybody."""
    wiki = platform.wiki
    hr, shared = wiki.space("人事内部"), wiki.space("公司制度")
    return {
        "salary": wiki.add(hr, "薪级表", "高级设计师的薪级是七级，月薪两万八千元。"),
        "travel": wiki.add(shared, "差旅", "出差住宿每晚不超过六百元。"),
    }


def sources(pages: dict[str, Page], readers: list[str]) -> dict[str, Any]:
    hr = {"spaces": [pages["salary"].space], "readers": readers, "every": EVERY}
    shared = {"spaces": [pages["travel"].space], "readers": ["everyone"], "every": EVERY}
    return {"sources": [{"feishu_wiki": hr}, {"feishu_wiki": shared}]}


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator, pages: dict[str, Page]
) -> Iterator[Moqi]:
    settings = {
        "platforms": {"web": {"enabled": True}, "feishu": platform.settings},
        "knowledge": sources(pages, ["dept:人事部"]),
    }
    house = Moqi(tmp_path_factory.mktemp("wiki"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    until(lambda: len(reports(house)) == 2, "both sources to be read")
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture(scope="module")
def anna(house: Moqi, platform: FeishuSimulator) -> Member:
    return belonging(house, platform, 71, "人事部")


@pytest.fixture(scope="module")
def bob(house: Moqi, platform: FeishuSimulator) -> Member:
    return belonging(house, platform, 72, "设计部")


def belonging(house: Moqi, platform: FeishuSimulator, number: int, department: str) -> Member:
    """Somebody of a department."""
    member = Member(platform, number)
    house.command("dept", "set", f"feishu:{member.open_id}", department, check=True)
    return member


def reports(house: Moqi) -> dict[str, Any]:
    """How each source in the wiki was read last."""
    with Database.open(data=house.data) as db:
        return {one.source: one.report for one in db.read_sync(syncs.all_syncs) if one.report and one.source != SYNCED}


def asked(member: Member, question: str, **more: Any) -> Sent:
    return member.ended(member.say(f"/ask {question}", **more))


def answered(member: Member, question: str, words: str) -> Sent | None:
    """The answer, if it says the words; to be asked again until the wiki was looked through."""
    card = asked(member, question)
    return card if words in card.text else None


SALARY = "高级设计师的薪级和月薪是多少？"


def test_each_is_answered_from_what_they_may_read_and_sources_are_links(
    anna: Member, bob: Member, pages: dict[str, Page]
) -> None:
    """Trap 31: the rights of the app are not those of whoever asks."""
    card = asked(anna, SALARY)
    assert "两万八千元" in card.text
    assert f"](https://acme.feishu.cn/wiki/{pages['salary'].token})" in card.text
    refused = asked(bob, SALARY)
    assert "没有找到" in refused.text
    for told in ("两万八千", "薪级表", "人事内部", pages["salary"].token):
        assert told not in refused.text.replace(SALARY, "")
    for member in (anna, bob):
        assert "六百元" in asked(member, "出差住宿每晚最多多少钱？").text


def test_in_a_group_nobody_hears_what_only_the_asker_may_read(anna: Member) -> None:
    anna.chat_id = "oc_with_everybody"
    card = asked(anna, SALARY, group=True)
    assert "两万八千" not in card.text
    assert "薪级表" not in card.text


def test_on_the_web_the_page_of_a_passage_is_only_for_its_readers(house: Moqi, pages: dict[str, Page]) -> None:
    guest = Person(house, "来宾")
    card = guest.finished(guest.ordered("/ask 出差住宿每晚最多多少钱？"))
    (source, *_) = card["sources"]
    assert source["url"] == f"https://acme.feishu.cn/wiki/{pages['travel'].token}"
    assert guest.http.get(f"/passages/{source['passage']}").status_code == 200
    hidden = [n for n in range(1, 9) if "薪级" in guest.http.get(f"/passages/{n}").text]
    assert hidden == []


def test_an_admin_is_told_how_the_sources_were_read_and_in_a_group_numbers_only(
    house: Moqi, platform: FeishuSimulator, anna: Member, pages: dict[str, Page]
) -> None:
    table = platform.wiki.add(pages["travel"].space, "报价单", kind="sheet")
    boss = Member(platform, 73)
    house.command("role", "set", f"feishu:{boss.open_id}", "admin", check=True)
    until(lambda: "报价单" in boss.told("/kb sources").text, "the spreadsheet to be seen")
    told = boss.told("/知识库 来源")
    assert "共 2 篇文档" in told.text
    assert "跳过 1" in told.text
    boss.chat_id = "oc_with_everybody"
    told = boss.told("/kb sources", group=True)
    assert "跳过 1" in told.text
    assert "报价单" not in told.text
    assert "管理员" in anna.told("/kb sources").text
    platform.wiki.trash(table)


def test_what_was_changed_is_answered_and_what_was_taken_away_is_gone(
    house: Moqi, platform: FeishuSimulator, anna: Member, pages: dict[str, Page]
) -> None:
    wiki: WikiSide = platform.wiki
    wiki.edit(pages["salary"], "高级设计师的薪级是八级，月薪三万一千元。")
    until(lambda: answered(anna, SALARY, "三万一千元"), "the change to be read")
    wiki.locked.add(pages["salary"].obj)
    until(lambda: answered(anna, SALARY, "没有找到"), "the page to be out")
    name = f"feishu_wiki:feishu:{pages['salary'].space}"
    assert "1770032" in str(reports(house)[name]["why"])
    wiki.locked.clear()
    until(lambda: answered(anna, SALARY, "三万一千元"), "the page to be back")


def test_other_readers_in_the_settings_hold_before_anybody_is_answered(
    house: Moqi, platform: FeishuSimulator, anna: Member, bob: Member, pages: dict[str, Page]
) -> None:
    assert house.stop() == 0
    text = yaml.safe_dump(sources(pages, ["dept:设计部"]), allow_unicode=True)
    Path(house.config / "knowledge.yaml").write_text(text, encoding="utf-8")
    platform.fail("html", times=10_000, on="/wiki/")  # Feishu itself says nothing at all
    house.start()
    assert "没有找到" in asked(anna, SALARY).text
    assert "三万一千元" in asked(bob, SALARY).text
