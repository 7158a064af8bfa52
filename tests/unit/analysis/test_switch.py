"""The switch HEADWAY_ANALYSIS_TRACKER: which tracker programs get that were written for another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunPython

SWITCH = "HEADWAY_ANALYSIS_TRACKER"

# A program as it was written before: it knows of one tracker, by its old name.
OLD_PROGRAM = """
import multiprocessing, os, sys
import headway.analysis
from {module} import {name}

def work():
    assert {name}.update_stage("one", "data_fetch") is {elsewhere}
    assert ({name}.get_progress("one") is not None) is {elsewhere}

if __name__ == "__main__":
    files = lambda: sorted(name for _, _, names in os.walk(os.environ["TMPDIR"]) for name in names)
    assert not files(), files()
    {name}.start_analysis("BTC", "one")
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
    kind = next(kind for kind in {kinds} if isinstance({name}, getattr(headway.analysis, kind)))
    print(child.exitcode, {name}.get_progress("one").current_stage, kind)
    print(any(name.endswith(".json") for name in files()))
"""
CLASS_OF = {
    "shared": "SharedMemoryProgressTracker",
    "file": "FileBasedProgressTracker",
    "memory": "AnalysisProgressTracker",
}


@pytest.mark.parametrize("kind", [None, *CLASS_OF])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("file_based_progress_tracker", "file_progress_tracker"),
        ("headway.analysis", "file_progress_tracker"),
        ("headway.analysis", "progress_tracker"),
    ],
)
def test_an_old_program_gets_the_tracker_that_the_environment_names(
    module: str, name: str, kind: str | None, run_python: RunPython, tmp_path: Path
) -> None:
    expected = kind or ("memory" if name == "progress_tracker" else "file")
    environment: dict[str, str | None] = {SWITCH: kind, "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    kinds = [CLASS_OF[one] for one in ("shared", "memory", "file")]
    script = OLD_PROGRAM.format(module=module, name=name, elsewhere=expected != "memory", kinds=kinds)
    try:
        done = run_python(script, env=environment)
    finally:
        if expected == "shared":
            run_python("from headway.engine.board import open_board; open_board('analysis').remove(files=True)")
    stage = "initializing" if expected == "memory" else "data_fetch"
    assert done.stdout.split() == ["0", stage, CLASS_OF[expected], str(expected == "file")], done.stderr


def test_a_mistyped_switch_does_not_end_an_old_program(run_python: RunPython, tmp_path: Path) -> None:
    script = """
from file_based_progress_tracker import *
import file_based_progress_tracker, headway.analysis
assert type(file_progress_tracker) is FileBasedProgressTracker is headway.analysis.FileBasedProgressTracker
assert isinstance(headway.analysis.progress_tracker, headway.analysis.AnalysisProgressTracker)
"""
    done = run_python(script, env={SWITCH: "redis", "TMPDIR": str(tmp_path)})
    assert "RuntimeWarning: HEADWAY_ANALYSIS_TRACKER 'redis' is unknown, file is used" in done.stderr
    assert done.stderr.count("RuntimeWarning: ") == 2, "once for each of the two names"


WHOLE = """
import os, sys
from file_based_progress_tracker import *
base = sys.argv[1]
other, same = FileBasedProgressTracker(base), FileBasedProgressTracker(base_dir=os.path.join(base, "."))
assert isinstance(file_progress_tracker, FileBasedProgressTracker)
assert isinstance(other, FileBasedProgressTracker)
file_progress_tracker.start_analysis("BTC", "one")
other.start_analysis("ETH", "two")
known = lambda tracker: sorted(record.execution_id for record in tracker.get_all_recent())
assert known(FileBasedProgressTracker()) == known(file_progress_tracker) == ["one"], known(FileBasedProgressTracker())
assert known(FileBasedProgressTracker(os.environ["TMPDIR"])) == ["one"], "the default by its own name"
assert known(same) == known(other) == ["two"], known(same)
assert isinstance(other.get_progress("two"), AnalysisProgress)
assert other.progress_dir == __import__("pathlib").Path(base, "analysis_progress")
assert os.fspath(other._get_progress_file_path("a b")).endswith("progress_a b.json")
other.update_ml_prediction("two", MLPredictionResult("ok"))
other.update_market_context("two", MarketContextResult("ok"))
other.update_leverage_decision("two", LeverageDecisionResult("ok"))
other.update_support_resistance("two", SupportResistanceResult("ok"))
import pickle
assert known(pickle.loads(pickle.dumps(other))) == ["two"]
assert type(pickle.loads(pickle.dumps(other))) is type(other)
class Mine(FileBasedProgressTracker):
    pass
assert known(Mine(base_dir=base)) == ["two"]
print(other.get_progress("two").market_context.status, os.path.exists(os.path.join(base, "analysis_progress")))
"""


@pytest.mark.parametrize("kind", [None, *CLASS_OF])
def test_the_switch_changes_class_and_instance_alike(kind: str | None, run_python: RunPython, tmp_path: Path) -> None:
    base, temporary, boards = (tmp_path / name for name in ("base", "temporary", "boards"))
    base.mkdir()
    temporary.mkdir()
    environment: dict[str, str | None] = {SWITCH: kind, "TMPDIR": str(temporary), "HEADWAY_DIR": str(boards)}
    try:
        done = run_python(WHOLE, str(base), env=environment)
    finally:
        for board in boards.iterdir() if boards.exists() else ():
            removal = (
                "import sys; from headway.engine.board import open_board; open_board(sys.argv[1]).remove(files=True)"
            )
            run_python(removal, board.name, env=environment)
    assert done.stdout.split() == ["ok", str(kind in (None, "file"))], done.stderr


@pytest.mark.parametrize("kind", CLASS_OF)
def test_what_goes_wrong_is_told_with_the_class_that_the_program_imported(kind: str, run_python: RunPython) -> None:
    script = """
from file_based_progress_tracker import *
class Mine(FileBasedProgressTracker):
    pass
file_progress_tracker.update_stage("", "data_fetch")
Mine(base_dir="/proc/none").update_stage("", "data_fetch")
"""
    told = run_python(script, env={SWITCH: kind}).stderr
    for name in ("FileBasedProgressTracker", "Mine"):
        assert f": {name}.update_stage('') did nothing: ValueError" in told
        assert f" {name}(strict=True) raises instead" in told
    assert "InPlaceOfFiles" not in told
