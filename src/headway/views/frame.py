"""Tasks as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.errors import MissingExtra
from headway.views.words import error_told

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from headway.views.task_view import TaskView

__all__ = ["frame_of"]

TIMES = ("created", "started", "ended", "stage_entered", "beat", "taken_at")
COLUMNS = (
    *("label", "state", "stalled", "count", "total", "unit", "fraction", "rate", "eta", "elapsed", "idle"),
    *("stage", "message", "error", *TIMES, "parent", "owner_pid", "owner_alive", "resumed_from", "result"),
)


def frame_of(tasks: Iterable[TaskView]) -> pd.DataFrame:
    """The tasks, a row each, by id. Raises MissingExtra where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra(
            f"to_pandas() needs the package {error.name}: install it with 'pip install pandas', or use to_dict()"
        ) from error
    tasks = tuple(tasks)
    columns: dict[str, Any] = {name: [getattr(task, name) for task in tasks] for name in COLUMNS}
    columns["error"] = [error_told(task) for task in tasks]
    for name in TIMES:
        columns[name] = pd.to_datetime(pd.Series(columns[name], dtype="float64"), unit="s", utc=True).array
    for name in ("total", "resumed_from"):
        columns[name] = pd.array(columns[name], dtype="Int64")
    names = dict.fromkeys(name for task in tasks for name in task.metrics)
    columns |= {f"metrics.{name}": [task.metrics.get(name) for task in tasks] for name in names}
    return pd.DataFrame(columns, index=pd.Index([task.id for task in tasks], name="id"))
