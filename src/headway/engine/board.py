"""A board as its program sees it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headway.engine import attached, claims, segments
from headway.engine.attached import Attachment
from headway.engine.restore import restore
from headway.engine.task import Task, create
from headway.native import core
from headway.process import launch
from headway.process import live as live_bars
from headway.system import paths, support
from headway.tasks import checks
from headway.tasks.states import STATES
from headway.views.board_view import BoardView
from headway.views.task_view import Raw, TaskView

if TYPE_CHECKING:
    from headway.files.history import PastTask

__all__ = ["Board", "board_of", "known", "open_board", "open_or_make"]

_boards: dict[tuple[Path, str], Board] = {}  # one object per process, directory and name


class Board:
    """One named board: tasks of all processes that open it. Made by headway.open; closed with close().

    `id in board` asks whether a task is there, `len(board)` how many are; iterating gives their views. A board pickles
    as its name and directory, and opens on first use where it is unpickled.
    """

    __module__ = "headway"
    __slots__ = ("_attachment", "directory", "name")

    def __init__(self, segment: core.Segment, directory: Path) -> None:
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
        """Attach to the board of this name and directory, which this object was unpickled for."""
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
        return True  # an empty one is a board, too

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
        resume: bool = False,
        join: bool = False,
    ) -> Task:
        """Create a task, owned by this process. It is pending until it is entered, counted on or written to.

        id: 1 to 95 bytes of UTF-8 without NUL; total: items, None = unknown; unit: of an item; label: for people,
        default the id. An id that ended or was lost starts anew; with resume=True one that failed, was cancelled or
        was lost goes on instead (see Task.resumed_from).

        join: for programs of which several processes begin at once, as servers, MPI ranks and jobs do: the first one
        creates the task, and owns it; all others get a handle on the one that goes on, and the other arguments have no
        effect. Who joined owns nothing: a `with` of that handle makes it the current task, and does not end it. One
        that has ended or was lost starts anew, or goes on with resume=True, by exactly one; the others join that.

        Raises headway.errors.TaskExists if the id runs, and join is False; headway.errors.BoardFull,
        headway.errors.LockTimeout, headway.errors.BoardClosed, TypeError, ValueError.
        """
        return create(self._attachment or self._at, id, total, unit, "" if label is None else label, resume, join, None)

    def _restart(self, id: str, label: str) -> Task:
        """Create a task in place of one of the same id, whatever its state: who carried that one finds it gone."""
        return Task._of(self._at, *claims.restart(self._at, id, label), id)

    def _handle(self, index: int, generation: int, id: str) -> Task:
        return Task._of(self._at, index, generation, id)

    def attach(self, id: str) -> Task:
        """Return a handle on a task that exists, whoever owns it. Raises headway.errors.UnknownTask (a KeyError)."""
        at = self._at
        found = at.opened().find(checks.check_id(id))
        if found is None:
            raise checks.unknown_task(id, self.name)
        return Task._of(at, *found, id)

    def get(self, id: str) -> TaskView | None:
        """Return what a task shows at this moment, or None if there is no such task."""
        at = self._attachment or self._at
        segment = at.segment if not at.segment.closed else at.opened()
        copied = segment.copy_found(id if type(id) is str else checks.check_id(id))
        return None if copied is None else at.view_of(copied)

    def tasks(self, state: str | None = None) -> list[TaskView]:
        """Return the views of all tasks, or of those in one state, in the order of their creation."""
        if state is not None:
            checks.check_state(state, STATES)
        return [task for task in self.snapshot().tasks if state is None or task.state == state]

    # -------------------------------------------------------------------------------------------------------- views

    def snapshot(self) -> BoardView:
        """Return one consistent copy of the board. Rates are weighted towards what changed since the last one."""
        return BoardView.from_raw(self._copy())

    def _copy(self, *, results: bool = True) -> Raw:
        return self._at.copy(results=results)

    def watch(self, interval: float = 0.25) -> Iterator[BoardView]:
        """Yield a snapshot every `interval` seconds, until the board is closed here or removed."""
        checks.check_interval(interval)
        due = time.monotonic()
        while not (self._segment.closed or self._segment.retired):
            yield self.snapshot()
            due = max(due + interval, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def live(self) -> AbstractContextManager[None]:
        """Show the board while a `with` block goes on, below what the program prints.

        On a terminal its last lines are bars of all processes; in a notebook an output of the cell is; elsewhere lines
        on standard error tell how far it is. A helper process draws: there is no thread, nothing is redirected, and
        pools may be started inside. Of blocks inside each other the outermost draws; workers draw nothing. Raises
        headway.errors.BoardClosed.
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
        """Mark tasks as lost whose owner and workers are all dead. Returns their ids."""
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

        hours: only what ended within so many hours, None = all; id, state: only these; limit: so many at most. Tasks
        come there within a second of their end if the board is recorded. Raises ValueError,
        headway.errors.DamagedHistory, headway.errors.LayoutMismatch, headway.errors.NotOwner,
        headway.errors.LockTimeout, OSError.
        """
        from headway.files import history

        return history.read(self.directory, hours=hours, id=id, state=state, limit=limit)

    # ---------------------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Leave the board in good order: open tasks of this process are cancelled, unless others count on them.

        Handles stay safe: a late update counts nothing, a late status write raises headway.errors.BoardClosed.
        Idempotent.
        """
        with attached.guard:
            at = self._attachment
            if at is None:
                return  # unpickled, and never used
            if not at.segment.closed:
                claims.end_owned(at, "left open at close", None)
                at.segment.close()
            for place in [place for place, board in _boards.items() if board._attachment is at]:
                del _boards[place]
            attached.forget(at)

    def remove(self, files: bool = False) -> None:
        """Remove the board for everyone, as `headway rm` does: who still uses it counts into the void, and is told so.

        files: remove its snapshots and its history, too. Raises headway.errors.LockTimeout, OSError.
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
    """The attachment of this process to the segment that was just attached to; another one may have led here first."""
    at = attached.known(segment.uuid)
    if at is None or at.segment.closed:
        at = Attachment(segment, directory)
        attached.add(at)
    elif at.segment is not segment:
        at.segment.register(with_row=False)  # before the other one goes: somebody is present all the time
        segment.close()
    return at


def _on(at: Attachment) -> Board:
    board = Board.__new__(Board)
    board._attachment = at
    board.name = at.segment.name
    board.directory = at.directory
    return board


def _unpickled(name: str, directory: str) -> Board:
    """The board of this process, if it is open; else one that opens on first use. Touches nothing."""
    known = _boards.get((Path(directory), name))
    if known is not None:
        return known
    board = Board.__new__(Board)
    board._attachment = None
    board.name = name
    board.directory = Path(directory)
    return board


def known(uuid: str) -> Board | None:
    """The open board of this process on a segment, if there is one."""
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
    record: bool = True,
) -> Board:
    """As headway.open, but whether Headway is switched off, or can work here at all, is not asked."""
    name = paths.default_name() if name is None else paths.check_name(name)
    given = {"capacity": capacity, "workers": workers, "result_bytes": result_bytes}
    board, present = _opened(name, given, record)
    if present is not None:
        _tell_differences(present, given)
    return board


def open_or_make(name: str, *, capacity: int, result_bytes: int) -> Board:
    """Open a board whatever its sizes are; these are for one that has to be made."""
    return _opened(name, {"capacity": capacity, "result_bytes": result_bytes}, record=True)[0]


def _opened(name: str, given: dict[str, int | None], record: bool) -> tuple[Board, core.Segment | None]:
    """The board, and its segment if that was there already."""
    geometry = checks.board_geometry(**given)
    with attached.guard:
        directory = paths.board_directory(name)
        board = _boards.get((directory, name))
        if board is not None:
            segment = board._segment
            if not segment.closed and not segment.retired:
                segment.register(with_row=False)  # a forked child is nobody yet
                if not segment.retiring:
                    return board, segment
        segment, directory, created = segments.open_or_create(name, fill=restore, **geometry)
        at = _shared(segment, directory)
        board = _boards.get((directory, name))
        if board is None or board._attachment is not at:
            board = _boards[directory, name] = _on(at)
        if record and launch.wanted():
            at.segment.want_recorder()
            launch.ensure(at.segment)
    return board, None if created else at.segment


_told: set[str] = set()  # the boards, by uuid, of which it was said that other sizes have no effect


def _tell_differences(segment: core.Segment, given: dict[str, int | None]) -> None:
    present = {what: getattr(segment, what) for what in given}
    text = checks.differences(segment.name, present, given)
    if text is not None and segment.uuid not in _told:
        _told.add(segment.uuid)
        warnings.warn(text, RuntimeWarning, stacklevel=support.stacklevel())
