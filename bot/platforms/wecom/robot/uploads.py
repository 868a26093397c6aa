"""Files up to WeCom over the long connection: in pieces of 512 KiB, two at a time, begun again when lost.

An upload shows nobody anything, so every part of it may be done again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Iterator
from hashlib import md5
from typing import Final

from bot.platforms.base import Elsewhere, Retry, Undelivered
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.robot.frames import Body, Frame

log = logging.getLogger("moqi.wecom")

CHUNK: Final = 512 * 1024  # bytes, before base64
CHUNKS_MAX: Final = 100
TOGETHER: Final = 2  # pieces on their way at once: with more, WeCom answers that it is busy
TRIES: Final = 3  # of one file
NAME_MAX: Final = 256  # bytes
LEAST: Final = 5  # bytes of a file

Ask = Callable[[str, Body], Awaitable[Frame]]


def chunks(data: bytes) -> list[bytes]:
    """The pieces of a file, in their order."""
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


async def upload(ask: Ask, kind: str, name: str, data: bytes) -> str:
    """Give WeCom a file of kind image or file; its media_id, good for three days.

    Raises Undelivered for one that WeCom would never take, Retry when it was lost again and again.
    """
    pieces = chunks(data)
    if len(data) < LEAST or len(pieces) > CHUNKS_MAX:
        raise Undelivered(f"WeCom takes no file of {len(data):,} bytes")
    last: Retry | Undelivered | None = None
    for number in range(1, TRIES + 1):
        try:
            return await _once(ask, kind, name, data, pieces)
        except Elsewhere as error:  # the connection ended; by the time there is another, somebody asks again
            raise Retry(f"the upload was cut off: {error}", after=1.0) from error
        except (Retry, _SessionLost) as error:
            last = error
            log.info("wecom: upload %d of %d failed, from the beginning: %s", number, TRIES, error)
    raise Retry(f"the upload failed {TRIES} times: {last}") from last


class _SessionLost(Undelivered):
    """WeCom does not know the upload any more."""


async def _once(ask: Ask, kind: str, name: str, data: bytes, pieces: list[bytes]) -> str:
    begun = await ask(
        frames.UPLOAD_INIT,
        {
            "type": kind,
            "filename": name.encode()[:NAME_MAX].decode("utf-8", "ignore"),
            "total_size": len(data),
            "total_chunks": len(pieces),
            "md5": md5(data, usedforsecurity=False).hexdigest(),
        },
    )
    upload_id = str(begun.body.get("upload_id") or "")
    if not upload_id:
        raise Retry("WeCom began an upload without its id")
    try:
        await _send_all(ask, upload_id, enumerate(pieces))  # the first is 0
        ended = await ask(frames.UPLOAD_FINISH, {"upload_id": upload_id})
    except Undelivered as error:  # whatever its code: what was begun cannot be ended
        raise _SessionLost(str(error)) from error
    media_id = str(ended.body.get("media_id") or "")
    if not media_id:
        raise Retry("WeCom took a file without naming it")
    return media_id


async def _send_all(ask: Ask, upload_id: str, pieces: Iterator[tuple[int, bytes]]) -> None:
    async def send() -> None:
        for index, piece in pieces:  # shared: each takes the next one
            body = {"upload_id": upload_id, "chunk_index": index, "base64_data": base64.b64encode(piece).decode()}
            try:
                await ask(frames.UPLOAD_CHUNK, body)
            except Elsewhere:
                raise
            except Retry as error:  # a piece may be sent again
                log.debug("wecom: piece %d again: %s", index, error)
                await ask(frames.UPLOAD_CHUNK, body)

    senders = [asyncio.create_task(send()) for _ in range(TOGETHER)]
    try:
        await asyncio.gather(*senders)
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
