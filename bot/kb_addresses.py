"""Which addresses pages may be fetched from, so that nobody reaches this machine or the house's network through us.
Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit, urlunsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Where clouds tell a machine its secrets: nobody keeps documents there, so no setting opens them.
METADATA = frozenset({ip_address("169.254.169.254"), ip_address("100.100.100.200"), ip_address("fd00:ec2::254")})

#: IPv6 addresses that stand for an IPv4 one: of NAT64 its last four bytes.
_NAT64 = ip_network("64:ff9b::/96")
_PORTS = {"https": 443, "http": 80}
LONGEST = 2000  # characters of an address


class BadAddress(ValueError):
    """An address that is not fetched; the text says why."""


def network(written: str) -> Network:
    """A range such as 10.0.0.0/8, or one address. Raises ValueError."""
    found = ip_network(written)
    if found.prefixlen == 0:
        raise ValueError("0.0.0.0/0 would open everything: name the networks")
    return found


def host(written: str) -> str:
    """A host as it is compared: `docs.acme.cn`, with a port where that is not the usual one. Raises ValueError."""
    parts = urlsplit(f"https://{written}")
    if parts.netloc != written or "@" in written or not parts.hostname:
        raise ValueError("write the name of a host such as docs.acme.cn, or docs.acme.cn:8443")
    name = _ascii(parts.hostname)
    return name if parts.port in (None, *_PORTS.values()) else f"{name}:{parts.port}"


def host_of(url: str) -> str:
    """The host of an address, as it is compared; empty where there is none."""
    try:
        parts = urlsplit(url)
        name = _ascii(parts.hostname or "")
        return name if parts.port in (None, _PORTS.get(parts.scheme)) else f"{name}:{parts.port}"
    except ValueError:
        return ""


def checked(url: str, hosts: Collection[str], *, plain: bool) -> SplitResult:
    """The parts of an address that may be fetched. Raises `BadAddress`.

    `hosts` are the only ones; `plain` lets http pass beside https.
    """
    if len(url) > LONGEST or any(char.isspace() or not char.isprintable() for char in url):
        raise BadAddress("it is no web address")
    try:
        parts = urlsplit(url)
        port = parts.port
        name = _ascii(parts.hostname or "")
    except ValueError as error:
        raise BadAddress("it is no web address") from error
    if parts.scheme not in _PORTS or not name:
        raise BadAddress("only addresses that begin with https:// are fetched")
    if parts.scheme == "http" and not plain:
        raise BadAddress("http is not encrypted: use https, or write `http: true` for this source")
    if "@" in parts.netloc:
        raise BadAddress("names and passwords in addresses are not sent")
    usual = port in (None, _PORTS[parts.scheme])
    if host_of(url) not in hosts:
        raise BadAddress(f"{host_of(url)} is not among the source's `hosts`")
    shown = f"[{name}]" if ":" in name else name
    return SplitResult(parts.scheme, shown if usual else f"{shown}:{port}", parts.path or "/", parts.query, "")


def written(parts: SplitResult) -> str:
    """An address as text."""
    return urlunsplit(parts)


def port_of(parts: SplitResult) -> int:
    """The port that is connected to."""
    return parts.port or _PORTS[parts.scheme]


def shut(address: Address, private: Sequence[Network]) -> str:
    """Why nothing is fetched from an address; empty = it may be. `private` are the ranges that the operator opened."""
    for one in _meanings(address):
        if one in METADATA or one.is_link_local or one.is_multicast or one.is_unspecified:
            return f"{one} is never fetched from"
        if not one.is_global and not any(one in allowed for allowed in private):
            return f"{one} is a private address: name its network in the source's `private` if pages are kept there"
    return ""


def _meanings(address: Address) -> list[Address]:
    """The address itself, or what packets to it are sent to."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(IPv4Address(address.packed[-4:]))
    found: list[Address] = [one for one in inner if one is not None]
    return found if address.ipv4_mapped else [address, *found]


def _ascii(name: str) -> str:
    """A host's name as it is looked up: lower case, other scripts as punycode. Raises ValueError."""
    bare = name.rstrip(".").lower()
    try:
        return bare if ":" in bare else bare.encode("idna").decode() if bare else ""
    except UnicodeError as error:
        raise ValueError("it is no name of a host") from error
