"""Analyses that are not on the board any more: of its history, and of its last snapshot where its memory is gone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR, age_limit
from headway.analysis.document import document_of, files_of, progress
from headway.analysis.model import AnalysisProgress
from headway.engine.board import Board
from headway.files.snapshot import SNAPSHOT, read
from headway.system import paths
from headway.views.board_view import BoardView, TaskView

__all__ = ["Past"]


class Past:
    """The files of the board of this name. `board`, in every call: the board itself, if it is in shared memory."""

    __slots__ = ("_name", "_read")

    def __init__(self, name: str) -> None:
        self._name = name
        self._read: tuple[tuple[str, int, int], BoardView] | None = None  # of which file

    def get(self, id: str, board: Board | None) -> AnalysisProgress | None:
        """What an analysis looked like last; None if it is unknown."""
        view = self._find(id, board)
        return None if view is None else progress(view, self._directory(), gone=True)

    def has_ended(self, id: str, board: Board | None) -> bool:
        """Did it end by a call? Then there is nothing left to change."""
        view = self._find(id, board)
        return view is not None and "end" in document_of(view)

    def since(self, limit: float, board: Board | None) -> Iterator[tuple[str, AnalysisProgress | None]]:
        """The last run of each that began since then, by their ids."""
        last: dict[str, TaskView] = {}
        hours = (age_limit(0) - limit) / SECONDS_PER_HOUR
        snapshot = self._snapshot(board)
        for view in (*(() if snapshot is None else snapshot.tasks), *self._history(hours=hours)):
            if (view.created or 0.0) >= limit and (view.id not in last or _later(view, last[view.id])):
                last[view.id] = view
        for id, view in last.items():
            yield id, progress(view, self._directory(), gone=True)

    def exists(self) -> bool:
        """Is there anything?"""
        return self._snapshot(None) is not None or bool(self._history(limit=1))

    def comes_back(self, id: str) -> bool:
        """Is it in the snapshot with which the board would begin, if it were opened now?"""
        snapshot = self._snapshot(None)
        return snapshot is not None and snapshot.get(id) is not None

    def forget(self, hours: float) -> set[str]:
        """Remove what ended more than `hours` ago from the history. Returns the ids that are not there any more."""
        limit = age_limit(hours)
        old = {view.id for view in self._history() if (view.ended or view.taken_at) < limit}
        if not old:
            return set()
        from headway.files.history import Writer

        with Writer(self._directory()) as writer:
            writer.prune(keep_hours=hours)
        return old - {view.id for view in self._history()}

    def files(self) -> set[str] | None:
        """The names of the files that the history's tasks have parts in; None if that cannot be told."""
        from headway.files import history

        try:
            views = history.read(self._directory())
        except (errors.HeadwayError, OSError):
            return None
        return {name for view in views for name in files_of(document_of(view))}

    # ------------------------------------------------------------------------------------------------------ the files

    def _directory(self) -> Path:
        return paths.board_directory(self._name)

    def _find(self, id: str, board: Board | None) -> TaskView | None:
        snapshot = self._snapshot(board)
        found = None if snapshot is None else snapshot.get(id)
        for view in self._history(id=id):
            if found is None or _later(view, found):
                found = view
        return found

    def _history(self, *, id: str | None = None, hours: float = math.inf, limit: int | None = None) -> list[TaskView]:
        """What can be read of the history. hours: of those that ended within so many."""
        from headway.files import history  # SQLite, which who finds everything on the board does not need

        with suppress(errors.HeadwayError, OSError):
            known = hours if math.isfinite(hours) else None
            return [*history.read(self._directory(), id=id, hours=known, limit=limit)]
        return []

    def _snapshot(self, board: Board | None) -> BoardView | None:
        """The last snapshot, if it is not of this board: that knows better what is on it."""
        path = self._directory() / SNAPSHOT
        try:
            found = path.stat()
            seen = (str(path), found.st_ino, found.st_mtime_ns)
            if self._read is None or self._read[0] != seen:
                self._read = seen, read(path.parent)
        except (errors.HeadwayError, OSError):
            return None
        view = self._read[1]
        return None if board is not None and view.uuid == board._segment.uuid else view


def _later(one: TaskView, other: TaskView) -> bool:
    return (one.created or 0.0, one.taken_at) > (other.created or 0.0, other.taken_at)
