"""Pictures that somebody attaches to a message: kept when they are chosen, named by their content from then on."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import JSONResponse

from bot.console.console import Console
from bot.console.errors import UPLOADS, ConsoleError
from bot.console.sessions import person
from inference.errors import BadSource
from storage import assets

#: By whoever knows it: nobody can guess what a picture's content comes to.
Sha = Annotated[str, Path(pattern=r"\A[0-9a-f]{64}\z")]


def add_pictures(router: APIRouter, console: Console) -> None:
    @router.post(UPLOADS)
    async def keep(request: Request) -> Response:
        await person(console, request)  # before a byte is read
        try:
            sha = await console.keep_picture(await request.body())
        except BadSource as error:
            raise ConsoleError(422, f"picture_{error.reason}") from error
        return JSONResponse({"picture": sha}, status_code=201)

    @router.get(UPLOADS + "/{sha}")
    async def given(sha: Sha, request: Request) -> Response:
        await person(console, request)
        found = await console.db.read(assets.given, sha)
        if found is None:
            raise ConsoleError(404, "not_found")
        small, media_type = await asyncio.to_thread(
            console.thumbnail, await asyncio.to_thread(console.files.read, found.sha256)
        )
        return Response(small, media_type=media_type, headers={"Cache-Control": "private, max-age=31536000, immutable"})
