"""Takes pictures of the web chat: light, dark and on a phone, against a server that is running.

    python tools/screenshots.py http://127.0.0.1:8080 /tmp/shots      # then: cp /tmp/shots/chat.jpg docs/

Needs `pip install playwright` and a Chromium of the system (CHROMIUM=/path/to/it if it is not found by itself).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

PROMPTS = ("/ask 会议室怎么预订？", "/draw 左边红色的圆，右边绿色的星 --seed 7")
DESK: ViewportSize = {"width": 1180, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


def chromium() -> str:
    """The browser to use. Exits with the next step when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("No Chromium was found. Install one (Debian: apt-get install chromium) or set CHROMIUM to its path.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where the server listens")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--name", default="", help="the name to chat under (default: one that nobody has)")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    name = chosen.name or f"墨客{int(time.time()) % 100000}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        take_all(browser, chosen.url, chosen.folder, name)
        browser.close()


def take_all(browser: Browser, url: str, folder: Path, name: str) -> None:
    context = browser.new_context(viewport=DESK, device_scale_factor=2, color_scheme="light", locale="zh-CN")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#door-input:visible")
    shot(page, folder / "door.png")
    page.fill("#door-input", name)
    page.press("#door-input", "Enter")
    page.wait_for_selector("#empty:visible")
    shot(page, folder / "empty.png")
    for prompt in PROMPTS:
        say(page, prompt)
    shot(page, folder / "chat-light.png")
    page.screenshot(path=folder / "chat.jpg", type="jpeg", quality=80)  # the one in the README
    page.emulate_media(color_scheme="dark")
    shot(page, folder / "chat-dark.png")
    page.fill("#input", "/")
    shot(page, folder / "commands-dark.png")
    page.fill("#input", "")
    page.set_viewport_size(PHONE)
    shot(page, folder / "phone-dark.png")
    page.emulate_media(color_scheme="light")
    shot(page, folder / "phone-light.png")
    page.evaluate("document.getElementById('scroll').scrollTo(0, 0)")
    shot(page, folder / "phone-light-top.png")
    context.close()


def say(page: Page, text: str) -> None:
    """Send a message and wait for the finished card."""
    done = page.locator(".card.done")
    before = done.count()
    page.fill("#input", text)
    page.press("#input", "Enter")
    done.nth(before).wait_for(timeout=120_000)


def shot(page: Page, path: Path) -> None:
    page.wait_for_timeout(600)  # pictures decode, fades end
    page.screenshot(path=path)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
