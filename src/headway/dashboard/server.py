"""The dashboard's own server: uvicorn, with limits on the resources that a client can hold.

uvicorn waits for ever for a client that sends nothing or half a request, or does not read its answer. So here:

- a request has to be complete REQUEST_S after the connection or the previous answer;
- a client that reads nothing for STUCK_S while something is to be sent is cut off, and the kernel's buffer for it is
  bounded;
- of at most CONNECTIONS_MAX connections, the oldest idle one makes room for a new one; if none is idle, the new one is
  refused.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from headway import errors

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp

__all__ = ["listen", "serve"]

CONNECTIONS_MAX = 512
BACKLOG = 128  # how many are accepted at once
REQUEST_S = 10.0
STUCK_S = 20.0
SEND_BUFFER_BYTES = 128 * 1024
REQUEST_BYTES_MAX = 32 * 1024
FAREWELL_S = 2
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n"
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"code":"too-many-connections",'
    b'"detail":"the server has as many connections as it holds: try again later"}'
)


class _Protocol(H11Protocol):
    """One connection."""

    _quiet_since: float | None = None  # whether it is idle, and since when (monotonic)
    _patience: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        full = len(self.connections) >= CONNECTIONS_MAX
        super().connection_made(transport)
        self._note_quiet()
        if full and not self._make_room():
            transport.write(_BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_patience()
        self._cancel_stuck()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._note_quiet()

    def on_response_complete(self) -> None:
        self._cancel_patience()
        super().on_response_complete()
        self._note_quiet()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_stuck()

    # -------------------------------------------------------------------------------------------------------- requests

    def _note_quiet(self) -> None:
        """Start the time limit of an idle connection: it runs until a request is complete, whatever parts arrive."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._cancel_patience()
        elif self._patience is None and not self.transport.is_closing():
            self._quiet_since = self.loop.time()
            self._patience = self.loop.call_later(REQUEST_S, self._lose_patience)

    def _lose_patience(self) -> None:
        if self.transport.get_write_buffer_size():  # it still reads its answer: that has its own limit
            self._patience = self.loop.call_later(REQUEST_S, self._lose_patience)
        else:
            self.transport.abort()

    def _cancel_patience(self) -> None:
        self._quiet_since = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _make_room(self) -> bool:
        quiet = [
            (one._quiet_since, id(one), one)
            for one in cast("set[_Protocol]", self.connections)
            if one is not self and one._quiet_since is not None and not one.transport.is_closing()
        ]
        if quiet:
            min(quiet)[2].transport.abort()
        return bool(quiet)

    # --------------------------------------------------------------------------------------------------------- answers

    def _watch_writing(self, before: int | None = None) -> None:
        size = self.transport.get_write_buffer_size()
        if before is not None and size >= before:
            self.transport.abort()
        else:
            self._stuck = self.loop.call_later(STUCK_S, self._watch_writing, size)

    def _cancel_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. port: 0 = any free one. Raises HeadwayError with the remedy."""
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise errors.HeadwayError(f"{host!r} is no address of this machine ({error.strerror}): see --host") from None
    family, kind, protocol, _, address = places[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise errors.HeadwayError(f"{host} is no address of this machine: choose one with --host") from None
        raise errors.HeadwayError(
            f"port {port} of {host} is not available ({error.strerror}): choose another one with --port, or --port 0"
        ) from None
    return listening


class _Server(uvicorn.Server):
    """Reports when it serves: from then on a signal ends it in good order; and when it has ended."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], ended: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started
        self._ended = ended

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ended()
        await super().shutdown(sockets)


def serve(app: ASGIApp, listening: socket.socket, started: Callable[[], None], ended: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, which it raises again when all is closed: no code of the caller runs after it.

    started: called once it serves; ended: called when it no longer does.
    """
    config = uvicorn.Config(
        cast("Any", app),
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing depends on what a proxy says
        backlog=BACKLOG,
        timeout_graceful_shutdown=FAREWELL_S,
        h11_max_incomplete_event_size=REQUEST_BYTES_MAX,
    )
    _Server(config, started, ended).run(sockets=[listening])
