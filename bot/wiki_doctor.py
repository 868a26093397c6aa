"""What `moqi doctor` looks at in Feishu's wiki: whether the app may read every part that knowledge.yaml names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bot import sources
from bot.doctor import PATIENCE, Check, failed
from bot.kb_plan import WikiSource
from bot.platforms.base import PlatformError
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.requirements import WIKI_SCOPES
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.feishu.wiki import Wiki, WikiError
from bot.settings import Settings

STEP = (
    f"Grant the app {', '.join(need.name for need in WIKI_SCOPES)}, publish a version, and add the app to the space as "
    "a member."
)


def wiki(settings: Settings) -> Iterator[Check]:
    """One check for every part of the wiki."""
    for source in sources.wikis(settings):
        try:
            yield asyncio.run(_part(sources.app(settings, source.app), source))
        except sources.NoApp as error:
            yield failed(source.name, str(error), "Enable the app in platforms.yaml.")


async def _part(wanted: FeishuSettings, source: WikiSource) -> Check:
    found = Wiki(wanted, FeishuClient(wanted, pooled(wanted, PATIENCE)))
    try:
        async with asyncio.timeout(2 * PATIENCE):
            title = await found.title(source.part.space, source.part.node)
    except (WikiError, PlatformError, TimeoutError) as error:
        return failed(source.name, str(error) or f"{wanted.domain} took too long to answer.", STEP)
    finally:
        await found.close()
    return Check(name=source.name, detail=f"{title}: for {', '.join(sorted(source.readers))}")
