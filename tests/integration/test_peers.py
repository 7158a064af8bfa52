"""What `ci/bench --peers` says of others and of Headway is measured: here of some that need little to be installed.

Figures are not looked at, only what holds on every machine: who sees a count, what a kill takes, what outlives an end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

ROOT = Path(__file__).resolve().parents[2]

MEASURE = """
import dataclasses, json, sys
from benchmarks.peers import side_by_side

if __name__ == "__main__":
    found = side_by_side.compare("", lambda text: None, quick=True, only=sys.argv[1:])
    print(json.dumps([dataclasses.asdict(one) for one in found.peers]))
"""


def measured(run_python: RunPython, title: str) -> dict[str, Any]:
    done = run_python(MEASURE, title, env={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}, timeout_s=100)
    found: dict[str, Any]
    (found,) = json.loads(done.stdout)
    assert found["title"] == title
    assert min(found["cost"]) > 0
    assert len(found["job"]) == 2 * len(found["cost"])
    return found


@pytest.mark.parametrize("title", ["Headway", "SQLite, WAL", "the file tracker of this package"])
def test_what_is_kept_under_a_name_is_seen_by_any_process_and_outlives_kills(title: str, run_python: RunPython) -> None:
    found = measured(run_python, title)
    assert found["late"]["by"] == "any process"
    assert found["late"]["never"] == 0
    assert min(found["late"]["seconds"]) > 0, "nothing is seen before it is done"
    assert found["kill"]["acknowledged"] > 0
    assert (found["kill"]["lost"], found["kill"]["blocked"]) == (0, 0)
    assert (found["ends"], found["killed"]) == (100, 100)
    assert found["why"] == {}


def test_a_bar_is_seen_by_nobody_else_and_dies_with_its_program(run_python: RunPython) -> None:
    found = measured(run_python, "tqdm")
    assert found["late"] == {"by": "its program", "seconds": [], "never": 2}
    assert found["kill"]["lost"] == found["kill"]["acknowledged"] > 0
    assert (found["ends"], found["killed"]) == (None, None)
    assert found["why"].keys() == {"ends", "killed"}


def test_a_value_is_seen_by_its_program_alone(run_python: RunPython) -> None:
    found = measured(run_python, "multiprocessing.Value")
    assert (found["late"]["by"], found["late"]["never"]) == ("its program", 0)
    assert found["kill"]["lost"] == 0
    assert (found["ends"], found["killed"]) == (None, None)


HANGS = """
import sys, time
from pathlib import Path
from benchmarks.peers.host import Host
from benchmarks.peers.stores import PlainInt

class Hangs(PlainInt):
    title = "hangs"
    def cost(self):
        time.sleep(600)

if __name__ == "__main__":
    host = Host(Hangs, Path(sys.argv[1]))
    print(*host.ask("cost", within_s=0.5))
    print(host.ask("job", 100, 20)[1] or "goes on")
    host.end()
"""


def test_a_peer_that_hangs_is_killed_and_goes_on_with_the_next(run_python: RunPython, tmp_path: Path) -> None:
    done = run_python(HANGS, str(tmp_path), env={"PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines() == ["None hung: no answer in 0.5 s, killed", "goes on"]


PAGES = """
import sys
from pathlib import Path
from benchmarks import pages
from benchmarks.scaling.sizes import SIZES, fit

page = Path(sys.argv[1])
page.write_text("head\\n<!-- what `x` wrote -->\\nold\\n<!-- end -->\\ntail\\n")
for _ in range(2):
    pages.write(page, "x", pages.markdown([["a", "b"], ["1", "2"]]))
print(page.read_text(), end="")
try:
    pages.write(page, "y", [])
except ValueError as error:
    print("refused")
base, slope, off = fit([2e-6 + 3e-9 * size for size in SIZES])
print(f"{base:.3g} {slope:.3g} {off:.3f}")
print(f"{fit([2e-6 + (3e-9 if size < 50_000 else 6e-9) * size for size in SIZES])[2] > 0.2}")
"""


def test_what_was_measured_replaces_what_stood_there_and_a_bend_is_told(run_python: RunPython, tmp_path: Path) -> None:
    done = run_python(PAGES, str(tmp_path / "page.md"), env={"PYTHONPATH": str(ROOT)})
    table = ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
    page = ["head", "<!-- what `x` wrote -->", *table, "<!-- end -->", "tail"]
    assert done.stdout.splitlines() == [*page, "refused", "2e-06 3e-09 0.000", "True"]
