"""Fetching a page for the knowledge base: only from the hosts and networks that the operator named.

The name is looked up here, every address it has is judged, and the connection goes to the very address that was judged:
who answers the second question differently gains nothing. Each redirection is judged like the first address. Nothing
of ours is sent: no cookies, no credentials, no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urljoin

import httpx

from bot import kb_addresses
from bot.kb_addresses import BadAddress, Network
from bot.version import version
from inference.grounding import parse

PATIENCE = 60.0  # seconds for a page, redirections included
CONNECTING = 10.0  # seconds for a connection, and between two pieces of an answer
HOPS = 5  # redirections followed
KINDS = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/plain": "",
    "text/csv": "",
    "application/pdf": ".pdf",
    "application/epub+zip": "",
    "application/octet-stream": "",
    "binary/octet-stream": "",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
}
_MOVED = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({401, 403, 404, 410, 451})

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchError(Exception):
    """A page was not fetched; the text says why, without what the page or its address may keep secret."""


class Gone(FetchError):
    """The server shows this page to us no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What may be reached for one source."""

    hosts: frozenset[str]
    private: tuple[Network, ...] = ()
    plain: bool = False  # http beside https


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as it came."""

    data: bytes
    ending: str  # what kind of document it says it is; empty = its bytes tell
    validators: Mapping[str, str]  # what to send along the next time, so that the same page is not sent again


async def lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches pages, one connection each. Nothing is kept between two of them."""

    def __init__(
        self, context: ssl.SSLContext | None = None, lookup: Lookup = lookup, patience: float = PATIENCE
    ) -> None:
        self._context = context
        self._lookup = lookup
        self._patience = patience

    async def fetch(self, url: str, limits: Limits, validators: Mapping[str, str]) -> Page | None:
        """The page at an address; None when it is the one that `validators` came with. Raises `FetchError`."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._follow(url, limits, validators)
        except TimeoutError as error:
            raise FetchError(f"it did not come within {self._patience:.0f} s") from error

    async def _follow(self, url: str, limits: Limits, validators: Mapping[str, str]) -> Page | None:
        for _ in range(HOPS + 1):
            try:
                parts = kb_addresses.checked(url, limits.hosts, plain=limits.plain)
            except BadAddress as error:
                raise FetchError(str(error)) from error
            found = await self._once(parts, await self._addresses(parts, limits), validators)
            if not isinstance(found, str):
                return found
            url = urljoin(kb_addresses.written(parts), found)
        raise FetchError(f"it leads on and on: more than {HOPS} redirections")

    async def _addresses(self, parts: SplitResult, limits: Limits) -> Sequence[str]:
        """Where a host is, every one of its addresses judged."""
        host = parts.hostname or ""
        try:
            found = await self._lookup(host, kb_addresses.port_of(parts))
        except OSError as error:
            raise FetchError(f"{host} is not known to the name server") from error
        for address in found:
            if why := kb_addresses.shut(ip_address(address.partition("%")[0]), limits.private):
                raise FetchError(f"{host}: {why}")
        if not found:
            raise FetchError(f"{host} has no address")
        return found

    async def _once(
        self, parts: SplitResult, addresses: Sequence[str], validators: Mapping[str, str]
    ) -> Page | str | None:
        """One request to the first address that answers: a page, where it leads on to, or None: it is the same."""
        failed: Exception | None = None
        for address in addresses:
            async with httpx.AsyncHTTPTransport(verify=self._trust(parts), trust_env=False, retries=0) as transport:
                try:
                    response = await transport.handle_async_request(_request(parts, address, validators))
                except httpx.ConnectError as error:
                    failed = error
                    continue
                except httpx.TransportError as error:
                    raise FetchError(f"the connection failed: {_short(error)}") from error
                try:
                    return await _answer(response)
                except httpx.TransportError as error:
                    raise FetchError(f"the connection broke: {_short(error)}") from error
                finally:
                    await response.aclose()
        raise FetchError(f"no connection to {parts.hostname}: {_short(failed)}") from failed

    def _trust(self, parts: SplitResult) -> ssl.SSLContext:
        if parts.scheme != "https":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody, and is not asked
        self._context = self._context or trusted()
        return self._context


def trusted() -> ssl.SSLContext:
    """The authorities of this machine, a company's own among them, and the public ones."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _request(parts: SplitResult, address: str, validators: Mapping[str, str]) -> httpx.Request:
    """A request to an address that was judged, in the name of its host."""
    target = httpx.URL(kb_addresses.written(parts)).copy_with(host=address)
    headers = {
        "Host": parts.netloc,
        "User-Agent": f"moqi/{version()} (knowledge base)",
        "Accept": ", ".join(KINDS),
        "Accept-Encoding": "identity",  # a small answer must not unfold to a large one
        **validators,
    }
    timeout = httpx.Timeout(CONNECTING).as_dict()
    extensions: dict[str, Any] = {"timeout": timeout, "sni_hostname": parts.hostname}
    return httpx.Request("GET", target, headers=headers, extensions=extensions)


async def _answer(response: httpx.Response) -> Page | str | None:
    status = response.status_code
    if status == 304:
        return None
    if status in _MOVED and (location := response.headers.get("location")):
        return str(location)
    if status in _GONE:
        raise Gone(f"the server answers {status}: it does not show this page any more")
    if status != 200:
        raise FetchError(f"the server answers {status}")
    return Page(data=await _body(response), ending=_ending(response), validators=_validators(response))


def _ending(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise FetchError(f"it is {kind[:60]}, which is no document that can be read")
    return KINDS[kind]


async def _body(response: httpx.Response) -> bytes:
    """What comes, as far as a document may be large. Raises `FetchError`."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("the server sends it packed, though it was not asked to")
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > parse.MAX_BYTES:
        raise _too_large()
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > parse.MAX_BYTES:
            raise _too_large()
        pieces.append(piece)
    return b"".join(pieces)


def _too_large() -> FetchError:
    return FetchError(f"it is larger than {parse.MAX_BYTES // 1024**2} MB")


def _validators(response: httpx.Response) -> dict[str, str]:
    """What a server calls this version of a page, where it says so in a line of usual length."""
    named = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
    found = {header: response.headers.get(name, "") for header, name in named}
    return {header: value for header, value in found.items() if value and len(value) <= 200 and value.isascii()}


def _short(error: Exception | None) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
