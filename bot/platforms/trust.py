"""The certificates that HTTPS is checked with, read once: httpx would read all of them for every client (27 ms)."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """What httpx trusts by itself, SSL_CERT_FILE and SSL_CERT_DIR included; shared by all clients of the process."""
    return httpx.create_ssl_context()
