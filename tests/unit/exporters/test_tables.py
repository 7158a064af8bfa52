"""Tasks as text for other programs: whatever texts a program sets, others read what it said, and run none of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.exporters.tables import COLUMNS, FORMATS, lines_of, object_line, object_lines, row_of
from headway.files import snapshot
from headway.views.board_view import ShareView, TaskView

if TYPE_CHECKING:
    from tests.conftest import RunPython
    from tests.unit.conftest import MakeRaw

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "'tis", "=cmd|' /C calc'!A0")
NASTY = (
    *FORMULAS,
    "2 rows dropped\nsee log",
    "a\r\nb,c",
    'say "no"',
    ",",
    " ",
    "web,forged,,success,9,9",
    "é😀",
    "nan",
)
TEXTS = ("id", "label", "unit", "stage", "message", "error")


def text_of(tasks: list[TaskView], form: str = "csv") -> str:
    return "".join(lines_of("night", tasks, form))


@pytest.fixture
def tasks(make_raw: MakeRaw, tmp_path: Path) -> list[TaskView]:
    return list(snapshot.read(snapshot.write(make_raw(2), tmp_path)).tasks)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_every_task_with_its_board(form: str, tasks: list[TaskView]) -> None:
    text = text_of(tasks, form)
    match form:
        case "json":
            found = json.loads(text)
        case "ndjson":
            found = [json.loads(line) for line in text.splitlines()]
        case _:
            found = list(csv.DictReader(io.StringIO(text, newline="")))
            assert tuple(found[0]) == COLUMNS
    assert [(row["board"], row["id"], int(row["count"])) for row in found] == [
        ("night", "task-1", 21),
        ("night", "task-0", 20),
    ]


def test_a_cell_of_csv_is_a_text_a_number_json_or_nothing(tasks: list[TaskView]) -> None:
    row = next(csv.DictReader(lines_of("night", tasks[1:], "csv")))
    assert row["label"] == "Task 0 é"
    assert row["count"] == "20"
    assert json.loads(row["metrics"]) == {"loss": 0.5}
    assert row["error"] == ""


@st.composite
def texts(draw: st.DrawFn) -> str:
    shown = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return draw(st.sampled_from(NASTY) | st.text(shown, min_size=1, max_size=12))


@given(st.lists(st.tuples(*[texts()] * len(TEXTS)), min_size=1, max_size=4))
def test_csv_is_read_back_as_it_was_and_no_cell_is_a_formula(rows: list[tuple[str, ...]]) -> None:
    found = [TaskView(id=row[0], **dict(zip(TEXTS[1:], row[1:], strict=True)), count=-5) for row in rows]  # type: ignore[arg-type]
    text = text_of(found)
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [tuple(row[name].removeprefix("'") for name in TEXTS) for row in read] == rows
    assert {row["count"] for row in read} == {"-5"}, "a number is no formula"
    for row in read:
        assert not any(row[name].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")) for name in TEXTS)
    fields = text.count('"') - 2 * sum(cell.count('"') for row in read for cell in row.values())
    assert fields == 2 * len(COLUMNS) * (len(rows) + 1), "every field stands in quotation marks"
    assert text.endswith('"\r\n')


DUCKDB = """
import json, sys, duckdb
print(json.dumps(duckdb.sql(f"SELECT id, message, count, total, rate FROM read_csv('{sys.argv[1]}')").fetchall()))
"""


def test_pandas_and_duckdb_read_as_many_rows_as_there_are_tasks_and_numbers_as_numbers(
    tmp_path: Path, run_python: RunPython
) -> None:
    found = [
        TaskView(id=f"t{at}", message=text, error=text, count=at - 3, total=2**62, rate=0.25, metrics={"loss": -0.5})
        for at, text in enumerate(NASTY)
    ]
    path = tmp_path / "tasks.csv"
    path.write_bytes(text_of(found).encode())
    frame = pd.read_csv(path, keep_default_na=False)[["id", "message", "count", "total", "rate"]]
    table = json.loads(run_python(DUCKDB, str(path)).stdout)
    for rows in (frame.to_numpy().tolist(), table):
        assert [[id, message[message.startswith("'") :], *numbers] for id, message, *numbers in rows] == [
            [task.id, task.message, task.count, task.total, task.rate] for task in found
        ]


@pytest.mark.parametrize("result", ["=1+1", -5, "5", [1, "a\nb"], {"a": None}, None, True])
def test_a_result_is_json_in_csv_so_that_a_text_is_told_from_a_number(result: Any) -> None:
    row = next(csv.DictReader(io.StringIO(text_of([TaskView(id="one", result=result)]), newline="")))
    assert row["result"] == "" if result is None else json.loads(row["result"]) == result


def test_a_lost_task_has_its_error_in_every_format_in_the_words_of_all_views() -> None:
    lost = TaskView(id="one", state="lost", owner_pid=7, stage="parse", count=12, total=40, unit="file", message="a.py")
    told = "pid 7 died in stage parse at 12/40 file: a.py"
    assert row_of("night", lost)["error"] == lost.to_dict()["error"] == told
    (row,) = json.loads(text_of([lost], "json"))
    assert row["error"] == told
    assert next(csv.DictReader(io.StringIO(text_of([lost]), newline="")))["error"] == told


def test_a_task_that_goes_on_without_one_of_its_workers_has_no_error() -> None:
    share = ShareView(9, 1, 5, None, False)
    assert TaskView(id="one", state="running", workers_lost=(share,)).to_dict()["error"] == ""


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.none() | st.text() | st.lists(st.integers() | st.dictionaries(st.text(max_size=2), st.text()), max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_an_object_is_written_as_json_dumps_writes_it_and_so_are_its_iterators(
    values: dict[str, Any],
) -> None:
    pieces = {name: iter(one) if isinstance(one, list) else one for name, one in values.items()}
    assert "".join(object_lines(pieces)) == json.dumps(values, indent=2) + "\n"
    pieces = {name: iter(one) if isinstance(one, list) else one for name, one in values.items()}
    assert "".join(object_line(pieces)) == json.dumps(values) + "\n"


def test_no_more_than_one_task_is_held_at_a_time() -> None:
    alive: list[int] = []

    def made() -> Any:
        for at in range(5):
            alive.append(at)
            yield TaskView(id=f"t{at}")

    for form in FORMATS:
        alive.clear()
        pieces = lines_of("night", made(), form)
        for _ in range(2):
            next(pieces)
        assert len(alive) <= 2
