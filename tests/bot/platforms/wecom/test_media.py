"""What people send is fetched from WeCom's hosts alone, capped, decrypted, and its address told to nobody."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.enclosures import reason
from bot.events import ChatEvent
from bot.platforms.base import BROKEN, FOREIGN, GONE, TOO_LARGE, Enclosed, PlatformError, Retry, Undelivered
from bot.platforms.wecom.media import aes_key, allowed, decrypted, enclosed, fetch, filename
from bot.platforms.wecom.settings import WecomAibot
from storage.records import ChatType, Identity, Origin, utcnow

SECRET = bytes(range(32))
KEY = base64.b64encode(SECRET).decode().rstrip("=")
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
COS = "ww-aibot-img-1258476243.cos.ap-guangzhou.myqcloud.com"


def encrypted(data: bytes, secret: bytes = SECRET, block: int = 32) -> bytes:
    pad = block - len(data) % block
    cipher = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return cipher.update(data + bytes([pad]) * pad) + cipher.finalize()


@dataclass
class Host:
    """A media host: what it answers by path, and what it was asked."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.url.removeprefix("http://")

    def gives(self, body: bytes, status: int = 200, path: str = "/f", **headers: str) -> str:
        """The address at which it does."""
        self.answers[path] = status, {name.replace("_", "-"): value for name, value in headers.items()}, body
        return f"{self.url}{path}?sign=very-secret"


@pytest.fixture
def host() -> Iterator[Host]:
    served = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            served.asked.append(path)
            if path == "/endless":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while len(served.asked) < 1000:
                        self.wfile.write(bytes(65536))
                        served.asked.append("64 KiB")
                return
            status, headers, body = served.answers[path]
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def http() -> Any:
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
        yield client


def message(**value: Any) -> ChatEvent:
    return ChatEvent(
        platform="wecom",
        key="robot:1",
        kind="message",
        sender=Identity(platform="wecom", external_id="alice"),
        sender_name="",
        origin=Origin(
            platform="wecom", chat_id="robot:alice", chat_type=ChatType.DIRECT, message_id="1", sender="alice"
        ),
        at=utcnow(),
        value=value,
    )


def robot(host: Host, **more: Any) -> WecomAibot:
    return WecomAibot(media_hosts=(host.name,), **more)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        (f"https://{COS}/a/b?sign=x%3Dy", True),
        ("https://ww-aibot-img-1258476243.cos.ap-shanghai.myqcloud.com/a", True),
        ("https://wework.qpic.weixin.qq.com/a", True),
        ("https://media.work.weixin.qq.com:443/a", True),
        ("https://MEDIA.WORK.WEIXIN.QQ.COM/a", True),
        ("https://files.example/a", True),  # named in the settings
        ("http://127.0.0.1:8099/a", True),  # named in the settings, on this machine
        ("https://media.work.weixin.qq.com:8443/a", False),
        (f"http://{COS}/a", False),
        ("https://another-1258476243.cos.ap-guangzhou.myqcloud.com/a", False),  # anybody's bucket
        ("https://ww-aibot-img-1.cos.ap-guangzhou.myqcloud.com/a", False),
        (f"https://{COS}.evil.example/a", False),
        (f"https://{COS}@evil.example/a", False),
        (f"https://user:pass@{COS}/a", False),
        (f"https://evil.example\\@{COS}/a", False),
        ("https://evilqq.com/a", False),
        ("https://qq.com.evil.example/a", False),
        ("https://127.0.0.1/a", False),
        ("http://127.0.0.1:9000/a", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("https://[::1]/a", False),
        ("http://files.example/a", False),
        ("file:///etc/passwd", False),
        ("ftp://x.qq.com/a", False),
        ("//x.qq.com/a", False),
        ("https://x.qq.com:99999/a", False),
        ("https://x.qq.com/a\n.evil", False),
        ("", False),
    ],
)
def test_trap_19_only_wecoms_media_hosts_are_asked(url: str, may: bool) -> None:
    assert allowed(url, ("files.example", "127.0.0.1:8099")) is may


async def test_trap_19_a_forged_address_is_not_asked(host: Host, http: httpx.AsyncClient) -> None:
    address = host.gives(PICTURE)
    with pytest.raises(Undelivered, match=r"none of WeCom's media hosts.*media_hosts") as refused:
        await fetch(http, address, "", 10_000)
    assert refused.value.code == FOREIGN
    assert host.asked == []
    assert "very-secret" not in str(refused.value)


async def test_trap_19_a_redirect_is_not_followed(host: Host, http: httpx.AsyncClient) -> None:
    host.gives(PICTURE, path="/inside")
    address = host.gives(b"", 302, location=f"{host.url}/inside")
    with pytest.raises(Undelivered) as refused:
        await fetch(http, address, "", 10_000, (host.name,))
    assert refused.value.code == GONE
    assert host.asked == ["/f"]


async def test_trap_19_a_file_is_read_up_to_its_limit(host: Host, http: httpx.AsyncClient) -> None:
    address = host.gives(encrypted(PICTURE))
    assert (await fetch(http, address, KEY, len(PICTURE), (host.name,))).data == PICTURE
    for key, most in ((KEY, len(PICTURE) - 1), (KEY, 100), ("", 100)):
        with pytest.raises(Undelivered) as refused:
            await fetch(http, address, key, most, (host.name,))
        assert refused.value.code == TOO_LARGE
        assert reason(refused.value) == "enclosed_large"


