"""Tasks as a Parquet file, as other programs read it.

Arrow and DuckDB start threads, so they are used in processes of their own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.exporters import parquet
from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from tests.conftest import RunPython

HEAD = """
import json, math, sys, duckdb, pandas as pd
from pathlib import Path
from headway.exporters import parquet
from headway.exporters.tables import COLUMNS
from headway.views.board_view import TaskView
path = Path(sys.argv[1])
"""


def test_duckdb_and_pandas_read_what_was_written(tmp_path: Path, run_python: RunPython) -> None:
    run_python(
        HEAD
        + r"""
one = TaskView(id="=1\n,é", state="success", count=2**63 - 1, total=2**63 - 1, created=1_700_000_000.25,
               metrics={"loss": math.nan, "epoch": -1.0}, result={"a": [1, None]}, rate=0.5)
two = TaskView(id="two", state="lost", owner_pid=7, count=3, created=-5.0)
parquet.write(path, "night", iter([one, two]))
table = duckdb.read_parquet(str(path))
assert tuple(table.columns) == COLUMNS
read = table.select("id, count, total, error").fetchall()
assert read == [("=1\n,é", 2**63 - 1, 2**63 - 1, ""), ("two", 3, None, "pid 7 died at 3")], read
(metrics,), _ = table.select("metrics").fetchall()
assert metrics["epoch"] == -1.0 and math.isnan(metrics["loss"])
frame = pd.read_parquet(path)
assert list(frame["created"]) == [pd.Timestamp("2023-11-14 22:13:20.25", tz="UTC"),
                                  pd.Timestamp("1969-12-31 23:59:55", tz="UTC")]
assert json.loads(frame["result"][0]) == {"a": [1, None]}
""",
        str(tmp_path / "tasks.parquet"),
    )


def test_a_board_of_no_tasks_has_a_file_with_the_columns(tmp_path: Path, run_python: RunPython) -> None:
    run_python(
        HEAD + "parquet.write(path, 'night', [])\nassert tuple(pd.read_parquet(path).columns) == COLUMNS\n",
        str(tmp_path / "none.parquet"),
    )


def test_more_tasks_than_are_held_at_a_time_are_all_written(tmp_path: Path, run_python: RunPython) -> None:
    run_python(
        HEAD
        + """
many = parquet.BATCH_ROWS + 7
parquet.write(path, "night", (TaskView(id=f"t{at}") for at in range(many)))
assert list(pd.read_parquet(path, columns=["id"])["id"]) == [f"t{at}" for at in range(many)]
""",
        str(tmp_path / "many.parquet"),
    )


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.MissingExtra, match=r"pip install 'headway\[parquet\]'"):
        parquet.write(tmp_path / "tasks.parquet", "night", [TaskView(id="one")])
    assert not list(tmp_path.iterdir())
