"""A proxy through which an unmodified client reaches the WeCom simulator as https://qyapi.weixin.qq.com."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.simulators.wecom_http import Platform, Server

HOST = "qyapi.weixin.qq.com"


class Tunnel(Server):
    """Takes CONNECT, then speaks TLS with a certificate of its own; `ca` is the file that a client has to trust."""

    def __init__(self, platform: Platform, folder: Path, host: str = HOST) -> None:
        super().__init__(platform)
        self.ca = folder / "ca.pem"
        key_file = folder / "key.pem"
        certify(host, self.ca, key_file)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.ca, key_file)

    @property
    def url(self) -> str:
        """The proxy's address, for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: the proxy's part, then the simulator's."""
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            more = request.recv(4096)
            if not more:
                return
            asked += more
        request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self._tls.wrap_socket(request, server_side=True) as line:
            super().finish_request(line, client_address)

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        at: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self.server_close()


def certify(host: str, certificate_file: Path, key_file: Path) -> None:
    """A certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
