"""A simulated platform and a bot connected to it over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings
from tests.simulators.feishu import FeishuSimulator


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator() as simulator:
        yield simulator


@pytest.fixture
def settings(feishu: FeishuSimulator) -> FeishuSettings:
    return FeishuSettings.model_validate(feishu.settings)


@pytest.fixture
async def http(settings: FeishuSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with pooled(settings) as client:
        yield client


@pytest.fixture
async def client(settings: FeishuSettings, http: httpx.AsyncClient) -> FeishuClient:
    return FeishuClient(settings, http)


@pytest.fixture
async def platform(settings: FeishuSettings, client: FeishuClient) -> AsyncIterator[FeishuPlatform]:
    platform = FeishuPlatform(settings, client)
    yield platform
    await platform.close()
