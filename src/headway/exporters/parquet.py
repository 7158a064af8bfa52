"""Tasks as a Parquet file, with the columns of CSV: times are timestamps in UTC, metrics a map of numbers."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from headway.errors import MissingExtra
from headway.exporters.tables import COLUMNS, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headway.views.board_view import TaskView

__all__ = ["write"]

BATCH_ROWS = 10_000  # in memory at a time
_REALS = ("fraction", "rate", "eta", "elapsed")
_INTEGERS = ("count", "total", "owner_pid", "resumed_from")
_TIMES = ("created", "started", "ended", "beat")


def write(path: Path, board: str, tasks: Iterable[TaskView]) -> None:
    """Write the tasks of a board. Raises MissingExtra where pyarrow is not installed, OSError."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise MissingExtra(
            "Parquet files need the package pyarrow: install it with pip install 'headway[parquet]', "
            f"or write one of .json, .ndjson, .csv ({error})"
        ) from error
    kinds = dict.fromkeys(COLUMNS, pa.string())
    kinds |= dict.fromkeys(_REALS, pa.float64()) | dict.fromkeys(_INTEGERS, pa.int64())
    kinds |= dict.fromkeys(_TIMES, pa.timestamp("us", "UTC"))
    kinds["metrics"] = pa.map_(pa.string(), pa.float64())
    schema = pa.schema(list(kinds.items()))
    left = iter(tasks)
    with ParquetWriter(path, schema) as file:
        while batch := list(itertools.islice(left, BATCH_ROWS)):
            rows = [_row(board, task) for task in batch]
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _row(board: str, task: TaskView) -> dict[str, Any]:
    row = row_of(board, task)
    for name in _TIMES:
        row[name] = None if row[name] is None else round(row[name] * 1e6)
    row["metrics"] = list(task.metrics.items())  # not as JSON has them: a loss that is not a number stays one
    row["result"] = None if row["result"] is None else json.dumps(row["result"])
    return row
