"""The functions of the package: they choose between the engine, its stand-in, and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from headway import errors
from headway.system import support
from headway.tasks import current as context
from headway.tasks.nobody import NOBODY

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.views.board_view import BoardView

__all__ = ["current", "get_include", "open", "read"]


def open(
    name: str | None = None,
    *,
    capacity: int = 1024,
    workers: int = 1024,
    result_bytes: int = 2048,
    record: bool = True,
) -> Board:
    """Open a board, or create it: its shared memory, its semaphore, its directory. One object per process and name.

    name: 1 to 64 of A-Z a-z 0-9 . _ -; default: HEADWAY_BOARD, else the script's name. For a new board: capacity: tasks
    at a time; workers: processes that are listed by name; result_bytes: the longest result, as JSON. record: have a
    helper process write snapshots and history, which outlives the program; not with HEADWAY_RECORD=0.
    With HEADWAY_DISABLE=1 it is a board of this process alone.
    Raises Unsupported where there can be no board, ValueError, NoSpace, CorruptBoard, LayoutMismatch, NotOwner,
    BoardElsewhere, LockTimeout, OSError.
    """
    if support.disabled():
        from headway.standin import board as standin

        alone = standin.open_board(name, capacity=capacity, workers=workers, result_bytes=result_bytes, record=record)
        return cast("Board", alone)
    reason = support.unusable()
    if reason is not None:
        raise errors.Unsupported(reason)
    from headway.engine.board import open_board

    return open_board(name, capacity=capacity, workers=workers, result_bytes=result_bytes, record=record)


def current() -> Task:
    """The task of this context: the innermost block or loop, inherited by threads and by the children of a pool.

    Without one: a task whose every method is a cheap no-op.
    """
    task: Task | None = context.innermost()
    if task is not None:
        return task
    handle = context.handed_down()
    if handle is not None:
        from headway.engine.task import unpickled

        task = unpickled(*handle)
        context.inherit(task, handle)
        return task
    nobody: Task = NOBODY
    return nobody


def read(board: str | os.PathLike[str]) -> BoardView:
    """Read the last snapshot of a board, from files alone.

    board: its name; or the path of a snapshot, or of a board's directory: what holds a "/" or ends in ".npz".
    Where the last one is damaged, the one before it is taken: `from_prev` of the view tells. Raises UnknownBoard if
    there is none, ValueError for an illegal name, DamagedSnapshot, LayoutMismatch, NotOwner, OSError.
    """
    from headway.files import snapshot
    from headway.system import paths

    is_path = not isinstance(board, str) or os.sep in board or board.endswith(".npz")
    place = board if is_path else paths.board_directory(cast(str, board))
    try:
        return snapshot.read(place)
    except ImportError as error:
        raise errors.Unsupported(
            f"a native module is missing ({error}): install Headway anew for this Python, or use numpy.load"
        ) from None


def get_include() -> str:
    """The folder of headway.h, for the -I option of a C compiler."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
