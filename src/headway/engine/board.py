"""A board as its program sees it, and what happens when the program leaves."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.engine import segments
from headway.engine.restore import restore
from headway.engine.task import Task
from headway.files import archive, snapshot
from headway.native import core
from headway.native.rates import Rates
from headway.process import launch
from headway.process import live as live_bars
from headway.process.leaving import at_exit, uncaught
from headway.system import machine, paths
from headway.tasks.ending import failure_text
from headway.tasks.results import LARGE_RESULT
from headway.tasks.states import FINAL_STATES, OPEN_STATES, STATES
from headway.views.board_view import BoardView, Raw, TaskView

if TYPE_CHECKING:
    from headway.files.history import PastTask

__all__ = ["Board", "attached", "open_board", "remove_files"]

COPIES_MOST = 4  # of one snapshot, while tasks give up their places
_RESUMABLE = ("failed", "cancelled", "lost")

_boards: dict[tuple[Path, str], Board] = {}  # one object per process, directory and name
_by_uuid: dict[str, Board] = {}  # those, and boards that only a handle led to
_guard = threading.RLock()


class Board:
    """One named board: tasks of all processes that open it. Made by headway.open; closed with close()."""

    __slots__ = ("_hand_on", "_meta", "_rates", "_segment", "directory", "name")

    def __init__(self, segment: core.Segment, directory: Path) -> None:
        self.name: str = segment.name
        self.directory = directory
        self._segment = segment
        self._rates = Rates()
        self._hand_on: Callable[[Task], bool] | None = None  # who carries on, when this process leaves in good order
        self._meta = {
            "name": segment.name,
            "uuid": segment.uuid,
            "directory": str(directory),
            "host": machine.host(),
            "boot_id": segment.boot_id,
            "layout_version": core.LAYOUT_VERSION,
            "capacity": segment.capacity,
            "workers": segment.workers,
            "created_ns": segment.created_ns,
        }

    def __repr__(self) -> str:
        return f"<headway.Board {self.name!r}, {self._segment.capacity} slots>"

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------------------- tasks

    def task(
        self,
        id: str,
        *,
        total: int | None = None,
        unit: str = "it",
        label: str | None = None,
        resume: bool = False,
    ) -> Task:
        """Create a task, owned by this process. It is pending until it is entered, counted on or written to.

        id: 1 to 95 bytes of UTF-8 without NUL; total: items, None = unknown; unit: of an item; label: for people,
        default the id. An id that ended or was lost starts anew; with resume=True one that failed, was cancelled or
        was lost goes on instead (see Task.resumed_from).

        Raises TaskExists if the id runs, BoardFull, LockTimeout, ValueError.
        """
        return self._create(id, total, unit, label or "", resume)

    def _create(
        self, id: str, total: int | None, unit: str, label: str, resume: bool, parent: str | None = None
    ) -> Task:
        segment = self._open_segment()
        parent_bytes = len(parent.encode()) if parent else 0
        while True:  # each further round means that another process resumed the task first: then it is TaskExists
            index, generation, found = segment.claim(
                id, label, unit, parent_bytes, total, _RESUMABLE if resume else (), self._make_room
            )
            task = self._handle(index, generation, id)
            if found is None:
                return task
            state, owner = found
            with contextlib.suppress(errors.UnknownTask):  # started anew by another process meanwhile
                if task._transition("running", (state,), own=True, resume=True, expected_owner=owner) is not None:
                    if total is not None:
                        task.total = total
                    return task

    def _restart(self, id: str, label: str) -> Task:
        """Create a task in place of one of the same id, whatever its state: who carried that one finds it gone."""
        index, generation, _ = self._open_segment().claim(id, label, "it", archive=self._make_room, anew=True)
        return self._handle(index, generation, id)

    def _handle(self, index: int, generation: int, id: str) -> Task:
        return Task._of(self.name, self._segment.uuid, index, generation, id, self._segment)

    def attach(self, id: str) -> Task:
        """Return a handle on a task that exists, whoever owns it. Raises UnknownTask (a KeyError)."""
        found = self._open_segment().find(id)
        if found is None:
            raise errors.UnknownTask(f"board {self.name!r} has no task {id!r}: create it with board.task({id!r})")
        return self._handle(*found, id)

    def get(self, id: str) -> TaskView | None:
        """Return what a task shows at this moment, or None if there is no such task."""
        copied = self._open_segment().copy_found(id)
        return None if copied is None else self._task_view(copied)

    def _task_view(self, copied: tuple[Any, ...]) -> TaskView:
        self._rates.update(copied[1], copied[0], time.monotonic_ns())
        meta = {"name": self.name, "taken_ns": copied[0]}
        return TaskView.from_raw(tuple.__new__(Raw, (meta, *copied[1:])))  # Raw() itself takes three times as long

    def tasks(self, state: str | None = None) -> list[TaskView]:
        """Return the views of all tasks, or of those in one state, in the order of their creation."""
        if state is not None and state not in STATES:
            raise ValueError(f"state {state!r} is unknown: choose one of {', '.join(STATES)}")
        return [task for task in self.snapshot().tasks if state is None or task.state == state]

    # -------------------------------------------------------------------------------------------------------- views

    def snapshot(self) -> BoardView:
        """Return one consistent copy of the board. Rates are weighted towards what changed since the last one."""
        return BoardView.from_raw(self._copy())

    def _copy(self, *, results: bool = True) -> Raw:
        segment = self._open_segment()
        gone, raw = segment.gone, segment.copy(results)
        for _ in range(COPIES_MOST - 1):
            # A task that went while it was copied is in the copy and among those that are gone, and counts twice.
            if segment.gone == gone:
                break
            gone, raw = segment.gone, segment.copy(results)
        self._rates.update(raw[1], raw[0], time.monotonic_ns())
        told = {state: gone[STATES.index(state)] for state in FINAL_STATES}
        return Raw({**self._copy_meta(), "gone": told, "taken_ns": raw[0]}, *raw[1:])

    def _copy_meta(self) -> dict[str, Any]:
        segment = self._segment
        failed, error = segment.recorder_errors
        return {
            **self._meta,
            "sequence": segment.sequence,
            "dropped": segment.dropped,
            "retired": segment.retired,
            "recorder_pid": segment.recorder_pid if segment.recorder_alive else None,
            "recorder_errors": failed,
            "recorder_error": os.strerror(error) if error else None,
        }

    def watch(self, interval: float = 0.25) -> Iterator[BoardView]:
        """Yield a snapshot every `interval` seconds, until the board is closed here or unlinked."""
        if not interval > 0:
            raise ValueError(f"interval {interval!r} is not a positive number of seconds")
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
        BoardClosed.
        """
        return live_bars.Live(self._open_segment())

    def write_snapshot(self) -> Path:
        """Write a snapshot to the board's directory, atomically. Returns its path. Raises OSError, NoSpace."""
        return self._write(self._copy())

    def _write(self, raw: Raw, *, sync: bool = True, interval_s: float | None = None) -> Path:
        """Write a copy as the next snapshot file.

        interval_s: for a recorder, how soon it means to write another one; it writes the results apart.
        """
        meta = {**raw.meta, "sequence": self._segment.next_sequence(), "interval_s": interval_s}
        apart = interval_s is not None
        return snapshot.write(raw._replace(meta=meta), self.directory, sync=sync, results_apart=apart)

    def _make_room(self, place: tuple[int, int] | None) -> int | None:
        self.reap()
        return archive.make_room(self._segment, self.directory, self._copy_meta(), place)

    def reap(self) -> list[str]:
        """Mark tasks as lost whose owner and workers are all dead. Returns their ids."""
        segment = self._open_segment()
        lost = []
        for index, generation, owner in segment.abandoned():
            task = self._handle(index, generation, "")
            with contextlib.suppress(errors.UnknownTask):
                if task._transition("lost", ("pending", "running"), expected_owner=owner) is not None:
                    copied = segment.copy_task(index, generation)
                    if copied is not None:
                        lost.append(self._task_view(copied).id)
        return lost

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
        come there within a second of their end if the board is recorded. Raises ValueError, DamagedHistory,
        LayoutMismatch, NotOwner, LockTimeout, OSError.
        """
        from headway.files import history

        return history.read(self.directory, hours=hours, id=id, state=state, limit=limit)

    # ---------------------------------------------------------------------------------------------------------- end

    def _open_segment(self) -> core.Segment:
        if self._segment.closed:
            raise errors.BoardClosed(
                f"board {self.name!r} was closed in this process: open it again with headway.open({self.name!r})"
            )
        return self._segment

    def close(self) -> None:
        """Leave the board in good order: open tasks of this process are cancelled, unless others count on them.

        Handles stay safe: a late update counts nothing, a late status write raises BoardClosed. Idempotent.
        """
        with _guard:
            if not self._segment.closed:
                self._end_owned("left open at close", None)
                self._segment.close()
            for place in [place for place, board in _boards.items() if board is self]:
                del _boards[place]
            if _by_uuid.get(self._segment.uuid) is self:
                del _by_uuid[self._segment.uuid]

    def unlink(self, files: bool = False) -> None:
        """Remove the board for everyone: who is still attached counts into the void and is told so once.

        files: remove its snapshots and its history too. Raises LockTimeout, OSError.
        """
        if not self._segment.closed:
            self._end_owned("board unlinked", None)
        segments.unlink(self.directory, self._segment, also=remove_files if files else None)
        self.close()

    def _end_owned(self, reason: str, error: BaseException | None) -> None:
        """End what this process owns and leaves open, unless live workers still count on it."""
        segment = self._segment
        if segment.retired:
            return  # removed by somebody else: nobody will see it
        for index, generation in segment.owned():
            task = self._handle(index, generation, "")
            with contextlib.suppress(errors.HeadwayError):  # ended or started anew by another process meanwhile
                if task._carried_by_others() or (error is None and self._hand_on is not None and self._hand_on(task)):
                    continue
                state, text = ("cancelled", reason) if error is None else ("failed", failure_text(error))
                task._transition(state, OPEN_STATES, error=text, expected_owner=segment.incarnation)


def remove_files(directory: Path) -> None:
    """Remove what a board left in its directory, and the directory if nothing else lies there. Raises OSError."""
    from headway.files import history

    snapshot.remove(directory)
    history.remove(directory)
    results = [path.name for path in directory.glob("result-*.json") if LARGE_RESULT.fullmatch(path.name)]
    for name in (*results, "recorder.log", "recorder.lock", "board.lock"):
        (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else lies there: it is not ours to remove
        directory.rmdir()


def open_board(
    name: str | None = None,
    *,
    capacity: int = 1024,
    workers: int = 1024,
    result_bytes: int = 2048,
    record: bool = True,
) -> Board:
    """As headway.open, but whether Headway is switched off, or can work here at all, is not asked."""
    name = paths.default_name() if name is None else paths.check_name(name)
    for what, value, most, least in (
        ("capacity", capacity, core.CAPACITY_MAX, 1),
        ("workers", workers, core.WORKERS_MAX, 1),
        ("result_bytes", result_bytes, core.RESULT_BYTES_MAX, 0),
    ):
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{what} {value!r} is out of range: give an int from {least} to {most}")
    with _guard:
        key = (paths.board_directory(name), name)
        board = _boards.get(key)
        if board is not None and not board._segment.closed and not board._segment.retired:
            board._segment.register(with_row=False)  # a forked child is nobody yet
            if not board._segment.retiring:
                return board
        segment, directory, _ = segments.open_or_create(
            name, capacity=capacity, workers=workers, result_bytes=result_bytes, fill=restore
        )
        board = _by_uuid.get(segment.uuid)  # a handle led here first
        if board is None or board._segment.closed:
            board = Board(segment, directory)
        else:
            board._segment.register(with_row=False)  # before the other one goes: somebody is present all the time
            segment.close()
        _boards[directory, name] = _by_uuid[segment.uuid] = board
        if record and launch.wanted():
            board._segment.want_recorder()
            launch.ensure(board._segment)
        return board


def attached(name: str, uuid: str) -> Board:
    """The board that a handle belongs to, attached to by the name of its segment alone.

    Raises BoardClosed if it was closed in this process or is gone.
    """
    with _guard:
        board = _by_uuid.get(uuid)
        if board is None:
            try:
                segment = segments.attach(segments.object_name(name, uuid))
            except FileNotFoundError:
                raise errors.BoardClosed(
                    f"board {name!r} of this handle was removed: open it anew with headway.open({name!r})"
                ) from None
            board = _by_uuid[uuid] = Board(segment, Path(segment.directory))
        return board


# ------------------------------------------------------------------------------------------------------ at the exit


def _leave_all() -> None:
    error = uncaught()
    for board in list(_by_uuid.values()):
        segment = board._segment
        if not segment.closed and segment.incarnation:
            board._end_owned("left open at exit", error)
            if os.getpid() == 1 and segment.recorder_wanted:  # the kernel takes our recorder along
                with contextlib.suppress(errors.HeadwayError, OSError):  # a full disk, say: it was written before
                    board.write_snapshot()
            segment.leave()


def _after_fork_in_child() -> None:
    global _guard
    _guard = threading.RLock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork_in_child)
core.on_arrival(lambda: at_exit(_leave_all))  # this process has become a worker: it leaves in good order
core.on_silence(launch.ensure)
