"""Takes pictures of the cards in Feishu: the real program answers the simulated platform, a small page shows its cards.

    python tools/feishu_cards.py docs        # feishu-queued.jpg, -picture.jpg, -form.jpg, -answer.jpg, -hello.jpg

Run it from the repository's root. Needs `pip install playwright` and a Chromium of the system (CHROMIUM=/path/to/it).
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.journeys.moqi import Moqi, Person, until  # noqa: E402
from tests.journeys.test_feishu import Member, buttons  # noqa: E402
from tests.simulators.feishu import FeishuSimulator, Sent  # noqa: E402
from tests.simulators.feishu_events import chat_event, submit  # noqa: E402
from tools.screenshots import chromium  # noqa: E402

LIMIT = 150_000  # bytes of a picture in the README
PICTURE = "左边红色的圆，右边绿色的星"
QUESTION = "会议室怎么预订？"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture: what was said, and the card that answered."""

    name: str
    said: str
    card: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with FeishuSimulator(limits=False) as platform, tempfile.TemporaryDirectory() as kept:
        shots = played(platform, Path(kept))
        images = {key: data_url(content) for key, content in platform.images.items()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        for shot in shots:
            take(browser, shot, images, folder / f"feishu-{shot.name}.jpg")
        browser.close()


def played(platform: FeishuSimulator, folder: Path) -> list[Shot]:
    """Let somebody use the program, and keep the cards they saw."""
    house = Moqi(folder, settings={"platforms": {"web": {"enabled": True}, "feishu": platform.settings}})
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    try:
        house.ready()
        return list(_shots(platform, Person(house, "管理员"), Member(platform, 1)))
    finally:
        house.stop()


def _shots(platform: FeishuSimulator, admin: Person, alice: Member) -> list[Shot]:
    for seed in range(5):  # from here on the waiting time is a measured one
        alice.drawn(f"/draw 红色的圆 --seed {seed}")
    order = f"/draw {PICTURE} --seed 7"
    first = alice.drawn(order)
    queued = first.content if "header" in first.content else first.shown
    drawn = dict(first.shown)
    form = opened(alice, first)
    answer = alice.ended(alice.say(QUESTION))
    platform.push(chat_event(platform.app, "member.bot.added", "oc_team"))
    hello = until(lambda: [sent for sent in platform.visible() if sent.chat_id == "oc_team"], "the greeting")[0]
    return [
        Shot(name="queued", said=order, card=queued),
        Shot(name="picture", said=order, card=drawn),
        Shot(name="form", said="", card=form),
        Shot(name="answer", said=QUESTION, card=answer.shown),
        Shot(name="hello", said="", card=hello.shown),
    ]


def opened(member: Member, card: Sent) -> dict[str, Any]:
    """The card with its form open."""
    value = next(value for value in buttons(card) if value["action"] == "form_open")
    event = submit(
        member.platform.app, value, {}, presser=member.open_id, chat_id=member.chat_id, message_id=card.message_id
    )
    member.platform.push(event)
    return dict(card.shown)


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def take(browser: Browser, shot: Shot, images: dict[str, str], path: Path) -> None:
    context = browser.new_context(viewport={"width": 460, "height": 200}, device_scale_factor=2, locale="zh-CN")
    page: Page = context.new_page()
    page.goto((ROOT / "tools" / "feishu_card.html").as_uri())
    told = {"said": shot.said, "name": "小墨", "bot": "墨契", "card": shot.card, "text": "", "images": images}
    page.evaluate("told => window.fill(told)", told)
    for quality in (88, 80, 70, 60):
        page.screenshot(path=path, type="jpeg", quality=quality, full_page=True)
        if path.stat().st_size <= LIMIT:
            break
    context.close()
    sys.stdout.write(f"{path}  {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
