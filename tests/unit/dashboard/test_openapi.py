"""The OpenAPI document, the types of the page, and the pages on HTTP and metrics say the same, and it is so."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from headway import errors
from headway.dashboard.openapi import document
from headway.dashboard.state.faults import CODES, UNREADABLE
from headway.exporters.prometheus import BoardCollector
from headway.files import history
from headway.tasks.states import STATES
from headway.views.board_view import BoardView
from headway.views.summary import UNITS_MAX, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board

ROOT = Path(__file__).resolve().parents[3]
HTTP = (ROOT / "docs" / "http.md").read_text()
PACKAGE = ROOT / "src" / "headway" / "dashboard"
SCHEMAS: dict[str, Any] = document()["components"]["schemas"]
OF_THE_SERVER = {"recorder", "silent_since", "error"}  # of a Summary: it knows more than the snapshot


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\b.*?$(.*?)(?=^#|\Z)", HTTP, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def first_cells(text: str) -> list[str]:
    return [cell for cell in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) if not set(cell) <= {"-", " "}]


def names_in(cells: list[str]) -> set[str]:
    return {name for cell in cells for name in re.findall(r"`([^`]*)`", cell)}


def fields(name: str) -> set[str]:
    return set(SCHEMAS[name]["properties"])


def check(value: Any, name: str) -> None:
    """Hold a value to a schema of the document, which may refer to others."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


# --- the page


def test_what_the_page_takes_over_from_the_server_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "web" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.generated().items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)} is out of date: run web/generate.py"


# --- what is sent is what the document says


def test_views_have_the_fields_of_the_document(board: Board) -> None:
    task = board.task("one", total=5, unit="row")
    task.update()
    task.result = {"a": 1}
    task.succeed()
    board.task("two").fail("why")
    view = board.snapshot()
    summary = Summary.of(view).to_dict()
    assert set(summary) | OF_THE_SERVER == fields("Summary")
    check(summary["counts"], "Counts")
    check(summary["time_left"], "TimeLeft")
    for one in view:
        sent = json.loads(json.dumps(one.to_dict())) | {"series": [], "metric_series": {}}
        assert set(sent) == fields("Task")
        check(sent, "Task")
    board.write_snapshot()
    for past in history.read(board.directory):
        assert set(past.to_dict()) <= fields("PastTask")


def test_the_counts_of_a_view_are_those_of_the_document() -> None:
    assert set(BoardView.of("one", [], taken_at=1.0).counts.to_dict()) == fields("Counts")


# --- docs/http.md


def test_the_table_of_routes_has_every_route_of_the_document_and_no_other() -> None:
    told = {
        re.sub(r"\?.*", "", route) for route in re.findall(r"`GET (\S+?)`", "\n".join(first_cells(section("Routes"))))
    }
    told -= {"/", "/assets/…", "/openapi.json"}  # the page, and the document itself
    assert told == set(document()["paths"])


def test_the_example_of_a_summary_is_one() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", section("Summary"), re.DOTALL)
    summary = json.loads(example)
    assert set(summary) == fields("Summary")
    check(summary, "Summary")
    counts = summary["counts"]
    assert counts["total"] == sum(counts[state] for state in STATES)
    assert counts["ended"] == counts["total"] - counts["pending"] - counts["running"]


def test_the_table_of_a_summary_names_fields_that_it_has() -> None:
    assert names_in(first_cells(section("Summary"))) <= fields("Summary")


def test_the_list_of_a_rows_fields_is_complete() -> None:
    (listed,) = re.findall(r"^`(serial [a-z_\s]+)`", section("Row"), re.MULTILINE)
    assert listed.split() == list(SCHEMAS["Row"]["properties"])


def test_what_is_derived_is_what_a_whole_task_has_more() -> None:
    more = fields("Task") - fields("Row")
    derived = names_in(first_cells(section("Row")))
    (example,) = re.findall(r"```json\n(.*?)```", section("Task"), re.DOTALL)
    assert derived | set(json.loads(example)) | {"series", "metric_series"} == more


def test_the_list_of_a_workers_fields_is_complete() -> None:
    (listed,) = re.findall(r"^`(incarnation [a-z_ ]+)`, and `(\w+)` and `(\w+)`", section("Worker"), re.MULTILINE)
    assert {*listed[0].split(), *listed[1:]} == fields("Worker")


def test_the_examples_of_throughput_and_of_what_moved_have_all_columns() -> None:
    (throughput,) = re.findall(r"`(\{\"at\".*?\}\})`", section("Throughput"))
    assert set(json.loads(throughput.replace("[..]", "[]"))) == fields("Throughput")
    (moved,) = re.findall(r"`(\{\"serial\".*?\})`", section("Events"))
    check(json.loads(moved), "Moved")


def test_the_example_of_an_event_has_all_its_fields() -> None:
    (boards,) = re.findall(r"^data: (\{.*\"boards\".*\})$", section("Events"), re.MULTILINE)
    assert set(re.findall(r'"(\w+)":', boards)) == fields("BoardsEvent")
    (board,) = re.findall(r"^data: (\{\"now\": …, \"board\".*?\})\n\n", section("Events"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r'"(\w+)":', board)) == fields("BoardEvent")


def problems() -> Iterator[tuple[int, str]]:
    """The status and code of every refusal in the sources of the server."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                status, code = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                    yield int(str(status.value)), str(code.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                for status_said, code_said in re.findall(rb'"status":(\d+),"code":"([a-z-]+)"', node.value):
                    yield int(status_said), code_said.decode()


def test_the_table_of_errors_has_every_code_with_its_status() -> None:
    told: set[tuple[int, str]] = set()
    for statuses, codes in re.findall(r"^\| ([\d, ]+) \| (.*) \|$", section("Errors"), re.MULTILINE):
        numbers = [int(number) for number in statuses.split(",")]
        names = [name for name in re.findall(r"`([a-z-]+)`", codes) if name != "detail"]
        told |= (
            {(number, name) for number in numbers for name in names}
            if len(numbers) == 1
            else set(zip(numbers, names, strict=True))
        )
    of_files = {(503, code) for code in {*CODES.values(), UNREADABLE} - {CODES[errors.UnknownBoard]}}
    assert told == set(problems()) | of_files


@pytest.mark.parametrize(("where", "route"), [("History", "/api/boards/{board}/history")])
def test_the_limits_of_parameters_are_told(where: str, route: str) -> None:
    for parameter in document()["paths"][route]["get"]["parameters"]:
        assert parameter["name"] in section(where) or parameter["in"] == "path"
        if "maximum" in parameter["schema"]:
            assert str(parameter["schema"]["maximum"]) in section(where)


# --- docs/dashboard.md


def test_the_table_of_metrics_is_complete() -> None:
    page = (ROOT / "docs" / "dashboard.md").read_text()
    told = dict(re.findall(r"^\| `(headway_\w+)` \| ([a-z, ]+) \|", page, re.MULTILINE))
    known = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in BoardCollector(list).describe()
    }
    assert set(told) == set(known)
    for name, family in known.items():
        assert told[name].split(", ") == list(family._labelnames), name  # type: ignore[attr-defined]
    (most,) = re.findall(r"A board has at most (\d+) series", page)
    per_board = {"headway_tasks": len(STATES), "headway_workers": 2, "headway_items_per_second": UNITS_MAX}
    assert int(most) == sum(per_board.get(name, 1) for name in known)
