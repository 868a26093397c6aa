"""The files of the WeCom simulator: temporary media of both kinds of upload, and what people send."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.feishu_http import Call
from tests.simulators.wecom_crypto import encrypt, key_of
from tests.simulators.wecom_http import File
from tests.simulators.wecom_world import DAY, Refused, Robot, World

MIB = 1024 * 1024
_MOST = {"image": 10 * MIB, "voice": 2 * MIB, "video": 10 * MIB, "file": 20 * MIB}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
CHUNK = 512 * 1024


@dataclass
class Medium:
    """An uploaded file, good for three days."""

    kind: str
    data: bytes
    name: str
    at: float
    owner: str = ""  # the webhook it may be used by; empty: any of the company's


@dataclass
class Session:
    """An upload in pieces over the long connection, good for 30 minutes."""

    bot_id: str
    kind: str
    name: str
    size: int
    count: int
    md5: str
    at: float
    pieces: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Sent:
    """A file that a person sent, behind an address good for five minutes."""

    data: bytes  # encrypted
    name: str
    until: float


class Media:
    """All of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kept: dict[str, Medium] = {}
        self.sessions: dict[str, Session] = {}
        self._sent: dict[str, Sent] = {}

    # -- temporary media ---------------------------------------------------------------------------------------------

    def keep(self, kind: str, data: bytes, name: str, owner: str = "", *, gif: bool = False) -> str:
        """The media_id of a file, once its kind and size are right."""
        if kind not in _MOST:
            raise Refused(40004, "invalid media type")
        if len(data) < 5:
            raise Refused(44001, "empty media data")
        if len(data) > _MOST[kind]:
            raise Refused(40006, "invalid file size")
        if not _is_kind(kind, data, gif=gif):
            raise Refused(40005, "invalid file type")
        media_id = f"3{secrets.token_urlsafe(40)}"
        with self._world.lock:
            self.kept[media_id] = Medium(kind=kind, data=data, name=name, at=self._world.now(), owner=owner)
        return media_id

    def get(self, media_id: object, kind: str = "", owner: str = "") -> Medium:
        """An uploaded file that is still there and is of the kind."""
        medium = self.kept.get(str(media_id))
        if medium is None or self._world.now() - medium.at > 3 * DAY or medium.owner not in ("", owner):
            raise Refused(40007, "invalid media_id")
        if kind and medium.kind != kind:
            raise Refused(40004, "invalid media type")
        return medium

    def upload(self, call: Call, owner: str = "") -> dict[str, Any]:
        """media/upload and webhook/upload_media."""
        kind = call.query.get("type", "")
        name, data = _part(call)
        media_id = self.keep(kind, data, name, owner)
        return {"errmsg": "", "type": kind, "media_id": media_id, "created_at": str(int(self._world.now()))}

    def download(self, call: Call) -> File:
        """media/get, whole or in part."""
        medium = self.get(call.query.get("media_id"))
        name = urllib.parse.quote(medium.name)
        headers = {"Content-disposition": f'attachment; filename="{name}"'}
        asked = call.headers.get("range", "")
        if not asked.startswith("bytes="):
            return File(medium.data, _media_type(medium.data), headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        until = int(last) + 1 if last else len(medium.data)
        part = medium.data[int(first) : until]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(medium.data)}"
        return File(part, _media_type(medium.data), headers, status=206)

    # -- over the long connection ------------------------------------------------------------------------------------

    def begin(self, robot: Robot, body: Mapping[str, Any]) -> dict[str, Any]:
        """aibot_upload_media_init."""
        kind, name, size, count = (body.get(key) for key in ("type", "filename", "total_size", "total_chunks"))
        if kind not in _MOST:
            raise Refused(40004, "invalid media type")
        if not isinstance(name, str) or not 1 <= len(name.encode()) <= 256:
            raise Refused(40058, "invalid Request Parameter: filename")
        if not isinstance(size, int) or not 5 <= size <= _MOST[kind]:
            raise Refused(40006, "invalid file size")
        if not isinstance(count, int) or not 1 <= count <= 100 or not count <= size <= count * CHUNK:
            raise Refused(40058, "invalid Request Parameter: total_chunks")
        if not self._world.within(f"upload {robot.bot_id}", (30, 60.0), (1000, 3600.0)):
            raise Refused(45009, "api freq out of limit")
        upload_id = secrets.token_hex(16)
        self.sessions[upload_id] = Session(
            bot_id=robot.bot_id,
            kind=kind,
            name=name,
            size=size,
            count=count,
            md5=str(body.get("md5") or ""),
            at=self._world.now(),
        )
        return {"upload_id": upload_id}

    def piece(self, robot: Robot, body: Mapping[str, Any]) -> dict[str, Any]:
        """aibot_upload_media_chunk: any order, the same one twice does no harm."""
        session = self._session(robot, body)
        index = body.get("chunk_index")
        if not isinstance(index, int) or not 0 <= index < session.count:
            raise Refused(40058, "invalid Request Parameter: chunk_index")
        try:
            data = base64.b64decode(str(body.get("base64_data")), validate=True)
        except binascii.Error as error:
            raise Refused(40058, "invalid Request Parameter: base64_data") from error
        if not 1 <= len(data) <= CHUNK:
            raise Refused(40006, "invalid chunk size")
        session.pieces[index] = data
        return {}

    def finish(self, robot: Robot, body: Mapping[str, Any]) -> dict[str, Any]:
        """aibot_upload_media_finish."""
        session = self._session(robot, body)
        if len(session.pieces) != session.count:
            raise Refused(40058, "chunks are missing")
        whole = b"".join(session.pieces[index] for index in range(session.count))
        if len(whole) != session.size or (session.md5 and hashlib.md5(whole).hexdigest() != session.md5):
            raise Refused(40058, "size or md5 does not match")
        media_id = self.keep(session.kind, whole, session.name, gif=True)
        del self.sessions[str(body["upload_id"])]
        return {"type": session.kind, "media_id": media_id, "created_at": str(int(self._world.now()))}

    def _session(self, robot: Robot, body: Mapping[str, Any]) -> Session:
        session = self.sessions.get(str(body.get("upload_id")))
        if session is None or session.bot_id != robot.bot_id or self._world.now() - session.at > 1800:
            raise Refused(40058, "invalid upload_id")
        return session

    # -- what people send --------------------------------------------------------------------------------------------

    def send(self, data: bytes, name: str, robot: Robot) -> dict[str, str]:
        """What stands in a robot's message for a file: its address, and over the long connection its own key."""
        key = key_of(robot.aes_key) if robot.url else secrets.token_bytes(32)
        token = secrets.token_urlsafe(16)
        self._sent[token] = Sent(data=encrypt(key, data), name=name, until=self._world.now() + 300)
        told = {"url": f"{self._world.origin}/cos/{token}?sign={secrets.token_hex(8)}"}
        return told if robot.url else told | {"aeskey": base64.b64encode(key).decode().rstrip("=")}

    def fetch(self, token: str) -> File:
        """The file behind such an address, encrypted."""
        sent = self._sent.get(token)
        if sent is None or sent.until < self._world.now():
            return File(b"<Error><Code>AccessDenied</Code></Error>", "application/xml", status=403)
        name = urllib.parse.quote(sent.name)
        return File(sent.data, headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"})


def is_picture(data: bytes) -> bool:
    """JPG or PNG by its first bytes."""
    return data.startswith((_PNG, _JPEG))


def _is_kind(kind: str, data: bytes, *, gif: bool) -> bool:
    match kind:
        case "image":
            return is_picture(data) or (gif and data.startswith(b"GIF8"))
        case "voice":
            return data.startswith(b"#!AMR")
        case "video":
            return data[4:8] == b"ftyp"
    return True


def _media_type(data: bytes) -> str:
    if data.startswith(_PNG):
        return "image/png"
    return "image/jpeg" if data.startswith(_JPEG) else "application/octet-stream"


def _part(call: Call) -> tuple[str, bytes]:
    """The name and the bytes of the part called media; WeCom reads only a plain filename, not filename*."""
    boundary = call.headers.get("content-type", "").partition("boundary=")[2].strip('"')
    for chunk in (b"\r\n" + call.body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, value = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if b'name="media"' in head and b'filename="' in head:
            return head.partition(b'filename="')[2].partition(b'"')[0].decode(), value
    raise Refused(44001, "empty media data")
