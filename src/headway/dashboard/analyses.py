"""The analysis API: analyses of the trackers of headway.analysis, from the snapshot of their board and from files.

Programs that were written for the older trackers use it, so answers have exactly the fields that these expect.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.responses import Response

from headway import errors
from headway.analysis.files import reader_of
from headway.analysis.snapshots import AnalysisSnapshots
from headway.dashboard.answer import unreadable
from headway.dashboard.encode import encode
from headway.dashboard.problem import Problem

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from starlette.requests import Request

    from headway.analysis.model import AnalysisProgress
    from headway.dashboard.feed import Feed

__all__ = ["Analyses"]

BOARD = "analysis"
SOURCES = ("all", "board", "files")
Found = TypeVar("Found")


class Reader(Protocol):
    """A source of analyses."""

    def get_progress(self, execution_id: Any) -> AnalysisProgress | None: ...
    def get_all_recent(self, hours: Any = 1) -> list[AnalysisProgress]: ...


class Analyses:
    """The two routes. folder: of a file tracker, or the directory that holds it; None: only the board's analyses."""

    def __init__(self, feed: Feed, folder: str | os.PathLike[str] | None = None) -> None:
        self._feed = feed
        self._files = None if folder is None else reader_of(folder)

    async def one(self, request: Request) -> Response:
        """One analysis, or 404."""
        id = request.path_params["id"]
        unknown = Problem(404, "unknown-execution", f"there is no analysis {id!r}: '/api/analysis/recent' lists some")
        try:
            found = await self._ask(lambda reader: reader.get_progress(id))
        except ValueError:
            found = []  # no analysis can have such an id
        except Problem as problem:
            return problem.response(error=problem.detail)
        known = [one for one in found if one is not None]
        if not known:
            return unknown.response(error=unknown.detail)
        return _plain(max(known, key=lambda one: one.start_time).to_dict())

    async def recent(self, request: Request) -> Response:
        """The analyses that were started recently, the newest first."""
        try:
            hours = _hours(request)
            board, *files = await self._ask(lambda reader: reader.get_all_recent(hours), _source(request))
        except Problem as problem:
            return problem.response(error=problem.detail)
        in_memory = {one.execution_id: one for one in board or ()}
        in_files = {one.execution_id: one for one in (files[0] if files else None) or ()}
        for id in in_memory.keys() & in_files.keys():  # it is in both trackers
            older = in_memory if in_memory[id].start_time < in_files[id].start_time else in_files
            del older[id]
        found = sorted((*in_memory.values(), *in_files.values()), key=lambda one: one.start_time, reverse=True)
        return _plain(
            {
                "analyses": [one.to_dict() for one in found],
                "count": len(found),
                "memory_count": len(in_memory),
                "file_count": len(in_files),
            }
        )

    async def _ask(self, ask: Callable[[Reader], Found], source: str = "all") -> list[Found | None]:
        """The analyses of the board and of the folder; None for a board that does not exist, or was not asked for."""
        self._feed.start()
        known = None
        if source != "files":
            await self._feed.look({BOARD})
            known = self._feed.boards.known.get(BOARD)
        readers: list[Reader | None] = [
            None if known is None else AnalysisSnapshots(BOARD, directory=known.found.directory)
        ]
        if self._files is not None and source != "board":
            readers.append(self._files)
        async with self._feed.digging:  # it may have to wait for the next snapshot
            try:
                return [None if reader is None else await asyncio.to_thread(ask, reader) for reader in readers]
            except (errors.HeadwayError, OSError) as error:
                raise unreadable(error) from None


def _hours(request: Request) -> float:
    """The parameter `hours`: any number, 1 by default. Raises Problem."""
    text = request.query_params.get("hours", "1")
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if math.isnan(hours):
        raise Problem(422, "bad-parameter", f"hours {text!r:.100} is not a number")
    return hours


def _source(request: Request) -> str:
    """The parameter `source`: where to look. Raises Problem."""
    text = request.query_params.get("source", SOURCES[0])
    if text not in SOURCES:
        raise Problem(422, "bad-parameter", f"source {text!r:.100} is unknown: choose one of {', '.join(SOURCES)}")
    return text


def _plain(fields: Any) -> Response:
    return Response(encode(fields), media_type="application/json")
