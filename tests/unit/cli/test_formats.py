"""Tasks for other programs: JSON, a JSON object a line, CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.cli._formats import COLUMNS, FORMATS, lines_of
from headway.files import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.views.board_view import TaskView
    from tests.unit.conftest import MakeRaw


@pytest.fixture
def tasks(make_raw: MakeRaw, tmp_path: Path) -> list[TaskView]:
    return list(snapshot.read(snapshot.write(make_raw(2), tmp_path)).tasks)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_every_task_with_its_board(form: str, tasks: list[TaskView]) -> None:
    lines = list(lines_of("nightly", tasks, form))
    match form:
        case "json":
            found = json.loads("\n".join(lines))
            assert "\n".join(lines) == json.dumps(found, indent=2)
        case "ndjson":
            found = [json.loads(line) for line in lines]
        case _:
            found = list(csv.DictReader(lines))
            assert tuple(found[0]) == COLUMNS
    assert [(row["board"], row["id"], int(row["count"])) for row in found] == [
        ("nightly", "task-1", 21),
        ("nightly", "task-0", 20),
    ]


def test_a_list_is_made_an_object_at_a_time(tasks: list[TaskView]) -> None:
    taken = []

    def one_by_one() -> Iterator[TaskView]:
        for task in tasks:
            taken.append(task.id)
            yield task

    lines = lines_of("nightly", one_by_one(), "json")
    assert (next(lines), taken) == ("[", ["task-1"])
    assert '"task-1"' in next(lines)
    assert list(lines_of("nightly", [], "json")) == ["[]"]


def test_a_cell_of_csv_is_a_text_a_number_json_or_nothing(tasks: list[TaskView]) -> None:
    row = next(csv.DictReader(lines_of("nightly", tasks[1:], "csv")))
    assert row["label"] == "Task 0 é"
    assert row["count"] == "20"
    assert json.loads(row["metrics"]) == {"loss": 0.5}
    assert row["error"] == ""
