"""Analyses as the last snapshot of a board has them: for programs that only watch, without its shared memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR
from headway.analysis.document import PartGone, key_of, progress
from headway.analysis.model import AnalysisProgress
from headway.analysis.values import hours_of, id_of
from headway.files import snapshot
from headway.system import paths
from headway.views.board_view import BoardView

__all__ = ["AnalysisSnapshots"]

TRIES = 10
NEXT_S = 0.1  # the recorder writes several snapshots a second

Found = TypeVar("Found")


class AnalysisSnapshots:
    """The analyses of the SharedMemoryProgressTracker on a board of this name, read only from files.

    Its calls return what those of a tracker do, a fraction of a second late, and change nothing. Without files there
    are no analyses. They raise DamagedSnapshot, DamagedHistory, LayoutMismatch, NotOwner, LockTimeout, OSError;
    ValueError for an empty id.
    directory: that of the board; default: the usual directory of a board of this name.
    """

    def __init__(self, board: str = "analysis", *, directory: Path | None = None) -> None:
        self.name = paths.check_name(board)
        self._directory = directory

    def get_progress(self, execution_id: Any) -> AnalysisProgress | None:
        """Return the record of an analysis at the last snapshot, or at its end; None if unknown or damaged."""
        id = id_of(execution_id)
        key = key_of(id)

        def find(view: BoardView, directory: Path, partial: bool) -> AnalysisProgress | None:
            task = view.get(key)
            return None if task is None else progress(task, directory, partial=partial)

        found = self._read(find, None) or self._ended(key)
        return found if found is not None and found.execution_id == id else None

    def _ended(self, key: str) -> AnalysisProgress | None:
        """An analysis that is no longer on the board, from the history."""
        from headway.files import history  # imports SQLite, which is not needed if everything is in the snapshot

        directory = self._place()
        last = history.read(directory, id=key, limit=1)
        return progress(last[0], directory, gone=True) if last else None

    def get_all_recent(self, hours: Any = 1) -> list[AnalysisProgress]:
        """Return the analyses of the last snapshot that were started within the last `hours`, the newest first. Those
        that ended a day ago, or whose slots were reused, are only in the history.
        """
        known = hours_of(hours)
        if known <= 0:
            return []
        limit = time.time() - known * SECONDS_PER_HOUR

        def find(view: BoardView, directory: Path, partial: bool) -> list[AnalysisProgress]:
            recent = (
                progress(task, directory, partial=partial) for task in view.tasks if (task.created or 0.0) >= limit
            )
            return sorted(filter(None, recent), key=lambda record: record.start_time, reverse=True)

        return self._read(find, [])

    def _read(self, find: Callable[[BoardView, Path, bool], Found], nothing: Found) -> Found:
        """find() in the last snapshot; in the next one if a file that it names was replaced since it was written."""
        directory = self._place()
        for attempt in range(TRIES):
            try:
                return find(snapshot.read(directory), directory, attempt == TRIES - 1)
            except errors.UnknownBoard:
                return nothing
            except PartGone:
                time.sleep(NEXT_S)
        raise AssertionError("the last attempt takes what there is")

    def _place(self) -> Path:
        return self._directory or paths.board_directory(self.name)