async def test_trap_19_an_endless_file_is_not_read_to_its_end(host: Host, http: httpx.AsyncClient) -> None:
    with pytest.raises(Undelivered) as refused:
        await fetch(http, f"{host.url}/endless", KEY, 100_000, (host.name,))
    assert refused.value.code == TOO_LARGE
    assert len(host.asked) < 1000, "the host was cut off"


@pytest.mark.parametrize("data", [b"", b"x", bytes(15), bytes(16), bytes(31), bytes(32), PICTURE, b"\x20" * 32])
def test_trap_19_files_are_padded_to_32_bytes(data: bytes) -> None:
    assert decrypted(encrypted(data), SECRET) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encrypted(PICTURE)[:-1],
        encrypted(PICTURE, bytes(32)),
        encrypted(b"\x00" * 31 + b"\x00", block=16)[:32],
        encrypted(b"\x00" * 31 + b"\x21")[:32],  # 33 is no padding
    ],
)
def test_what_another_key_encrypted_is_refused(data: bytes) -> None:
    with pytest.raises(Undelivered) as refused:
        decrypted(data, SECRET)
    assert refused.value.code == BROKEN
    assert reason(refused.value) == "enclosed_broken"


@pytest.mark.parametrize("text", [KEY, f"{KEY}=", f" {KEY}=\n"])
def test_a_key_with_or_without_its_ending(text: str) -> None:
    assert aes_key(text) == SECRET


@pytest.mark.parametrize("text", ["", "abc", "猫" * 43, KEY[:-2], KEY + "AAAA", "?" * 43])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Undelivered) as refused:
        aes_key(text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "kind", "code", "words"),
    [
        (403, Undelivered, GONE, "enclosed_gone"),
        (404, Undelivered, GONE, "enclosed_gone"),
        (500, Retry, None, "enclosed_failed"),
        (429, Retry, None, "enclosed_failed"),
    ],
)
async def test_what_the_host_answers(
    host: Host, http: httpx.AsyncClient, status: int, kind: type[PlatformError], code: int | None, words: str
) -> None:
    address = host.gives(b"<Error/>", status)
    with pytest.raises(kind) as refused:
        await fetch(http, address, KEY, 10_000, (host.name,))
    assert (refused.value.code, reason(refused.value)) == (code, words)


async def test_trap_19_no_address_and_no_key_in_errors_and_logs(
    host: Host, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "moqi")
    for address in (host.gives(b"x" * 32), "http://127.0.0.1:9/f?sign=very-secret", "https://x.example/?very-secret"):
        with pytest.raises(PlatformError) as refused:
            await fetch(http, address, KEY, 10_000, (host.name, "127.0.0.1:9"))
        told = f"{refused.value!r} {refused.value.__cause__!r} {caplog.text}"
        assert "very-secret" not in told
        assert KEY not in told


async def test_a_compressed_answer_is_not_unpacked(host: Host, http: httpx.AsyncClient) -> None:
    address = host.gives(b"\x1f\x8b as it came", content_encoding="gzip")
    assert (await fetch(http, address, "", 100, (host.name,))).data == b"\x1f\x8b as it came"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", ""),
        ("attachment", ""),
        ('attachment; filename="a b.pdf"', "a b.pdf"),
        ("attachment; filename=%E6%89%8B%E5%86%8C.pdf", "手册.pdf"),
        ("attachment; filename=\"x\"; filename*=UTF-8''%E6%89%8B%E5%86%8C.pdf", "手册.pdf"),
        ('attachment; filename="手册.pdf"'.encode().decode("latin-1"), "手册.pdf"),
        ('attachment; filename="a\x00b\u200b.pdf"', "ab.pdf"),
    ],
)
def test_what_a_file_is_called(header: str, name: str) -> None:
    assert filename({"content-disposition": header}) == name


# --- which file is meant ----------------------------------------------------------------------------------------------


async def test_the_first_picture_is_fetched_with_its_own_key(host: Host, http: httpx.AsyncClient) -> None:
    asked = message(images=[{"url": host.gives(encrypted(PICTURE)), "key": KEY}, {"url": host.url, "key": ""}])
    assert await enclosed(http, asked, "picture", 10_000, robot(host)) == Enclosed(data=PICTURE)


async def test_in_callback_mode_files_have_the_key_of_the_callbacks(host: Host, http: httpx.AsyncClient) -> None:
    address = host.gives(encrypted(PICTURE), content_disposition='attachment; filename="there.pdf"')
    settings = robot(host, mode="callback", encoding_aes_key=KEY)
    asked = message(files=[{"url": address, "key": "", "name": "手册.pdf"}])
    assert await enclosed(http, asked, "file", 10_000, settings) == Enclosed(data=PICTURE, name="手册.pdf")
    asked = message(files=[{"url": address, "key": ""}])
    assert await enclosed(http, asked, "file", 10_000, settings) == Enclosed(data=PICTURE, name="there.pdf")


async def test_a_picture_may_have_been_sent_as_a_file_and_no_file_as_a_picture(
    host: Host, http: httpx.AsyncClient
) -> None:
    one = [{"url": host.gives(PICTURE), "key": ""}]
    assert await enclosed(http, message(files=one), "picture", 10_000, robot(host)) == Enclosed(data=PICTURE)
    assert await enclosed(http, message(images=one), "file", 10_000, robot(host)) is None
    assert await enclosed(http, message(), "picture", 10_000, robot(host)) is None
