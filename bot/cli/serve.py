"""`moqi serve`."""

from __future__ import annotations

import logging
import os
import socket
import sys
from types import FrameType
from typing import Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 = any free one.", envvar="PORT")] = 8080,
) -> None:
    """Serve the web chat, the webhooks and the queue until stopped."""
    from bot.opening import migrated, tidy
    from storage import faults
    from storage.database import data_lock
    from storage.errors import StorageError

    faults.arm(os.environ.get("MOQI_FAULTS", ""))
    environment = common.environment()
    current = _current()
    listener = _listen(host, port)
    try:
        with data_lock(environment.data, listener.getsockname()[1]):
            tidy(environment)
            migrated(environment)  # what keeps the data from being opened is one sentence here, a traceback later
            _run(current, environment, listener)
    except StorageError as error:
        raise Failed(f"cannot serve: {error}", Exit.UNAVAILABLE) from error
    except OSError as error:
        raise Failed(f"cannot use the data folder {environment.data}: {error}", Exit.UNAVAILABLE) from error


def _current() -> Any:
    from bot.current import Current
    from bot.platforms.registry import problems

    settings = common.settings()
    if found := problems(settings.platforms):
        raise Failed("\n".join(str(problem) for problem in found), Exit.USAGE)
    return Current(settings, os.environ)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, taken before anything is opened: a port in use is said in one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        hint = f"Choose another port: PORT={port + 1} make run, or moqi serve --port {port + 1}"
        raise Failed(f"cannot listen on {host}:{port}: {error.strerror}. {hint}", Exit.UNAVAILABLE) from error
    return listener


def _run(current: Any, environment: Any, listener: socket.socket) -> None:
    import uvicorn

    from bot.app import build

    _log_plainly()
    app = build(current, environment)

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    class Server(uvicorn.Server):
        """Says when it listens, and ends the live streams first: they would keep a stopping server waiting."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"墨契 Moqi  →  http://{shown}:{port}", flush=True)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Stop in order. Being asked to stop is no failure: exit status 0.

            A second signal does not wait for running work: what is cut here is taken up again at the next start.
            """
            if self.should_exit:
                os._exit(0)
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            services = getattr(app.state, "services", None)
            if services is not None:
                services.web.close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=10, lifespan="on"
    )
    server = Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise Failed("Moqi could not start; the cause stands above.", Exit.UNAVAILABLE)


def _log_plainly() -> None:
    """One line per event on standard error. httpx would log every address it calls, tickets included."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    for name in ("httpx", "httpcore", "apscheduler", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
