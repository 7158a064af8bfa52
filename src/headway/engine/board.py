"""The class Board: a board in shared memory, as a program uses it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.engine import attached, claims, segments, uses
from headway.engine.attached import Attachment
from headway.engine.restore import restore
from headway.engine.task import Task, create
from headway.files import retention
from headway.native import core
from headway.process import launch
from headway.process import live as live_bars
from headway.system import paths
from headway.tasks import checks
from headway.tasks.ending import LEFT_AT_CLOSE
from headway.tasks.states import STATES
from headway.views.board_view import BoardView
from headway.views.task_view import Raw, TaskView

if TYPE_CHECKING:
    from headway.files.history import PastTask

__all__ = ["Board", "board_of", "known", "open_board", "open_or_make"]

_boards: dict[tuple[Path, str], Board] = {}  # one object per process, directory and name


class Board:
    """A named board: the tasks of all processes that open it. Made by headway.open; closed with close().

    `id in board` tells whether a task exists, `len(board)` how many there are; iterating gives their views. A board is
    pickled as its name and directory; an unpickled one opens on first use.
    """

    __module__ = "headway"
    __slots__ = ("_attachment", "directory", "name")

    def __init__(self, segment: core.Segment | None = None, directory: Path | None = None) -> None:
        if not isinstance(segment, core.Segment) or directory is None:
            raise TypeError("a Board is made by headway.open(name)")
        self._attachment: Attachment | None = Attachment(segment, directory)
        self.name: str = segment.name
        self.directory = directory

    @property
    def _at(self) -> Attachment:
        at = self._attachment
        return self._open_here() if at is None else at

    @property
    def _segment(self) -> core.Segment:
        return self._at.segment

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.name, str(self.directory))

    def _open_here(self) -> Attachment:
        """Attach to the board whose name and directory this object was unpickled with."""
        with attached.guard:
            if self._attachment is None:
                other = _boards.get((self.directory, self.name))
                if other is not None and not other._segment.closed and not other._segment.retired:
                    self._attachment = other._at
                    return other._at
                segment = segments.join(self.directory, self.name)
                if segment is None:
                    raise attached.board_gone(self.name)
                self._attachment = _shared(segment, self.directory)
                _boards[self.directory, self.name] = self
            return self._attachment

    def __repr__(self) -> str:
        if self._attachment is None:
            return f"<headway.Board {self.name!r}, opened on first use>"
        return f"<headway.Board {self.name!r}, {self._segment.capacity} slots>"

    def _repr_html_(self) -> str:
        html: str = self.snapshot()._repr_html_()
        return html

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._at.opened().find(checks.check_id(id)) is not None

    def __len__(self) -> int:
        from headway.native.records import RECORD_BYTES

        return len(self._copy(results=False).tasks) // RECORD_BYTES["tasks"]

    def __bool__(self) -> bool:
        return True  # also without tasks

    def __iter__(self) -> Iterator[TaskView]:
        return iter(self.snapshot().tasks)

    # -------------------------------------------------------------------------------------------------------- tasks

    def task(
        self,
        id: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        stall_after: float | None = None,
        resume: bool = False,
        join: bool = False,
    ) -> Task:
        """Create a task, owned by this process. It is pending until it is entered, counted on or written to.

        id: 1 to 95 bytes of UTF-8 without NUL; total: number of items, None = unknown; unit: the name of an item;
        label: shown to people, default the id; stall_after: seconds without a sign of life after which it is called
        stalled, math.inf for never; default: what the board was opened with, else three times as long as its slowest
        item took so far, and 10 s at least. If a task of this id has ended or was lost, a new one replaces it; with
        resume=True, a task that failed, was cancelled or was lost continues instead (see Task.resumed_from).

        join: for programs whose processes all start at once (servers, MPI ranks, cluster jobs). The first process
        creates and owns the task; the others get a handle on it, and their other arguments have no effect. A handle
        that joined does not own the task: a `with` block of it makes it the current task, but does not end it. If the
        task has ended or was lost, exactly one process starts it anew (or, with resume=True, resumes it), and the
        others join it.

        Raises headway.errors.TaskExists if a task of this id is open and join is False; headway.errors.BoardFull,
        headway.errors.LockTimeout, headway.errors.BoardClosed, TypeError, ValueError.
        """
        label = "" if label is None else label
        return create(self._attachment or self._at, id, total, unit, label, stall_after, resume, join, None)

    def _restart(self, id: str, label: str) -> Task:
        """Create a task, replacing one of the same id in any state: processes that work on that one find it gone."""
        return Task._of(self._at, *claims.restart(self._at, id, label), id)

    def _handle(self, index: int, generation: int, id: str) -> Task:
        return Task._of(self._at, index, generation, id)

    def attach(self, id: str) -> Task:
        """Return a handle on an existing task, whoever owns it. Raises headway.errors.UnknownTask (a KeyError)."""
        at = self._at
        found = at.opened().find(checks.check_id(id))
        if found is None:
            raise checks.unknown_task(id, self.name)
        return Task._of(at, *found, id)

    def get(self, id: str) -> TaskView | None:
        """Return a view of a task at this moment, or None if there is no such task."""
        at = self._attachment or self._at
        segment = at.segment if not at.segment.closed else at.opened()
        copied = segment.copy_found(id if type(id) is str else checks.check_id(id))
        return None if copied is None else at.view_of(copied)

    def tasks(self, state: str | None = None) -> list[TaskView]:
        """Return views of all tasks, or of those in one state, in the order of their creation."""
        if state is not None:
            checks.check_state(state, STATES)
        return [task for task in self.snapshot().tasks if state is None or task.state == state]

    # -------------------------------------------------------------------------------------------------------- views

    def snapshot(self) -> BoardView:
        """Return one consistent copy of the board. Its rates give more weight to what was counted recently."""
        return BoardView.from_raw(self._copy())

    def _copy(self, *, results: bool = True) -> Raw:
        return self._at.copy(results=results)

    def watch(self, interval: float = 0.25) -> Iterator[BoardView]:
        """Yield a snapshot every `interval` seconds, until the board is removed, or closed in this process.

        Raises TypeError and ValueError for anything but a positive number, at the call.
        """
        checks.check_interval(interval)
        return self._views(interval)

    def _views(self, interval: float) -> Iterator[BoardView]:
        due = time.monotonic()
        while not (self._segment.closed or self._segment.retired):
            yield self.snapshot()
            due = max(due + interval, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def live(self) -> AbstractContextManager[None]:
        """Show the board during a `with` block, below what the program prints.

        On a terminal, bars for the tasks of all processes fill its last lines; in a notebook, an output of the cell
        shows them; elsewhere, lines on standard error report the progress. A helper process draws: no thread is
        started, no stream is redirected, and pools may be started inside the block. Of nested blocks only the outermost
        draws; workers draw nothing. Raises headway.errors.BoardClosed.
        """
        return live_bars.Live(self._at.opened())

    def write_snapshot(self) -> Path:
        """Write a snapshot to the board's directory, atomically. Returns its path.

        Raises headway.errors.NoSpace, OSError.
        """
        return self._write(self._copy())

    def _write(self, raw: Raw, *, sync: bool = True, interval_s: float | None = None) -> Path:
        return claims.write_snapshot(self._at, raw, sync=sync, interval_s=interval_s)

    def reap(self) -> list[str]:
        """Mark tasks as lost if their owner and all their workers are dead. Returns their ids."""
        return claims.reap(self._at)

    def history(
        self,
        hours: float | None = 24,
        *,
        id: str | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> list[PastTask]:
        """Return finished and lost tasks from the board's history file, the newest first.

        hours: only tasks that ended in the last so many hours, None = all; id, state: only tasks with these; limit: at
        most so many. If the board is recorded, a task is in the history within a second of its end. Raises ValueError,
        headway.errors.DamagedHistory, headway.errors.LayoutMismatch, headway.errors.NotOwner,
        headway.errors.LockTimeout, OSError.
        """
        from headway.files import history

        return history.read(self.directory, hours=hours, id=id, state=state, limit=limit)

    # ---------------------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Leave the board: open tasks that this process owns are cancelled, unless other processes count on them.

        Handles stay safe: a later update counts nothing, a later status write raises headway.errors.BoardClosed.
        Idempotent.
        """
        with attached.guard:
            at = self._attachment
            if at is None:
                return  # unpickled, and never used
            if not at.segment.closed:
                claims.end_owned(at, LEFT_AT_CLOSE, None)
                at.segment.close()
                uses.end(self.directory)
            for place in [place for place, board in _boards.items() if board._attachment is at]:
                del _boards[place]
            attached.forget(at)

    def remove(self, files: bool = True) -> None:
        """Remove the board for all processes, as `headway rm` does. A process that still counts on it gets a warning.

        files: also remove its snapshots and its history; files=False keeps them.
        Raises headway.errors.LockTimeout, OSError.
        """
        at = self._at
        if not at.segment.closed:
            claims.end_owned(at, "board removed", None)
        segments.unlink(self.directory, at.segment, also=_remove_files if files else None)
        self.close()


