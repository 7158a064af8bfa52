"""Analyses that are not on the board any more: those of its last snapshot, where its shared memory is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from headway import _paths, errors, snapshot
from headway.analysis.document import document_of, progress
from headway.analysis.model import AnalysisProgress
from headway.board import Board
from headway.model import BoardView, TaskView

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
        """Those that began since then, by their ids."""
        view = self._snapshot(board)
        for task in () if view is None else view.tasks:
            if (task.created or 0.0) >= limit:
                yield task.id, progress(task, self._directory(), gone=True)

    def exists(self) -> bool:
        """Is there anything?"""
        return self._snapshot(None) is not None

    def _directory(self) -> Path:
        return _paths.board_directory(self._name)

    def _find(self, id: str, board: Board | None) -> TaskView | None:
        view = self._snapshot(board)
        return None if view is None else view.get(id)

    def _snapshot(self, board: Board | None) -> BoardView | None:
        """The last snapshot, if it is not of this board: that knows better what is on it."""
        path = self._directory() / snapshot.SNAPSHOT
        try:
            found = path.stat()
            seen = (str(path), found.st_ino, found.st_mtime_ns)
            if self._read is None or self._read[0] != seen:
                self._read = seen, snapshot.read(path.parent)
        except (errors.HeadwayError, OSError):
            return None
        view = self._read[1]
        return None if board is not None and view.uuid == board._segment.uuid else view
