"""Pages are fetched from where the operator said and from nowhere else, whatever an address, a name server or a
redirection says. Against real servers on this machine."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

from bot import kb_addresses, kb_fetch
from bot.kb_addresses import BadAddress, checked, host, network, shut
from bot.kb_fetch import Fetcher, FetchError, Gone, Limits, Page
from inference.grounding import parse
from tests.simulators.wecom_tls import certify

HERE = (network("127.0.0.0/8"),)

Headers = dict[str, str]
Say = Callable[[str], tuple[int, Headers, bytes]]


@dataclass
class Site:
    """A server that says what it is told to. `asked` are the requests as they came."""

    port: int = 0
    pages: dict[str, tuple[int, Headers, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, Headers]] = field(default_factory=list)
    stall: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"docs.acme.cn:{self.port}"

    def page(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (status, {"content-type": "text/html", **named}, body)


class Quiet(ThreadingHTTPServer):
    """Clients that leave in the middle are what is tested here."""

    def handle_error(self, *given: object) -> None:
        """It is no news."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            status, headers, body = site.pages.get(self.path, (404, {}, b""))
            if headers.get("etag") and self.headers.get("if-none-match") == headers["etag"]:
                status, body = 304, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if "stall" in headers:
                self.wfile.flush()
                site.stall.wait(20)

        def log_message(self, *given: object) -> None:
            """Tests are quiet."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.stall.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


async def local(name: str, port: int) -> Sequence[str]:
    """A name server that knows one company."""
    if name.endswith("acme.cn"):
        return ["127.0.0.1"]
    raise OSError("unknown")


async def fetch(site: Site, path: str, limits: Limits | None = None, **validators: str) -> Page | None:
    wanted = limits or Limits(hosts=frozenset({site.host}), private=HERE, plain=True)
    named = {name.replace("_", "-"): value for name, value in validators.items()}
    return await Fetcher(lookup=local, patience=5).fetch(f"http://{site.host}{path}", wanted, named)


# --- what comes -------------------------------------------------------------------------------------------------


async def test_a_page_comes_as_it_is_and_not_twice(site: Site) -> None:
    at = "Sun, 22 Nov 2026 00:00:00 GMT"
    site.page("/%E6%89%8B%E5%86%8C?a=1", "<h1>年假</h1>".encode(), etag='"v1"', last_modified=at)
    page = await fetch(site, "/手册?a=1#年假")
    assert page is not None
    assert (page.data.decode(), page.ending) == ("<h1>年假</h1>", ".html")
    assert page.validators == {"If-None-Match": '"v1"', "If-Modified-Since": at}
    assert (
        await Fetcher(lookup=local).fetch(
            f"http://{site.host}/手册?a=1",
            Limits(hosts=frozenset({site.host}), private=HERE, plain=True),
            page.validators,
        )
        is None
    )


async def test_nothing_of_ours_is_sent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", "/nonexistent")
    site.page("/a", b"", 302, location="/b", set_cookie="session=1; Path=/")
    site.page("/b", b"text", set_cookie="other=2")
    await fetch(site, "/a")
    await fetch(site, "/b")
    assert [path for path, _ in site.asked] == ["/a", "/b", "/b"]
    usual = {"host", "user-agent", "accept", "accept-encoding"}
    assert all(set(headers) <= usual for _, headers in site.asked)
    assert {headers["host"] for _, headers in site.asked} == {site.host}


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "why"),
    [
        (404, {}, b"", Gone, "404"),
        (410, {}, b"", Gone, "410"),
        (403, {}, b"", Gone, "403"),
        (500, {}, b"", FetchError, "500"),
        (301, {}, b"", FetchError, "301"),
        (204, {}, b"", FetchError, "204"),
        (200, {"content-type": "image/png"}, b"x", FetchError, "image/png"),
        (200, {"content-type": "text/html", "content-encoding": "gzip"}, b"x", FetchError, "packed"),
        (200, {"content-type": "text/html", "content-length": str(parse.MAX_BYTES + 1)}, b"", FetchError, "larger"),
        (200, {"content-type": "text/html", "content-length": "9"}, b"cut", FetchError, "broke"),
        (200, {"content-type": "text/html", "x": "y" * 200_000}, b"", FetchError, "failed"),
        (302, {"location": "/page"}, b"", FetchError, "on and on"),
    ],
)
async def test_what_is_no_document_says_why(
    site: Site, status: int, headers: Headers, body: bytes, error: type[FetchError], why: str
) -> None:
    site.pages["/page"] = (status, headers, body)
    with pytest.raises(FetchError, match=why) as caught:
        await fetch(site, "/page")
    assert type(caught.value) is error
    assert len(site.asked) <= kb_fetch.HOPS + 1


async def test_more_than_a_document_may_hold_is_not_taken_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "MAX_BYTES", 1_000_000)
    site.page("/endless", bytes(8_000_000))  # without saying how much there is
    with pytest.raises(FetchError, match="larger"):
        await fetch(site, "/endless")


async def test_a_server_that_never_ends_is_left(site: Site) -> None:
    site.page("/slow", b"a little", stall="yes")
    wanted = Limits(hosts=frozenset({site.host}), private=HERE, plain=True)
    with pytest.raises(FetchError, match="did not come within"):
        await Fetcher(lookup=local, patience=0.2).fetch(f"http://{site.host}/slow", wanted, {})


# --- where it comes from ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://metadata.acme.cn/", "not among"),
        ("http://127.0.0.1:{port}/secret", "not among"),
        ("http://[::1]:{port}/secret", "not among"),
        ("//evil.example/secret", "not among"),
        ("http://docs.acme.cn/secret", "not among"),  # another port is another server
        ("http://docs.acme.cn:22/", "not among"),
        ("http://user:pass@docs.acme.cn:{port}/secret", "names and passwords"),
        ("http://docs.acme.cn:{port}@evil.example/secret", "names and passwords"),
        ("http://docs.acme.cn:{port}\\@evil.example/secret", "no web address|names"),
        ("file:///etc/passwd", "https://"),
        ("gopher://docs.acme.cn:{port}/_x", "https://"),
        ("javascript:alert(1)", "https://"),
        ("http://docs.acme.cn:99999/", "no web address"),
        ("https://docs.acme.cn:{port}/secret", "no connection|failed"),  # this server speaks no TLS
    ],
)
async def test_a_redirection_leads_nowhere_else(site: Site, location: str, why: str) -> None:
    site.page("/start", b"", 302, location=location.format(port=site.port))
    site.page("/secret", b"secret")
    with pytest.raises(FetchError, match=why):
        await fetch(site, "/start")
    assert [path for path, _ in site.asked] == ["/start"]


async def test_a_redirection_to_a_listed_host_is_followed_and_judged(site: Site) -> None:
    with serving() as other:
        site.page("/start", b"", 307, location=f"http://files.acme.cn:{other.port}/x.html")
        other.page("/x.html", b"text")
        both = frozenset({site.host, f"files.acme.cn:{other.port}"})
        page = await fetch(site, "/start", Limits(hosts=both, private=HERE, plain=True))
        assert page is not None
        assert page.data == b"text"
        assert other.asked[0][1]["host"] == f"files.acme.cn:{other.port}"
        site.page("/down", b"", 302, location=f"http://{site.host}/x")
        with pytest.raises(FetchError, match="not encrypted"):
            await fetch(site, "/start", Limits(hosts=both, private=HERE, plain=False))


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],  # one of them is enough
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.1.2.3"],
        ["fe80::1%eth0"],
        ["169.254.169.254"],
        [],
    ],
)
async def test_a_name_that_leads_into_the_house_is_not_asked(site: Site, answers: list[str]) -> None:
    async def rebound(name: str, port: int) -> Sequence[str]:
        return answers

    site.page("/", b"secret")
    with pytest.raises(FetchError):
        await Fetcher(lookup=rebound).fetch(
            f"http://{site.host}/", Limits(hosts=frozenset({site.host}), plain=True), {}
        )
    assert site.asked == []


async def test_the_address_that_was_judged_is_the_one_that_is_asked(site: Site) -> None:
    """A name server that says another thing to whoever asks again gains nothing."""
    asked: list[str] = []

    async def fickle(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    site.page("/", b"text")
    wanted = Limits(hosts=frozenset({site.host}), private=HERE, plain=True)
    page = await Fetcher(lookup=fickle).fetch(f"http://{site.host}/", wanted, {})
    assert page is not None
    assert asked == ["docs.acme.cn"]


async def test_an_address_that_does_not_answer_leaves_the_next_one(site: Site) -> None:
    async def two(name: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    site.page("/", b"text")
    wanted = Limits(hosts=frozenset({site.host}), private=HERE, plain=True)
    assert await Fetcher(lookup=two).fetch(f"http://{site.host}/", wanted, {}) is not None
    nobody = Limits(hosts=frozenset({"docs.acme.cn:1"}), private=HERE, plain=True)
    with pytest.raises(FetchError, match="no connection"):
        await Fetcher(lookup=two).fetch("http://docs.acme.cn:1/", nobody, {})


async def test_a_certificate_must_be_that_of_the_host(tmp_path: Path) -> None:
    """The address is asked, but the name is proved."""
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    certify("docs.acme.cn", certificate, key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(server) as site:
        site.page("/", b"text")
        other = f"files.acme.cn:{site.port}"
        limits = Limits(hosts=frozenset({site.host, other}), private=HERE)
        page = await Fetcher(trusting, local).fetch(f"https://{site.host}/", limits, {})
        assert page is not None
        for context, name in ((trusting, other), (kb_fetch.trusted(), site.host)):
            with pytest.raises(FetchError, match="certificate"):
                await Fetcher(context, local).fetch(f"https://{name}/", limits, {})


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("ff0e::1", False),
    ],
)
def test_only_public_addresses_are_open(address: str, open_: bool) -> None:
    assert (shut(ip_address(address), ()) == "") is open_


def test_a_network_of_the_house_is_open_when_it_is_named_and_secrets_of_a_cloud_never() -> None:
    house = (network("10.0.0.0/8"), network("169.254.0.0/16"), network("fd00::/8"))
    assert shut(ip_address("10.2.3.4"), house) == ""
    assert shut(ip_address("::ffff:10.2.3.4"), house) == ""
    assert shut(ip_address("fd12::1"), house) == ""
    assert "private address" in shut(ip_address("192.168.0.1"), house)
    for never in ("169.254.169.254", "fd00:ec2::254", "169.254.1.1"):
        assert "never" in shut(ip_address(never), house)
    for written in ("0.0.0.0/0", "::/0", "10.0.0.1/8", "acme"):
        with pytest.raises(ValueError):
            network(written)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://docs.acme.cn", "https://docs.acme.cn/"),
        ("HTTPS://Docs.ACME.cn./a?b#c", "https://docs.acme.cn/a?b"),
        ("https://docs.acme.cn:443/a", "https://docs.acme.cn/a"),
        ("https://文档.cn/a", "https://xn--7dvp7d.cn/a"),
        ("https://docs.acme.cn:8443/", "https://docs.acme.cn:8443/"),
        ("http://docs.acme.cn/", None),
        ("https://docs.acme.cn:22/", None),
        ("https://acme.cn/", None),
        ("https://docs.acme.cn.evil.example/", None),
        ("https://evil.example/docs.acme.cn", None),
        ("https://docs.acme.cn@evil.example/", None),
        ("https://evil.example#@docs.acme.cn/", None),
        ("https://a:b@docs.acme.cn/", None),
        ("https://docs.acme.cn /", None),
        ("https://docs.acme.cn/\r\nx: y", None),
        ("ftp://docs.acme.cn/", None),
        ("//docs.acme.cn/", None),
        ("https:///a", None),
        ("https://docs.acme.cn:x/", None),
        ("https://[::1/", None),
        ("https://docs.acme.cn/" + "a" * 2000, None),
        ("https://xn--\uffff.cn/", None),
        ("", None),
    ],
)
def test_which_addresses_are_fetched(url: str, found: str | None) -> None:
    hosts = {host(one) for one in ("docs.acme.cn", "docs.acme.cn:8443", "文档.cn")}
    if found is None:
        with pytest.raises(BadAddress):
            checked(url, hosts, plain=False)
        return
    assert kb_addresses.written(checked(url, hosts, plain=False)) == found


@pytest.mark.parametrize("written", ["", "https://docs.acme.cn", "docs.acme.cn/a", "a@docs.acme.cn", "docs.acme.cn:x"])
def test_a_host_is_written_bare(written: str) -> None:
    with pytest.raises(ValueError):
        host(written)