def _remove_files(directory: Path) -> None:
    from headway.files import directory as files_of_boards  # workers need no history

    files_of_boards.remove(directory)


def _shared(segment: core.Segment, directory: Path) -> Attachment:
    """The attachment of this process to a segment that was just mapped; it may have one already, which is kept."""
    at = attached.known(segment.uuid)
    if at is None or at.segment.closed:
        at = Attachment(segment, directory)
        attached.add(at)
    elif at.segment is not segment:
        at.segment.register(with_row=False)  # before the other mapping is closed: always one is registered
        segment.close()
    return at


def _on(at: Attachment) -> Board:
    board = Board.__new__(Board)
    board._attachment = at
    board.name = at.segment.name
    board.directory = at.directory
    return board


def _unpickled(name: str, directory: str) -> Board:
    """The board of this process if it is open, else one that opens on first use. Opens nothing itself."""
    known = _boards.get((Path(directory), name))
    if known is not None:
        return known
    board = Board.__new__(Board)
    board._attachment = None
    board.name = name
    board.directory = Path(directory)
    return board


def known(uuid: str) -> Board | None:
    """The board that this process has open on a segment, if any."""
    return next((board for board in list(_boards.values()) if _is_open_on(board, uuid)), None)


def _is_open_on(board: Board, uuid: str) -> bool:
    at = board._attachment
    return at is not None and at.meta["uuid"] == uuid and not at.segment.closed


