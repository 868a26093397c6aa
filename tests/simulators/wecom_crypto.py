"""WeCom's encryption as WeCom does it, written apart from the bot's: callbacks, files, and ids."""

from __future__ import annotations

import base64
import hashlib
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 32  # PKCS#7 pads to this, and not to the 16 of AES


def key_of(encoding_aes_key: str) -> bytes:
    """The 32 bytes that an EncodingAESKey says."""
    return base64.b64decode(encoding_aes_key.rstrip("=") + "=")


def encrypt(key: bytes, plain: bytes) -> bytes:
    """AES-256-CBC with the key's own start as IV."""
    missing = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return encryptor.update(plain + bytes([missing]) * missing) + encryptor.finalize()


def decrypt(key: bytes, data: bytes) -> bytes:
    """The plain bytes; ValueError when they are not padded as WeCom pads."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    missing = padded[-1] if padded else 0
    if not 1 <= missing <= _BLOCK or padded[-missing:] != bytes([missing]) * missing or len(padded) % _BLOCK:
        raise ValueError("padding")
    return padded[:-missing]


def seal(encoding_aes_key: str, message: bytes, receive_id: str) -> str:
    """A message as it stands in Encrypt."""
    framed = secrets.token_bytes(16) + struct.pack(">I", len(message)) + message + receive_id.encode()
    return base64.b64encode(encrypt(key_of(encoding_aes_key), framed)).decode()


def unseal(encoding_aes_key: str, sealed: str) -> tuple[bytes, str]:
    """The message and its receive id; ValueError when it cannot be read."""
    framed = decrypt(key_of(encoding_aes_key), base64.b64decode(sealed, validate=True))
    (length,) = struct.unpack(">I", framed[16:20])
    if 20 + length > len(framed):
        raise ValueError("length")
    return framed[20 : 20 + length], framed[20 + length :].decode()


def signature(token: str, timestamp: str, nonce: str, sealed: str) -> str:
    """What proves that the one who knows the token sent it."""
    return hashlib.sha1("".join(sorted([token, timestamp, nonce, sealed])).encode()).hexdigest()


def opaque(bot_id: str, userid: str) -> str:
    """The id that a robot gets instead of a member's own."""
    return "woEnc" + hashlib.sha256(f"{bot_id} {userid.lower()}".encode()).hexdigest()[:27]
