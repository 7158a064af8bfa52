"""Analyses that are no longer on the board: from its history, and from its last snapshot if its memory is gone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR
from headway.analysis.document import View, document_of, files_of, key_of, progress
from headway.analysis.frozen import Frozen
from headway.analysis.model import AnalysisProgress
from headway.engine.board import Board
from headway.files.changes import CHANGES
from headway.files.snapshot import SNAPSHOT, read
from headway.system import paths
from headway.tasks.ending import LEFT_OPEN
from headway.views.board_view import BoardView

__all__ = ["Past"]

SETTLED_S = 0.1  # a file written this recently may change again without a change of its times
_HISTORY = "history.sqlite3"
_COLUMNS = (
    "uuid",
    "slot",
    "generation",
    "taken_at",
    "id",
    "label",
    "state",
    "stage",
    "message",
    "error",
    "created",
    "owner_pid",
    "result",
)


class _Row:
    """A row of the history. Its columns are decoded when they are needed."""

    __slots__ = (
        "_progress",
        "created",
        "error",
        "id",
        "label",
        "message",
        "owner_pid",
        "stage",
        "state",
        "taken_at",
        "text",
    )

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.taken_at: float = values[3]
        self.id, self.label, self.state, self.stage, self.message, self.error = map(str, values[4:10])
        self.created: float = values[10] or 0.0
        self.owner_pid: int = values[11]
        self.text = values[12]
        self._progress: tuple[Frozen | None] | None = None

    @property
    def result(self) -> Any:
        return json.loads(self.text or "null")

    def progress(self, directory: Path) -> AnalysisProgress | None:
        if self._progress is None:
            read = progress(self, directory, gone=True)
            self._progress = (None if read is None else Frozen(read),)
        found = self._progress[0]
        return None if found is None else found.copy()


class _Recent:
    """The rows of the history since a moment. Read again when its files have changed; each row is decoded once."""

    def __init__(self, since: float, files: Any, rows: dict[tuple[Any, ...], _Row]) -> None:
        self.since = since
        self.files = files
        self.rows = rows


class Past:
    """The files of the board of this name. `board`, in every call: the board itself, if it is in shared memory."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._read: tuple[tuple[Any, ...], BoardView] | None = None  # the files, and what they held
        self._of = ""  # the board of the last snapshot: its later ones need not be read
        self._recent = _Recent(float("inf"), None, {})
        self._open: tuple[Any, list[str]] = (None, [])
        self._oldest: tuple[Any, float] = (None, 0.0)  # the files read; when the history's first task ended

    def get(self, id: str, board: Board | None) -> AnalysisProgress | None:
        """The last record of an analysis; None if it is unknown."""
        view = self._find(id, board)
        found = None if view is None else progress(view, self._directory(board), gone=True)
        return found if found is not None and found.execution_id == id else None

    def get_by_key(self, key: str, board: Board | None) -> AnalysisProgress | None:
        """The last record of the analysis whose task has this id."""
        view = self._find_key(key, board)
        return None if view is None else progress(view, self._directory(board), gone=True)

    def has_ended(self, id: str, board: Board | None) -> bool:
        """Did it end by a call of a tracker? Then it cannot change any more."""
        view = self._find(id, board)
        return view is not None and "end" in document_of(view)

    def left_open(self, id: str, board: Board | None) -> View | None:
        """The row of an analysis that a process left open in good order, and whose slot was reused since."""
        view = self._find(id, board)
        return view if view is not None and _is_open(view) else None

    def since(self, limit: float, board: Board | None) -> Iterator[tuple[str, AnalysisProgress | None]]:
        """The last run of each analysis that began since then, by the ids of their tasks."""
        last: dict[str, Any] = {}
        snapshot = self._snapshot(board)
        directory = self._directory(board)
        view: Any
        for view in (*(() if snapshot is None else snapshot.tasks), *self._rows(directory, limit).values()):
            if (view.created or 0.0) >= limit and (view.id not in last or _later(view, last[view.id])):
                last[view.id] = view
        for id, view in last.items():
            yield id, view.progress(directory) if isinstance(view, _Row) else progress(view, directory, gone=True)

    def open_ids(self, board: Board | None) -> list[str]:
        """The ids of the tasks of analyses that processes left open in good order, and whose slots were reused."""
        directory = self._directory(board)
        files = _stand(directory)
        if files is None:
            return []
        if self._open[0] != files:
            ids = dict.fromkeys(id for (id,) in self._columns(directory, ("id",), state="cancelled"))
            found = ((id, self._find_key(id, board)) for id in ids)
            self._open = files, [id for id, view in found if view is not None and _is_open(view)]
        return self._open[1]

    def exists(self) -> bool:
        """Is there a history or a snapshot?"""
        return self._snapshot(None) is not None or bool(self._columns(self._directory(), ("id",)))

    def comes_back(self, id: str) -> bool:
        """Is it in the snapshot that the board would be restored from, if it were opened now?"""
        snapshot = self._snapshot(None)
        return snapshot is not None and snapshot.get(key_of(id)) is not None

    def forget(self, hours: float) -> set[str]:
        """Remove what ended more than `hours` ago from the history. Returns the ids that are no longer there."""
        limit = time.time() - hours * SECONDS_PER_HOUR
        directory = self._directory()
        files = _stand(directory)
        if files is None or (self._oldest[0] == files and self._oldest[1] >= limit):
            return set()
        ends = {id: ended or archived for id, ended, archived in self._columns(directory, ("id", "ended", "archived"))}
        old = {id for id, ended in ends.items() if ended < limit}
        if not old:
            self._oldest = files, min(ends.values(), default=float("inf"))
            return set()
        from headway.files.history import Writer

        with Writer(directory) as writer:
            writer.prune(keep_hours=hours)
        return old - {id for (id,) in self._columns(directory, ("id",))}

    def files(self) -> set[str] | None:
        """The names of the files in which the history's tasks have parts; None if the history cannot be read."""
        from headway.files import history

        try:
            rows = history.read_columns(self._directory(), ("result",))
            return {name for (text,) in rows if text and '"file"' in text for name in files_of(json.loads(text))}
        except (errors.HeadwayError, OSError, ValueError, RecursionError, AttributeError):
            return None

    # ------------------------------------------------------------------------------------------------------ the files

    def _directory(self, board: Board | None = None) -> Path:
        return paths.board_directory(self._name) if board is None else board.directory

    def _find(self, id: str, board: Board | None) -> Any:
        return self._find_key(key_of(id), board)

    def _find_key(self, key: str, board: Board | None) -> Any:
        snapshot = self._snapshot(board)
        found: Any = None if snapshot is None else snapshot.get(key)
        for values in self._columns(self._directory(board), _COLUMNS, id=key):
            row = _Row(values)
            if found is None or _later(row, found):
                found = row
        return found

    def _rows(self, directory: Path, since: float) -> dict[tuple[Any, ...], _Row]:
        """The tasks that ended since then, by the first four columns, which no two tasks share."""
        files = _stand(directory)
        if files is None:
            return {}
        known = self._recent
        if known.files == files and known.since <= since:
            return known.rows
        hours = max(0.0, time.time() - since) / SECONDS_PER_HOUR if since > 0 else None
        rows = {}
        for values in self._columns(directory, _COLUMNS, hours=hours):
            place = values[:4]
            rows[place] = known.rows.get(place) or _Row(values)
        self._recent = _Recent(since, files, rows)
        return rows

    def _columns(
        self,
        directory: Path,
        columns: tuple[str, ...],
        *,
        hours: float | None = None,
        id: str | None = None,
        state: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """The tasks of the history that can be read. hours: only those that ended within this time."""
        if not (directory / _HISTORY).exists():
            return []
        from headway.files import history  # imports SQLite, which is not needed if everything is on the board

        with suppress(errors.HeadwayError, OSError):
            return history.read_columns(directory, columns, id=id, hours=hours, state=state)
        return []

    def _snapshot(self, board: Board | None) -> BoardView | None:
        """The last snapshot, unless it is of this board, whose shared memory is newer."""
        if board is not None and board._segment.uuid == self._of:
            return None
        directory = self._directory(board)
        try:
            found = (directory / SNAPSHOT).stat()
            seen = (str(directory), found.st_ino, found.st_mtime_ns, *_stand_of_changes(directory))
            if self._read is None or self._read[0] != seen:
                self._read = seen, read(directory)
        except (errors.HeadwayError, OSError):
            return None
        view = self._read[1]
        if board is not None and view.uuid == board._segment.uuid:
            self._of = view.uuid  # so are all later ones, as long as the board is there
        return None if board is not None and view.uuid == board._segment.uuid else view


def _is_open(view: View) -> bool:
    return view.state == "cancelled" and view.error in LEFT_OPEN and "end" not in document_of(view)


def _later(one: Any, other: Any) -> bool:
    return (one.created or 0.0, one.taken_at) > (other.created or 0.0, other.taken_at)


def _stand_of_changes(directory: Path) -> tuple[int, ...]:
    try:
        found = (directory / CHANGES).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns


def _stand(directory: Path) -> Any:
    """A value that changes when the history changes; None without a history."""
    found: list[tuple[int, int, int]] = []
    newest = 0.0
    for name in (_HISTORY, f"{_HISTORY}-wal"):
        try:
            one = os.stat(f"{directory}/{name}")
        except OSError:
            if not found:
                return None
            continue
        found.append((one.st_ino, one.st_size, one.st_mtime_ns))
        newest = max(newest, one.st_mtime)
    return tuple(found) if time.time() - newest > SETTLED_S else object()
