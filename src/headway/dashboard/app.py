"""The routes of the dashboard: a complete ASGI application, which can also be mounted in another one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from headway import errors
from headway.dashboard.analyses import Analyses
from headway.dashboard.answer import HOURS_MOST, answer, board_of, number_of, unknown_board, unreadable
from headway.dashboard.encode import encode
from headway.dashboard.feed import Feed
from headway.dashboard.openapi import document
from headway.dashboard.page import Page
from headway.dashboard.problem import Problem
from headway.dashboard.security import HEALTH, Guard, is_known
from headway.exporters.prometheus import BoardCollector
from headway.files import query as history
from headway.files import snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from headway.dashboard.state.boards import Known

__all__ = ["create_app"]

HOURS = 24.0
LIMIT, LIMIT_MOST = 200, 1000
SEND_TIMEOUT_S = 60.0  # our own server has cut off a stuck client by then; other servers may not


def create_app(
    directory: str | os.PathLike[str] | None,
    *,
    token: str | None,
    hosts: Iterable[str],
    max_listeners: int,
    analysis: str | os.PathLike[str] | None,
) -> ASGIApp:
    """See headway.dashboard.create_app."""
    dashboard = _Dashboard(Feed(directory), max_listeners, analysis)
    return Guard(dashboard.app, token=token, hosts=hosts, is_public=dashboard.is_public)


class _Dashboard:
    def __init__(self, feed: Feed, max_listeners: int, analysis: str | os.PathLike[str] | None) -> None:
        self.feed = feed
        self.max_listeners = max_listeners
        self.page = Page()
        self.openapi = encode(document())
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(BoardCollector(feed.boards.seen))
        self.analyses = Analyses(feed, analysis)
        get = ("GET",)
        self.app = Starlette(
            routes=[
                Route("/api/boards", self.boards, methods=get),
                Route("/api/boards/{board}", self.board, methods=get),
                Route("/api/boards/{board}/tasks", self.task, methods=get),
                Route("/api/boards/{board}/tasks/{id:path}", self.task, methods=get),
                Route("/api/boards/{board}/history", self.history, methods=get),
                Route("/api/events", self.events, methods=get),
                Route("/api/analysis/progress/{id:path}", self.analyses.one, methods=get),
                Route("/api/analysis/recent", self.analyses.recent, methods=get),
                Route("/metrics", self.metrics, methods=get),
                Route(HEALTH, self.health, methods=get),
                Route("/openapi.json", self.describe, methods=get),
                Route("/{path:path}", self.file, methods=get),
            ],
            exception_handlers={Problem: _problem, HTTPException: _http_problem},
            lifespan=self.lifespan,
        )

    def is_public(self, path: str) -> bool:
        """Paths that tell nothing about any board: whether the server is there, and the page without its data."""
        return path == HEALTH or self.page.has(path.removeprefix("/"))

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start to watch when the server starts. A mounted application gets no such event, and starts later."""
        self.feed.start()
        yield
        await self.feed.stop()

    # ----------------------------------------------------------------------------------------------------------- boards

    async def boards(self, _: Request) -> Response:
        self.feed.start()
        await self.feed.look()
        return answer(encode({"boards": self.feed.boards.summaries(), "error": self.feed.boards.problem}))

    async def board(self, request: Request) -> Response:
        known = await self._known(request, follow=True)
        name, followed = known.found.name, self.feed.boards.followed.get(known.found.name)
        table = None if followed is None else followed.table
        problem = known.summary["error"]
        if problem is None and table is None:
            problem = {"code": "unreadable", "detail": f"board {name!r} cannot be read now: try again"}
        if problem is not None or table is None:
            raise Problem(503, problem["code"], problem["detail"])
        fields = {"board": name, "summary": known.summary, "throughput": known.throughput.to_dict()}

        def pack() -> bytes:
            return encode({**fields, "tasks": table.rows(), "workers": list(table.workers.rows.values())})

        async with self.feed.packing:  # one request at a time: this takes a tenth of a second for 10 000 tasks
            return answer(await asyncio.to_thread(pack))

    async def task(self, request: Request) -> Response:
        id = request.path_params.get("id") or request.query_params.get("id")
        if not id:
            raise Problem(422, "bad-parameter", "which task? Say '/tasks/ID', or '/tasks?id=ID'")
        known = await self._known(request)
        name = known.found.name

        def read() -> bytes:
            view = snapshot.read(known.found.directory)  # with results, which the feed leaves out
            task = view.get(id)
            if task is None:
                return b""
            fields = task.to_dict() | known.charts.of(task.serial, list(task.metrics))
            return encode({"board": name, "taken_at": view.taken_at, "task": fields})

        body = await self._dig(read)
        if not body:
            raise Problem(404, "unknown-task", f"board {name!r} has no task {id!r}: '/api/boards/{name}' lists them")
        return answer(body)

    async def history(self, request: Request) -> Response:
        asked = request.query_params
        limit = int(number_of(request, "limit", LIMIT, LIMIT_MOST))
        hours = number_of(request, "hours", HOURS, HOURS_MOST)
        try:
            query = history.Query(
                id=asked.get("id"),
                text=asked.get("q") or None,
                states=asked.getlist("state"),
                uuid=asked.get("uuid"),
                since=time.time() - hours * 3600,
            )
        except ValueError as error:
            raise Problem(422, "bad-parameter", str(error)) from None
        known = await self._known(request)
        directory, before = known.found.directory, asked.get("before")

        def read() -> bytes:
            try:
                page = history.page(directory, query, limit=limit, before=before)
            except ValueError as error:  # no page gave this `before`
                raise Problem(422, "bad-parameter", str(error)) from None
            fits = history.count(directory, query) if before is None else None
            tasks = [task.to_dict() for task in page.tasks]
            return encode({"board": known.found.name, "tasks": tasks, "next": page.next, "count": fits})

        return answer(await self._dig(read))

    async def _known(self, request: Request, *, follow: bool = False) -> Known:
        """The requested board, as its snapshot shows it now. Raises Problem if there is no such board."""
        name = board_of(request.path_params["board"])
        self.feed.start()
        await self.feed.look({name}, follow=follow)
        known = self.feed.boards.known.get(name)
        if known is None:
            problem = self.feed.boards.problem
            raise unknown_board(name) if problem is None else Problem(503, problem["code"], problem["detail"])
        return known

    async def _dig(self, read: Callable[[], bytes]) -> bytes:
        """Read files in a thread: one request at a time, because it may have to wait for writers."""
        async with self.feed.digging:
            try:
                return await asyncio.to_thread(read)
            except (errors.HeadwayError, OSError, ValueError, RecursionError) as error:
                raise unreadable(error) from None

    # ----------------------------------------------------------------------------------------------------------- events

    async def events(self, request: Request) -> Response:
        name = request.query_params.get("board")
        if name is not None:
            board_of(name)
        return _Events(self.feed, self.max_listeners, name, request.headers.get("last-event-id", ""))

    # --------------------------------------------------------------------------------------------------------- the rest

    async def metrics(self, request: Request) -> Response:
        self.feed.start()
        await self.feed.look()
        encoder, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(self.registry), headers={"Content-Type": media_type})

    async def health(self, request: Request) -> Response:
        fields: dict[str, str | int] = {"status": "ok"}
        if is_known(request):
            fields |= {"boards": len(self.feed.boards.known), "listeners": self.feed.listeners}
        return answer(encode(fields))

    async def describe(self, _: Request) -> Response:
        return Response(self.openapi, media_type="application/json")

    async def file(self, request: Request) -> Response:
        path = request.path_params["path"]
        found = self.page.answer(path, request)
        if found is None:
            raise Problem(404, "not-found", f"there is no {path!r:.200} here")
        return found


class _Events(EventSourceResponse):
    """A stream that ends in good order when the server ends, or when its client reads nothing for too long."""

    def __init__(self, feed: Feed, listeners_max: int, name: str | None, last_id: str) -> None:
        # The feed sends its own keep-alives, which a page can see.
        super().__init__(feed.events(name, last_id), ping=3600, send_timeout=SEND_TIMEOUT_S)
        self._feed = feed
        self._listeners_max = listeners_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ended = False

        async def noting_send(message: Message) -> None:
            nonlocal ended
            await send(message)
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        with self._feed.listening(self._listeners_max) as allowed:  # counted before anything is answered
            if not allowed:
                detail = f"{self._listeners_max} listeners are connected, and no more are allowed: try again later"
                problem = Problem(503, "too-many-listeners", detail, {"Retry-After": "5"})
                await problem.response()(scope, receive, send)
                return
            with contextlib.suppress(SendTimeoutError):
                await super().__call__(scope, receive, noting_send)
                if not ended:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


def _http_problem(_: Request, error: Exception) -> Response:
    """The answer for requests that Starlette itself refuses."""
    assert isinstance(error, HTTPException)
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
    return Problem(error.status_code, code, error.detail, error.headers).response()
