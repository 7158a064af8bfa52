"""The names by which programs know the trackers, and the switch that gives them another one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway import analysis, errors

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_importing_makes_nothing_on_any_disk(run_python: RunPython, tmp_path: Path) -> None:
    script = """
import os
from file_based_progress_tracker import FileBasedProgressTracker, file_progress_tracker
import headway.analysis
from headway.analysis import *
assert isinstance(file_progress_tracker, FileBasedProgressTracker)
assert AnalysisProgressTracker() is AnalysisProgressTracker() is progress_tracker
assert shared_progress_tracker.get_progress("one") is None
print(os.listdir(os.environ["TMPDIR"]), os.path.exists(os.environ["HEADWAY_DIR"]))
file_progress_tracker.get_progress("one")
print(os.listdir(os.environ["TMPDIR"]))
"""
    (tmp_path / "temporary").mkdir()
    done = run_python(script, env={"TMPDIR": str(tmp_path / "temporary"), SWITCH: None})
    assert done.stdout.splitlines() == ["[] False", "['analysis_progress']"]


@pytest.mark.parametrize("kind", ["redis", "Shared", " file"])
def test_an_unknown_tracker_is_an_error_that_names_the_choices(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, kind)
    asking: list[Callable[[], object]] = [analysis.tracker, lambda: analysis.tracker(kind)]
    for ask in asking:
        with pytest.raises(errors.UnknownTracker, match="choose one of shared, file, memory") as caught:
            ask()
        assert repr(kind) in str(caught.value)
    assert analysis.shared_progress_tracker.name == "analysis"


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


def test_what_the_program_asks_for_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "memory")
    assert type(analysis.tracker("shared")).__name__ == CLASS_OF["shared"]
    assert type(analysis.tracker()).__name__ == CLASS_OF["memory"]
    monkeypatch.setenv(SWITCH, "")
    assert type(analysis.tracker()).__name__ == CLASS_OF["file"]


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing: Any = getattr(analysis, name)
    if not callable(thing):
        thing = type(thing)
    assert vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    for method, value in vars(thing).items() if inspect.isclass(thing) else ():
        if callable(value) and not method.startswith("_"):
            assert value.__doc__, f"{name}.{method} has no docstring"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import file_based_progress_tracker

    for module in (analysis, file_based_progress_tracker):
        name = "no_such_name"
        with pytest.raises(AttributeError, match=f"{module.__name__}.*no_such_name"):
            getattr(module, name)


def test_the_package_is_imported_without_its_trackers(run_python: RunPython) -> None:
    script = """
import sys
import headway.analysis
print(sorted(name for name in sys.modules if name.startswith("headway.analysis.")))
from headway.analysis import FileBasedProgressTracker
print("headway.analysis.shared" in sys.modules, "multiprocessing" in sys.modules, "numpy" in sys.modules)
"""
    assert run_python(script).stdout.splitlines() == ["[]", "False False False"]