def board_of(task: Task) -> Board:
    """The board that a task is on. Raises headway.errors.BoardClosed if it is gone."""
    at = task._attachment()
    for board in list(_boards.values()):
        if board._attachment is at:
            return board
    return _on(at)


def open_board(
    name: str | None = None,
    *,
    capacity: int | None = None,
    workers: int | None = None,
    result_bytes: int | None = None,
    stall_after: float | None = None,
    record: bool = True,
) -> Board:
    """As headway.open, without the check whether Headway is switched off or unsupported here."""
    name = paths.default_name() if name is None else paths.check_name(name)
    given = {"capacity": capacity, "workers": workers, "result_bytes": result_bytes}
    stall_after_ns = checks.check_stall_after(stall_after)
    board, present = _opened(name, given, record)
    if stall_after_ns:
        board._segment.stall_after_ns = stall_after_ns
    if present is not None:
        _tell_differences(present, given)
    return board


def open_or_make(
    name: str, *, capacity: int | None = None, workers: int | None = None, result_bytes: int | None = None
) -> Board:
    """Open a board whatever its sizes are; the sizes given here are used only if it has to be created."""
    given = {"capacity": capacity, "workers": workers, "result_bytes": result_bytes}
    return _opened(name, given, record=True)[0]


def _opened(name: str, given: dict[str, int | None], record: bool) -> tuple[Board, core.Segment | None]:
    """The board, and its segment if that existed before."""
    geometry = checks.board_geometry(**given)
    if record:
        retention.chosen()  # a recorder could tell nobody that it is wrong
    with attached.guard:
        directory = paths.board_directory(name)
        board = _boards.get((directory, name))
        if board is not None:
            segment = board._segment
            if not segment.closed and not segment.retired:
                segment.register(with_row=False)  # a forked child is not registered yet
                if not segment.retiring:
                    return board, segment
        segment, directory, created = segments.open_or_create(name, fill=restore, **geometry)
        uses.begin(directory, segment.uuid)
        at = _shared(segment, directory)
        board = _boards.get((directory, name))
        if board is None or board._attachment is not at:
            board = _boards[directory, name] = _on(at)
        if record and launch.wanted():
            at.segment.want_recorder()
            launch.ensure(at.segment, opens=True)
    return board, None if created else at.segment


_told: set[str] = set()  # uuids of boards whose differing sizes were warned about


def _tell_differences(segment: core.Segment, given: dict[str, int | None]) -> None:
    present = {what: getattr(segment, what) for what in given}
    text = checks.differences(segment.name, present, given)
    if text is not None and segment.uuid not in _told:
        _told.add(segment.uuid)
        warnings.warn(text, RuntimeWarning, stacklevel=errors.stacklevel())
