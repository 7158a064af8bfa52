"""The public names of headway.analysis, and which tracker each name gives."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway import analysis, errors
from headway.analysis import model
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

SWITCH = "HEADWAY_ANALYSIS_TRACKER"

CLASS_OF = {
    "shared": "SharedMemoryProgressTracker",
    "file": "FileBasedProgressTracker",
    "memory": "AnalysisProgressTracker",
}


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


def test_the_page_lists_every_call_with_its_arguments_and_every_field_with_its_default() -> None:
    page = (ROOT / "docs" / "analysis.md").read_text()
    rows = {cells[1].strip(" `"): cells[2] for cells in (line.split("|") for line in page.splitlines() if "|" in line)}
    for name, call in vars(analysis.ProgressTracker).items():
        if inspect.isfunction(call) and not name.startswith("_"):
            _, *arguments = inspect.signature(call).parameters.values()
            told = (one.name if one.default is one.empty else f"{one.name}={shown(one.default)}" for one in arguments)
            assert f"{name}({', '.join(told)})" in rows
    for kind in (analysis.AnalysisProgress, *model.RESULTS.values()):
        for field in dataclasses.fields(kind):
            default = [] if field.default_factory is list else field.default
            told_as = field.name if default is dataclasses.MISSING else f"{field.name}={shown(default)}"
            assert f"`{told_as}`" in rows[kind.__name__]


def shown(default: object) -> str:
    return repr(default).replace("'", '"')


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
