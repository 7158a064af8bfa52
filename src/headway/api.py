"""The functions of the package: they choose between the engine, its stand-in, and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.standin.nobody import NOBODY
from headway.system import support
from headway.tasks import current as context
from headway.tasks.ending import is_leaving
from headway.tasks.states import ENDED_STATES

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.views.board_view import BoardView

__all__ = ["current", "get_include", "open", "read"]


def open(
    name: str | None = None,
    *,
    capacity: int | None = None,
    workers: int | None = None,
    result_bytes: int | None = None,
    stall_after: float | None = None,
    record: bool = True,
) -> Board:
    """Open a board, or create it: its shared memory, its semaphore, its directory. One object per process and name.

    name: 1 to 64 of A-Z a-z 0-9 . _ -; default: HEADWAY_BOARD, else the program's. For a new board: capacity: tasks
    at a time, default 1024; workers: processes that are listed by name, default 1024; result_bytes: the longest result,
    as JSON, default 2048. A board that is there already keeps its sizes: one warning tells of others. stall_after:
    seconds without a sign of life after which its running tasks are called stalled, from now on, math.inf for never;
    default: as it is, at first each task's own rhythm, see Board.task. record: have a
    helper process write snapshots and history, which outlives the program; not with HEADWAY_RECORD=0.
    The history keeps 30 days and a million rows, or what HEADWAY_HISTORY_DAYS and HEADWAY_HISTORY_ROWS say.
    With HEADWAY_DISABLE=1 it is a board of this process alone.
    Raises headway.errors.Unsupported where there can be no board, headway.errors.UnusableDirectory where its files
    cannot be, ValueError, headway.errors.NoSpace, headway.errors.CorruptBoard, headway.errors.LayoutMismatch,
    headway.errors.NotOwner, headway.errors.BoardElsewhere, headway.errors.LockTimeout, OSError.
    """
    if support.disabled():
        from headway.standin import board as standin

        alone: Any = standin.open_board(
            name,
            capacity=capacity,
            workers=workers,
            result_bytes=result_bytes,
            stall_after=stall_after,
            record=record,
        )
        board: Board = alone  # it has all that a board has; a test compares the two
        return board
    reason = support.unusable()
    if reason is not None:
        raise errors.Unsupported(reason)
    from headway.engine.board import open_board
    from headway.files import loops

    board = open_board(
        name, capacity=capacity, workers=workers, result_bytes=result_bytes, stall_after=stall_after, record=record
    )
    loops.unmark(board.directory)
    return board


def current() -> Task:
    """The task of this context: the innermost block or loop, inherited by threads and by the children of a pool.

    In a program that `headway exec` started, else that of the command. Without one, and where the one that was
    inherited has ended: a task whose every method is a cheap no-op.
    """
    task: Task | None = context.innermost()
    if task is None:
        handle = context.handed_down()
        if handle is None:
            task = _of_command()
        else:
            try:
                from headway.engine.task import unpickled
            except (ImportError, AttributeError) as error:
                # After a chroot, say, or in a signal handler that came during this very import.
                _tell_unloaded(handle[-1], error)
            else:
                task = unpickled(*handle)
                context.inherit(task, handle)
    if task is None or (context.is_inherited(task) and _has_ended(task)):
        nobody: Task = NOBODY
        return nobody
    return task


_told_ended = _told_unloaded = False
_asked = False  # was the environment looked at for a task?


def _of_command() -> Task | None:
    """The task of the command that this program is a part of; None without one that runs. Looked for once."""
    global _asked
    if _asked:
        return None
    _asked = True
    handle = context.from_environment()
    if handle is None or support.disabled():
        return None
    try:
        from headway.engine.task import running
    except (ImportError, AttributeError):  # no board can be had here
        return None
    task = running(*handle)
    if task is not None:
        context.inherit(task, handle)
    return task


def _tell_unloaded(id: str, error: Exception) -> None:
    """Say once that this process cannot count on the task that it inherited."""
    global _told_unloaded
    if not _told_unloaded:
        _told_unloaded = True
        errors.tell(
            f"nobody sees what this process counts on task {id!r}: Headway cannot be loaded here ({error}): call "
            f"headway.current() once before the process gives up its right to read it",
            errors.StaleTaskWarning,
        )


def _has_ended(task: Task) -> bool:
    """Has the task that this process inherited ended? Says so once: what is counted from here on is counted nowhere."""
    global _told_ended
    try:
        if task.state not in ENDED_STATES:
            return False
    except errors.UnknownTask:  # and its place was given away
        pass
    except (errors.HeadwayError, OSError):  # the board is gone, which updates tell
        return False
    if not (_told_ended or is_leaving()):
        _told_ended = True
        errors.tell(
            f"task {task.id!r}, which this process (pid {os.getpid()}) inherited, has ended: headway.current() counts "
            f"nothing here from now on. Workers that serve several tasks are told which one with each call: give "
            f"the pool task.counts(function) in place of the function, or pass the task as an argument",
            errors.StaleTaskWarning,
        )
    return True


def read(board: str | os.PathLike[str]) -> BoardView:
    """Read the last snapshot of a board, from files alone.

    board: its name; or the path of a snapshot, or of a board's directory: what holds a "/" or ends in ".npz".
    Where the last one is damaged, the one before it is taken: `from_prev` of the view tells. Raises
    headway.errors.UnknownBoard if there is none, TypeError, ValueError for an illegal name,
    headway.errors.DamagedSnapshot, headway.errors.LayoutMismatch, headway.errors.NotOwner, OSError.
    """
    from headway.files import directory, snapshot
    from headway.system import paths

    if not isinstance(board, str | os.PathLike):
        raise TypeError(f"board must be a name or a path, not {board!r:.60} ({type(board).__name__})")
    if not isinstance(board, str) or os.sep in board or board.endswith(".npz"):
        place: str | os.PathLike[str] = board
    else:
        place = paths.board_directory(board)
        if not place.is_dir():
            raise directory.unknown(board)
    try:
        return snapshot.read(place)
    except ImportError as error:
        raise errors.Unsupported(
            f"a native module is missing ({error}): install Headway anew for this Python, or use numpy.load"
        ) from None


def get_include() -> str:
    """The folder of headway.h, for the -I option of a C compiler."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
