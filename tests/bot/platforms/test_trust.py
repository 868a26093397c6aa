"""Sharing the certificates takes no check away: what httpx would refuse is refused."""

from __future__ import annotations

import ssl

import httpx
import pytest

from bot.platforms.feishu.client import pooled
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.trust import trusted
from bot.platforms.wecom import posting


def test_certificates_are_read_once_and_asked_for() -> None:
    context, usual = trusted(), httpx.create_ssl_context()
    assert context is trusted()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    known, wanted = ({one["serialNumber"] for one in each.get_ca_certs()} for each in (context, usual))
    assert wanted <= known  # of a folder of certificates some come when a server asks for them


async def test_clients_are_made_without_reading_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted()
    monkeypatch.setattr(httpx, "create_ssl_context", None)
    monkeypatch.setattr(ssl, "create_default_context", None)
    for client in (pooled(FeishuSettings()), posting.client()):
        await client.aclose()
