"""Tests mirror the rooms: tests/unit/ROOM/test_MODULE.py is about that module. Modules without one give a reason."""

from __future__ import annotations

import pytest

from tests.rooms import MODULES, ROOT

PROCESS = "the main function of a helper process: its tests start one"
HELPED = "only does something beside a helper process: its tests start one"
COMMAND = (
    "a command reads its arguments and prints; what it prints is tested where it is made, the rest as people call it"
)
MAP = "a part of a map: processes and threads do its work"
SERVER = "a part of the server, which is tested through its addresses"

# Modules without a unit test of their own, each with the tests that hold it, and why they are elsewhere.
ELSEWHERE = {
    "__init__": ("tests/unit/test_public.py", "the public names"),
    "__main__": ("tests/integration/test_cli.py", "one line, run by each of these tests"),
    "api": ("tests/unit/test_public.py", "the public functions"),
    "native.core": ("tests/unit/native/test_segment.py", "includes its parts, which have tests of their names"),
    "process.drawing": ("tests/integration/test_live.py", "numbers of descriptors and signals, nothing else"),
    "standin.slots": ("tests/unit/tasks/test_checks.py", "one suite over the engine and its stand-in"),
    "process.notebook": ("tests/integration/test_notebook.py", "needs a notebook's kernel"),
    "bars.loop": ("tests/unit/bars/test_track.py", "the loops of headway.track are such loops"),
    "integrations.home": ("tests/unit/integrations/test_tqdm.py", "where bars go, and what is told where they cannot"),
    "integrations.joblib_calls": ("tests/unit/integrations/test_joblib.py", "a call as a task"),
    "integrations.joblib_install": ("tests/unit/integrations/test_joblib.py", "which calls are tasks"),
    "integrations.joblib_place": ("tests/unit/integrations/test_joblib.py", "where they are taken"),
    "integrations.sklearn_fits": ("tests/unit/integrations/test_sklearn.py", "what the callback sees"),
    "integrations.mirror": ("tests/unit/integrations/test_tqdm.py", "what it mirrors are bars of tqdm"),
    "integrations.tqdm_hooks": ("tests/unit/integrations/test_tqdm.py", "what it hooks are bars of tqdm"),
    "integrations.tqdm_place": ("tests/unit/integrations/test_tqdm.py", "where the hooks are put"),
    "integrations.startup.sitecustomize": ("tests/integration/test_run.py", "is imported by a Python that starts"),
    "cli.exec": ("tests/integration/test_exec.py", COMMAND),
    "cli._child": ("tests/integration/test_exec.py", COMMAND),
    "cli._relay": ("tests/integration/test_exec.py", COMMAND),
    "cli._task": ("tests/integration/test_exec.py", COMMAND),
    "cli.run": ("tests/integration/test_run.py", COMMAND),
    "bars.board_process": ("tests/integration/test_live.py", PROCESS),
    "bars.loops_process": ("tests/integration/test_live_loops.py", PROCESS),
    "bars.drawer": ("tests/integration/test_live.py", "draws on what its process was handed"),
    "bars.loops_drawer": ("tests/integration/test_live_loops.py", "draws on what its process was handed"),
    "recorder.recorder_process": ("tests/integration/test_one_recorder.py", PROCESS),
    "recorder.old_loops": ("tests/unit/files/test_loops.py", "which boards go, and that they do"),
    "recorder.recorder": ("tests/integration/test_recorder.py", HELPED),
    "pools.crew": ("tests/unit/pools/test_maps.py", "what is said between a map and its workers"),
    "pools.mapping": ("tests/integration/test_maps.py", MAP),
    "pools.processes": ("tests/integration/test_maps.py", MAP),
    "pools.work": ("tests/integration/test_maps.py", MAP),
    "pools.worker": ("tests/integration/test_maps.py", MAP),
    "cli.demo": ("tests/integration/test_demo.py", COMMAND),
    "cli.serve": ("tests/integration/test_dashboard_security.py", COMMAND),
    "cli.top": ("tests/integration/test_top.py", COMMAND),
    "top.chosen": ("tests/unit/top/test_pictures.py", "the screen, as pictures"),
    "top.help": ("tests/unit/top/test_pictures.py", "the screen, as pictures"),
    "top.app": ("tests/integration/test_top.py", "the whole screen, with keys pressed"),
    "dashboard": ("tests/integration/test_dashboard_mounted.py", "makes the server"),
    "dashboard.analyses": ("tests/integration/test_dashboard_mounted.py", SERVER),
    "dashboard.app": ("tests/integration/test_dashboard.py", SERVER),
    "dashboard.feed": ("tests/integration/test_dashboard.py", SERVER),
    "dashboard.security": ("tests/integration/test_dashboard_security.py", SERVER),
    "dashboard.state.boards": ("tests/integration/test_dashboard.py", SERVER),
    "dashboard.stream": ("tests/integration/test_dashboard.py", SERVER),
    "analysis.past": ("tests/integration/test_analysis.py", "one suite over all trackers"),
    "analysis.shared": ("tests/unit/analysis/test_contract.py", "one suite over all trackers"),
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
    assert not [path for path, _ in ELSEWHERE.values() if not (ROOT / path).is_file()]


def test_rooms_of_tests_are_rooms_of_the_package() -> None:
    rooms = {name.partition(".")[0] for name in MODULES}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders - {"rules", "ci"} <= rooms
