"""Frames of Feishu's long connection as plain values: reading, writing, acknowledging, joining fragments. No I/O.

The bytes are made and read by lark-oapi's own protobuf module, so that what is on the wire is what Feishu's SDK speaks.
"""

from __future__ import annotations

import base64
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any, Final

CONTROL: Final = 0
DATA: Final = 1
FRAGMENT_SECONDS: Final = 30.0  # the pieces of one event follow each other at once; what is older never gets whole
FRAGMENT_BYTES: Final = 8_000_000  # of all unfinished events together: nobody may fill the memory
FRAGMENT_PIECES: Final = 1000  # of one event

_MODULE: Final = "lark_oapi.ws.pb.pbbp2_pb2"
_loading = Lock()


class BadFrame(Exception):
    """Not a frame of the long connection, or one without what every frame has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One message on the wire."""

    method: int  # CONTROL or DATA
    service: int
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: bytes = b""
    seq_id: int = 0
    log_id: int = 0
    log_id_new: str = ""
    encoding: str = ""
    content_type: str = ""

    @property
    def kind(self) -> str:
        """ping, pong, event or card."""
        return self.headers.get("type", "")


def decode(raw: bytes) -> Frame:
    """The frame in these bytes; raises BadFrame."""
    message = _module().Frame()
    try:
        message.ParseFromString(raw)
    except Exception as error:  # the parser has no common ancestor for what broken bytes make it raise
        raise BadFrame(f"{len(raw)} bytes that are no frame") from error
    if not message.IsInitialized():
        raise BadFrame("a frame without what every frame has")
    return Frame(
        method=message.method,
        service=message.service,
        headers={header.key: header.value for header in message.headers},
        payload=bytes(message.payload),
        seq_id=message.SeqID,
        log_id=message.LogID,
        log_id_new=message.LogIDNew,
        encoding=message.payload_encoding,
        content_type=message.payload_type,
    )


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    message = _module().Frame()
    message.SeqID, message.LogID = frame.seq_id, frame.log_id
    message.service, message.method = frame.service, frame.method
    for key, value in frame.headers.items():
        header = message.headers.add()
        header.key, header.value = key, value
    for name, value in (("payload_encoding", frame.encoding), ("payload_type", frame.content_type)):
        if value:
            setattr(message, name, value)
    if frame.log_id_new:
        message.LogIDNew = frame.log_id_new
    if frame.payload:
        message.payload = frame.payload
    return bytes(message.SerializeToString())


def ping(service: int) -> Frame:
    """What we send to show that we are there."""
    return Frame(method=CONTROL, service=service, headers={"type": "ping"})


def acknowledged(frame: Frame, code: int, milliseconds: int, data: Mapping[str, Any] | None = None) -> Frame:
    """The same frame back: 200 = kept for good, 500 = send it again; `data` answers a callback."""
    said: dict[str, Any] = {"code": code}
    if data is not None:
        said["data"] = base64.b64encode(json.dumps(data, ensure_ascii=False).encode()).decode()
    return replace(frame, headers={**frame.headers, "biz_rt": str(milliseconds)}, payload=json.dumps(said).encode())


@dataclass(slots=True)
class _Unfinished:
    """An event of which pieces are missing."""

    since: float
    pieces: list[bytes | None]
    size: int = 0


class Fragments:
    """Joins events that come in pieces, in whatever order; forgets what never gets whole."""

    def __init__(self) -> None:
        self._unfinished: dict[str, _Unfinished] = {}  # oldest first

    def join(self, frame: Frame, now: float) -> bytes | None:
        """The whole payload once its last piece is there, else None. `now` in seconds. Raises BadFrame."""
        total, number = _number(frame, "sum"), _number(frame, "seq")
        if total <= 1:
            return frame.payload
        if total > FRAGMENT_PIECES or not 0 <= number < total:
            raise BadFrame(f"piece {number} of {total}")
        key = frame.headers.get("message_id", "")
        event = self._unfinished.setdefault(key, _Unfinished(since=now, pieces=[None] * total))
        if len(event.pieces) != total:
            raise BadFrame(f"an event of {len(event.pieces)} pieces has one of {total}")
        event.size += len(frame.payload) - len(event.pieces[number] or b"")
        event.pieces[number] = frame.payload
        whole = [piece for piece in event.pieces if piece is not None]
        if len(whole) == total:
            del self._unfinished[key]
            return b"".join(whole)
        self._forget(now)
        return None

    def _forget(self, now: float) -> None:
        """Drop what is too old, and the oldest while there is too much: Feishu sends again what is not acknowledged."""
        for key, event in list(self._unfinished.items()):
            if event.since > now - FRAGMENT_SECONDS and self._size() <= FRAGMENT_BYTES:
                return
            del self._unfinished[key]

    def _size(self) -> int:
        return sum(event.size for event in self._unfinished.values())


def missing() -> bool:
    """Whether the protobuf module is not installed."""
    return _folder() is None


def _number(frame: Frame, name: str) -> int:
    try:
        return int(frame.headers.get(name) or 0)
    except ValueError as error:
        raise BadFrame(f"the header {name} is no number") from error


def _folder() -> str | None:
    spec = find_spec("lark_oapi")  # finds, does not import
    return next(iter(spec.submodule_search_locations or ()), None) if spec else None


@cache
def _module() -> Any:
    """lark-oapi's generated module, without the rest of lark-oapi.

    Importing it the ordinary way runs lark_oapi/__init__.py, which takes 4 s and 100 MB for thousands of request
    classes nobody here uses. So its two parent packages stand empty in sys.modules for the 40 ms of this import.
    The modules keep their names: the SDK, imported later, finds the same ones (a second copy would register its
    messages twice).
    """
    with _loading:
        if "lark_oapi" in sys.modules:
            return import_module(_MODULE)
        folder = _folder()
        if folder is None:
            raise ModuleNotFoundError("lark-oapi is not installed: pip install 'moqi[feishu]'", name="lark_oapi")
        parents = {"lark_oapi": folder, "lark_oapi.ws": f"{folder}/ws"}
        for name, path in parents.items():
            stand_in = ModuleType(name)
            stand_in.__path__ = [path]
            sys.modules[name] = stand_in
        try:
            with warnings.catch_warnings():  # its bundled protobuf asks older setuptools for what is deprecated there
                warnings.filterwarnings("ignore", "pkg_resources is deprecated|Deprecated call to `pkg_resources")
                return import_module(_MODULE)
        finally:
            for name in parents:
                del sys.modules[name]
