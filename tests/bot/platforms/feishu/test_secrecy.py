"""Trap 12: whoever is not proved to be Feishu hears nothing from us, at none of the three doors we knock at."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.platforms.base import Retry
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.connection import Connection, Patience
from bot.platforms.feishu.settings import FeishuSettings
from storage.records import utcnow
from tests.simulators.feishu import FeishuSimulator


@dataclass
class Impostor:
    """Somebody between us and Feishu, with a certificate that nobody vouches for."""

    address: str
    heard: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(1000))
        writer.close()


def certified(folder: Path) -> ssl.SSLContext:
    """A certificate of one's own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "open.feishu.cn")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
    made = made.not_valid_before(utcnow() - timedelta(days=1)).not_valid_after(utcnow() + timedelta(days=1))
    file = folder / "impostor.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    signed = made.add_extension(here, critical=False).sign(key, hashes.SHA256())
    file.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
async def impostor(tmp_path: Path) -> AsyncIterator[Impostor]:
    found = Impostor("")
    async with await asyncio.start_server(found.talk, "127.0.0.1", 0, ssl=certified(tmp_path)) as server:
        found.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found
    assert found.heard == []


def settings(domain: str) -> FeishuSettings:
    return FeishuSettings.model_validate({"domain": domain, "app_id": "cli_a", "app_secret": "secret"})


async def refused(wanted: FeishuSettings) -> str:
    """Why the long connection does not come about."""

    async def take(payload: bytes) -> None:
        raise AssertionError(payload)

    connection = Connection(wanted, take, lambda: None, patience=Patience(address=5, retry=0.01))
    running = asyncio.create_task(connection.run())
    async with asyncio.timeout(20):
        while not connection.problem:
            await asyncio.sleep(0.01)
    await connection.stop()
    await running
    return connection.problem


async def test_trap_12_no_call_of_the_api_reaches_an_impostor(impostor: Impostor) -> None:
    client = FeishuClient(settings(f"https://{impostor.address}"))
    with pytest.raises(Retry, match="ConnectError"):
        await client.bot_info()
    await client.close()


async def test_trap_12_no_impostor_gives_the_address_of_the_long_connection(impostor: Impostor) -> None:
    assert "does not answer (ConnectError)" in await refused(settings(f"https://{impostor.address}"))


async def test_trap_12_no_impostor_is_the_gateway(
    impostor: Impostor, feishu: FeishuSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"wss://{impostor.address}/ws/v2?service_id=1&device_id=d&ticket=t"
    monkeypatch.setattr(feishu.gateway, "address", lambda: {"URL": url, "ClientConfig": {}})
    said = await refused(FeishuSettings.model_validate(feishu.dialled))
    assert said == "the gateway cannot be reached: SSLCertVerificationError"
