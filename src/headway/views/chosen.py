"""What is shown of a board: of a large one computed on its records, so that only the tasks shown become views.

Small boards go without NumPy, which takes a helper process more memory than everything else. A view without records has
its tasks already. Tests hold both ways equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.tasks.states import FINAL_STATES, STATES
from headway.views.numbers import SMALL, urgency

if TYPE_CHECKING:
    from collections.abc import Hashable

    from headway.views.board_view import BoardView, TaskView

__all__ = ["ends", "first_running", "ids", "is_small", "most_urgent", "numbered", "workers_alive"]


def most_urgent(view: BoardView, most: int) -> list[TaskView]:
    """The most urgent tasks, the most urgent first; of those that ended, the last to end first."""
    if is_small(view):

        def rank(task: TaskView) -> tuple[tuple[int, bool], float]:
            return urgency(task.state, task.stalled), -(task.ended or 0.0)

        return sorted(view.tasks, key=rank)[:most]
    import numpy as np

    from headway.views.columns import ranks

    array = view.array
    rank_of = ranks(array, view.taken_at)
    last = np.partition(rank_of, most - 1)[most - 1] if 0 < most < len(rank_of) else rank_of.max(initial=0)
    found = np.flatnonzero(rank_of <= last)  # nearly always few: sorting is what takes the time
    ended = np.maximum(array["ended_ns"][found], 0)
    order = found[np.lexsort((array["serial"][found], -ended, rank_of[found]))]
    return [numbered(view, number) for number in order[:most].tolist()]


def first_running(view: BoardView, most: int) -> list[TaskView]:
    """The first running tasks that are not parts of others, in the order in which they were created."""
    if is_small(view):
        return [task for task in view.tasks if task.state == "running" and task.parent is None][:most]
    import numpy as np

    array = view.array
    found = np.flatnonzero((array["state"] == STATES.index("running")) & (array["parent_bytes"] == 0))
    order = found[np.argsort(array["serial"][found], kind="stable")]
    return [numbered(view, number) for number in order[:most].tolist()]


def ends(view: BoardView) -> dict[Hashable, tuple[str, int]]:
    """The tasks that have ended: their state and their number, by a key that no other task of the board has."""
    if view._raw is None:
        tasks = enumerate(view.tasks)
        return {(task.id, task.serial): (task.state, number) for number, task in tasks if task.final}
    if is_small(view):
        tasks = enumerate(numbered(view, number) for number in range(len(view)))
        return {task.serial: (task.state, number) for number, task in tasks if task.final}
    import numpy as np

    array = view.array
    found = np.flatnonzero(np.isin(array["state"], [STATES.index(state) for state in FINAL_STATES]))
    states = array["state"][found].tolist()
    keyed = zip(array["serial"][found].tolist(), states, found.tolist(), strict=True)
    return {serial: (STATES[state], number) for serial, state, number in keyed}


def is_small(view: BoardView) -> bool:
    """Is it better to go through the views of all tasks?"""
    return view._raw is None or len(view) <= SMALL


def numbered(view: BoardView, number: int) -> TaskView:
    """The task of a record; of a view without records, that at this place of `tasks`. A new one is not kept."""
    if view._raw is None:
        return view.tasks[number]
    return view._views.get(number) or view._decoded(number)


def ids(view: BoardView) -> list[str]:
    """The ids of all tasks, without decoding the rest of them."""
    return view._ids()


def workers_alive(view: BoardView) -> int:
    """How many of the registered processes are alive, without decoding the names of their tasks."""
    if view._raw is None or view._workers is not None:
        return sum(worker.alive for worker in view.workers)
    from headway.native.records import RECORD_BYTES, worker_fields

    workers = view._raw.workers
    numbers = range(len(workers) // RECORD_BYTES["workers"])
    return sum(view._decode(worker_fields, workers, number)["alive"] for number in numbers)
