"""What the web page is told when something is wrong: `{"error": {"code", "text"}}`, never a traceback.

ConsoleError(status, code)   the sentence is words["error_<code>"]; storage's errors become "unavailable" or "not found"
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.console.security import from_elsewhere
from inference.grounding import parse
from storage.errors import Missing, StorageError

log = logging.getLogger("moqi.console")

BODY_LIMIT = 256 * 1024  # bytes of a request; a message is at most 20,000 characters
UPLOADS = "/api/pictures"  # takes pictures: what they may have is theirs to say
DOCUMENTS = "/api/knowledge/documents"  # takes documents
LIMITS = {UPLOADS: 20_000_000, DOCUMENTS: parse.MAX_BYTES}  # bytes


class ConsoleError(Exception):
    """A request that is refused, with the sentence for the person."""

    def __init__(self, status: int, code: str, **values: object) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.values = values


def guarded(words: Mapping[str, str]) -> type[APIRoute]:
    """The route class of the console: refuses forged and oversized requests, words every error."""

    class ConsoleRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                try:
                    _screen(request)
                    return await handle(request)
                except ConsoleError as error:
                    return _worded(error, words)
                except RequestValidationError:
                    return _worded(ConsoleError(422, "invalid"), words)
                except Missing:
                    return _worded(ConsoleError(404, "not_found"), words)
                except StorageError:
                    log.exception("a request of the web chat failed", extra={"action": "console-failed"})
                    return _worded(ConsoleError(503, "unavailable"), words)
                except HTTPException as error:  # FastAPI's own: a body that is no JSON, a wrong content type
                    return _worded(ConsoleError(error.status_code, "invalid"), words)

            return handler

    return ConsoleRoute


def _screen(request: Request) -> None:
    if from_elsewhere(request):
        raise ConsoleError(403, "forged")
    length = request.headers.get("content-length", "0")
    limit = LIMITS.get(request.url.path, BODY_LIMIT)
    if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > limit:
        raise ConsoleError(413, "too_large")


def _worded(error: ConsoleError, words: Mapping[str, str]) -> JSONResponse:
    text = words[f"error_{error.code}"].format(**error.values)
    return JSONResponse({"error": {"code": error.code, "text": text}}, status_code=error.status)
