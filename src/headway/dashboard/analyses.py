"""The analysis API: the analyses on the board of headway.analysis, from its snapshot.

Programs that were written against the older trackers ask here, so answers have what these expect, and no more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from headway import errors
from headway.analysis.snapshots import AnalysisSnapshots
from headway.dashboard.answer import HOURS_MOST, number_of, unreadable
from headway.dashboard.encode import encode
from headway.dashboard.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from headway.dashboard.feed import Feed

__all__ = ["Analyses"]

BOARD = "analysis"
Found = TypeVar("Found")


class Analyses:
    """Two routes."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def one(self, request: Request) -> Response:
        """One analysis, or 404."""
        id = request.path_params["id"]
        unknown = Problem(404, "unknown-execution", f"there is no analysis {id!r}: '/api/analysis/recent' lists some")
        try:
            found = await self._ask(lambda reader: reader.get_progress(id))
        except ValueError:
            found = None  # none can have such an id
        except Problem as problem:
            return problem.response(error=problem.detail)
        return unknown.response(error=unknown.detail) if found is None else _plain(found.to_dict())

    async def recent(self, request: Request) -> Response:
        """Those that were started lately, the newest first."""
        try:
            hours = number_of(request, "hours", 1.0, HOURS_MOST)
            found = await self._ask(lambda reader: reader.get_all_recent(hours))
        except Problem as problem:
            return problem.response(error=problem.detail)
        analyses = [one.to_dict() for one in found or []]
        return _plain({"analyses": analyses, "count": len(analyses)})

    async def _ask(self, ask: Callable[[AnalysisSnapshots], Found]) -> Found | None:
        """What the board tells; None if there is no such board."""
        self._feed.start()
        await self._feed.look({BOARD})
        known = self._feed.boards.known.get(BOARD)
        if known is None:
            return None
        reader = AnalysisSnapshots(BOARD, directory=known.found.directory)
        async with self._feed.digging:  # it may have to wait for the next snapshot
            try:
                return await asyncio.to_thread(ask, reader)
            except (errors.HeadwayError, OSError) as error:
                raise unreadable(error) from None


def _plain(fields: Any) -> Response:
    return Response(encode(fields), media_type="application/json")
