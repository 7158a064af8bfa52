"""Tests mirror the rooms: tests/unit/ROOM/test_MODULE.py is about that module. Modules without one give a reason."""

from __future__ import annotations

import pytest

from tests.rooms import MODULES, ROOT

# Modules without a unit test of their own, each with the tests that hold it.
ELSEWHERE = {
    "__init__": "tests/unit/test_public.py",
    "__main__": "tests/integration/test_cli.py",  # one line, run by each of them
    "native.core": "tests/unit/native/test_segment.py",  # its parts have tests of their own names
    "api": "tests/unit/test_public.py",
    # One history: its file, its table and its rows are tried together.
    "files.archive": "tests/integration/test_archive.py",
    "files.database": "tests/unit/files/test_history_damage.py",
    "files.past_task": "tests/unit/files/test_history.py",
    "files.schema": "tests/unit/files/test_history_damage.py",
    # Processes, or what needs one beside it.
    "bars.board_process": "tests/integration/test_live.py",
    "bars.drawer": "tests/integration/test_live.py",
    "bars.last_lines": "tests/integration/test_live_loops.py",
    "bars.loops_drawer": "tests/integration/test_live_loops.py",
    "bars.loops_process": "tests/integration/test_live_loops.py",
    "process.drawing": "tests/integration/test_live.py",
    "process.notebook": "tests/integration/test_notebook.py",
    "recorder.recorder": "tests/integration/test_recorder.py",
    "recorder.recorder_process": "tests/integration/test_recorder.py",
    "upkeep.diagnosis": "tests/integration/test_doctor.py",
    "engine.attached": "tests/unit/engine/test_board.py",
    "engine.restore": "tests/unit/engine/test_restart.py",
    "native.scans": "tests/unit/native/test_records.py",
    # Commands, as a person calls them.
    "cli.demo": "tests/integration/test_demo.py",
    "cli.doctor": "tests/integration/test_doctor.py",
    "cli.history": "tests/integration/test_cli.py",
    "cli.record": "tests/integration/test_recorder.py",
    "cli.report": "tests/unit/exporters/test_report.py",
    "cli.serve": "tests/integration/test_dashboard_security.py",
    "cli.show": "tests/integration/test_cli.py",
    "cli.top": "tests/integration/test_top.py",
    "cli.watch": "tests/integration/test_watch.py",
    "demo.corpus": "tests/unit/demo/test_run.py",
    "demo.report": "tests/unit/demo/test_run.py",
    "demo.work": "tests/unit/demo/test_run.py",
    # The server, through its addresses.
    "dashboard": "tests/integration/test_dashboard_mounted.py",
    "dashboard.analyses": "tests/integration/test_dashboard.py",
    "dashboard.answer": "tests/integration/test_dashboard.py",
    "dashboard.app": "tests/integration/test_dashboard.py",
    "dashboard.changes": "tests/integration/test_dashboard.py",
    "dashboard.encode": "tests/integration/test_dashboard.py",
    "dashboard.feed": "tests/integration/test_dashboard.py",
    "dashboard.page": "tests/integration/test_dashboard.py",
    "dashboard.problem": "tests/integration/test_dashboard.py",
    "dashboard.security": "tests/integration/test_dashboard_security.py",
    "dashboard.server": "tests/integration/test_dashboard_security.py",
    "dashboard.state.boards": "tests/integration/test_dashboard.py",
    "dashboard.state.charts": "tests/integration/test_dashboard.py",
    "dashboard.state.looks": "tests/integration/test_dashboard.py",
    "dashboard.state.places": "tests/integration/test_dashboard_security.py",
    "dashboard.state.removed": "tests/integration/test_dashboard.py",
    "dashboard.state.throughput": "tests/integration/test_dashboard.py",
    "dashboard.state.workers": "tests/integration/test_dashboard.py",
    "dashboard.stream": "tests/integration/test_dashboard.py",
    "exporters._plots": "tests/unit/exporters/test_report.py",
    "exporters.prometheus": "tests/integration/test_dashboard.py",
    # Three trackers, one contract.
    "analysis": "tests/unit/analysis/test_names.py",
    "analysis.attachment": "tests/integration/test_analysis.py",
    "analysis.copies": "tests/unit/analysis/test_contract.py",
    "analysis.document": "tests/unit/analysis/test_contract.py",
    "analysis.memory": "tests/unit/analysis/test_contract.py",
    "analysis.past": "tests/integration/test_analysis.py",
    "analysis.rows": "tests/unit/analysis/test_contract.py",
    "analysis.shared": "tests/unit/analysis/test_contract.py",
    "analysis.snapshots": "tests/integration/test_analysis_snapshots.py",
    "analysis.storage": "tests/unit/analysis/test_files.py",
    "analysis.switch": "tests/unit/analysis/test_names.py",
    # One suite over the engine and its stand-in, and what both share.
    "standin.board": "tests/unit/standin/test_standin.py",
    "standin.nobody": "tests/unit/tasks/test_current.py",
    "standin.records": "tests/unit/standin/test_standin.py",
    "standin.slots": "tests/unit/tasks/test_checks.py",
    "standin.task": "tests/unit/standin/test_standin.py",
    "tasks.counting": "tests/integration/test_counting.py",
    "tasks.ending": "tests/unit/bars/test_track.py",
    "tasks.methods": "tests/unit/engine/test_task.py",
    "tasks.metrics": "tests/unit/tasks/test_checks.py",
    "tasks.results": "tests/unit/engine/test_task.py",
    # What is drawn, and the views that it is drawn from.
    "terminal.row": "tests/unit/terminal/test_painter.py",
    "top.app": "tests/integration/test_top.py",
    "top.follow": "tests/integration/test_top.py",
    "top.order": "tests/integration/test_top.py",
    "top.table": "tests/integration/test_top.py",
    "views.summary": "tests/unit/terminal/test_plain.py",
    "views.task_view": "tests/unit/native/test_records.py",
}
MODULES_WITH_CODE = sorted(
    name
    for name, path in MODULES.items()
    if path.suffix != ".pxi" and path.read_text()  # parts of native.core; empty ones
)


def own_test(module: str) -> str:
    """Where the unit test of a module is: an underscore before its name is not part of the test's."""
    *rooms, name = module.split(".")
    return "/".join(("tests", "unit", *rooms, f"test_{name.lstrip('_')}.py"))


@pytest.mark.parametrize("module", MODULES_WITH_CODE)
def test_a_module_has_a_test_beside_it_or_a_reason(module: str) -> None:
    has_own = (ROOT / own_test(module)).is_file()
    if module in ELSEWHERE:
        assert not has_own, f"{own_test(module)} is there: take {module} off the list"
    else:
        assert has_own, f"{own_test(module)} is missing: write it, or say in ELSEWHERE what tests {module}"


def test_the_reasons_are_about_modules_and_tests_that_there_are() -> None:
    assert set(ELSEWHERE) <= set(MODULES_WITH_CODE)
    assert not [path for path in ELSEWHERE.values() if not (ROOT / path).is_file()]


def test_rooms_of_tests_are_rooms_of_the_package() -> None:
    rooms = {name.partition(".")[0] for name in MODULES}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders - {"rules", "ci"} <= rooms
