"""Who people are, on the whole program: their names, their departments, outsiders, and the login at the web page."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from storage import documents, profiles
from storage.database import Database
from storage.records import Identity
from tests.journeys.moqi import Moqi, until
from tests.journeys.test_feishu import Member
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_events import click, mention, message

GROUP = "oc_mixed_group"
MANUAL = "请假与年假制度.md"
POLICY = {"quotas": {"department": {"设计部": {"draw": "3/day"}}}}


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        simulator.directory.open("od-1", "产品中心")
        simulator.directory.open("od-2", "设计部", "od-1")
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator) -> Iterator[Moqi]:
    settings = {"platforms": {"feishu": platform.settings}, "policy": POLICY}
    house = Moqi(tmp_path_factory.mktemp("identity"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    yield house
    assert house.stop() == 0
    house.verify()


def kept(house: Moqi) -> Database:
    return Database.open(f"sqlite:///{house.data / 'moqi.db'}")


def looked_up(house: Moqi, member: Member) -> None:
    """Wait until the directory was asked about somebody."""

    def look() -> bool:
        with kept(house) as db:
            found = db.read_sync(profiles.get, Identity(platform="feishu", external_id=member.open_id))
        return found is not None and found.fetched_at is not None

    until(look, f"{member.open_id} to be looked up")


def in_group(member: Member, text: str, tenant_key: str) -> list[Sent]:
    """Write into the group, to the bot; what it answers after everything before is dealt with."""
    app = member.platform.app
    event = message(
        app,
        f"@_user_1 {text}",
        sender=member.open_id,
        chat_id=GROUP,
        group=True,
        tenant_key=tenant_key,
        mentions=[mention(1, app.bot_open_id, "墨契", "bot")],
    )
    assert member.platform.push(event).acknowledged
    return member.answers(event["event"]["message"]["message_id"])


def test_people_are_called_by_their_names_and_draw_for_their_department(house: Moqi, platform: FeishuSimulator) -> None:
    alice = Member(platform, 7001)
    platform.directory.join(alice.open_id, "王小墨", "od-2")
    assert "我会做的事" in alice.told("/help").text  # nobody waits for the name
    looked_up(house, alice)
    assert "设计部" in alice.told("/quota").text
    shown = house.command("quota", "show", f"feishu:{alice.open_id}", "--json", check=True).stdout
    assert '"who": "王小墨"' in shown
    assert '"subject": "dept:设计部"' in shown


def test_a_document_for_a_department_is_found_by_its_people_only(house: Moqi, platform: FeishuSimulator) -> None:
    insider, stranger = Member(platform, 7002), Member(platform, 7003)
    platform.directory.join(insider.open_id, "李四", "od-2")
    platform.directory.join(stranger.open_id, "赵五", "od-1")
    for member in (insider, stranger):
        member.told("/help")
        looked_up(house, member)
    with kept(house) as db:
        until(lambda: db.read_sync(documents.holdings), "the documents to be read")
        name = next(one.document.name for one in db.read_sync(documents.holdings) if one.document.name.endswith(MANUAL))
        before = next(one.principals for one in db.read_sync(documents.holdings) if one.document.name == name)
        db.run_sync(documents.set_access, name, ["dept:设计部"])
        try:
            assert "满 1 年不满 10 年" in insider.ended(insider.say("年假怎么休?")).text
            assert "满 1 年不满 10 年" not in stranger.ended(stranger.say("年假怎么休?")).text
            db.run_sync(documents.set_access, name, ["dept:产品中心"])  # above: reaches those below
            assert "满 1 年不满 10 年" in insider.ended(insider.say("年假有几天，怎么休?")).text
        finally:
            db.run_sync(documents.set_access, name, before)


def test_trap_29_outsiders_in_a_shared_group(house: Moqi, platform: FeishuSimulator) -> None:
    guest, ours = Member(platform, 7004), Member(platform, 7005)
    in_group(guest, "/draw 一只猫", "other")
    until(lambda: any("本公司" in sent.text for sent in platform.visible()), "the refusal")
    in_group(guest, "/quota", "other")
    pressed = click(platform.app, {"action": "redo", "job": 1}, presser=guest.open_id, tenant_key="other")
    assert "本公司" in platform.push(pressed).answer["toast"]["content"]
    in_group(ours, "/help", "tenant")
    until(lambda: any("我会做的事" in sent.text for sent in platform.visible() if sent.chat_id == GROUP), "our help")
    refusals = [sent for sent in platform.visible() if "本公司" in sent.text]
    assert len(refusals) == 1
    found = house.command("quota", "show", f"feishu:{guest.open_id}")
    assert found.returncode != 0  # nobody was made, nothing was counted
    # What everyone of ours may read is not read out where outsiders read along.
    in_group(ours, "年假怎么休?", "tenant")
    until(lambda: [s for s in platform.visible() if s.chat_id == GROUP and "没有找到" in s.text], "an empty answer")
    assert not any("满 1 年不满 10 年" in sent.text for sent in platform.visible() if sent.chat_id == GROUP)


def test_the_login_at_the_web_page_is_the_person_of_the_chat(house: Moqi, platform: FeishuSimulator) -> None:
    alice = Member(platform, 7006)
    platform.directory.join(alice.open_id, "周小契")
    platform.accounts.at_browser = alice.open_id
    before = alice.left()
    with httpx.Client(base_url=house.url, timeout=60, follow_redirects=True) as browser:
        assert '"names": true' in browser.get("/").text
        page = browser.get("/login/feishu/start")
        assert (page.status_code, str(page.url)) == (200, f"{house.url}/")
        who: dict[str, Any] = browser.get("/api/session").json()
        assert (who["name"], who["role"]) == ("周小契", "user")
        said = browser.post("/api/messages", json={"id": uuid.uuid4().hex, "text": "/quota"})
        assert said.status_code == 202, said.text

        def quota() -> str:
            page: list[dict[str, Any]] = browser.get("/api/messages").json()["messages"]
            return next((str(one["body"]["fields"]) for one in page if one["author"] == "bot"), "")

        until(quota, "the quota on the page")
        assert re.search(rf"还剩 {before} ", quota())
        platform.accounts.cancels = True
        assert str(browser.get("/login/feishu/start").url) == f"{house.url}/?login=login_cancelled&at=feishu"


def test_nothing_of_it_is_in_the_log(house: Moqi, platform: FeishuSimulator) -> None:
    log = house.log.read_text(encoding="utf-8")
    secrets = [*platform.accounts.grants, *platform.accounts.tokens, platform.app.app_secret]
    assert secrets
    assert not any(secret in log for secret in secrets)
    assert "Traceback" not in log
