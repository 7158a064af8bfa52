"""The programs over real prices, with each tracker: what they find, how they end early or fail, who survives a kill.

Every program runs as a user would run it, in processes of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway import maintenance
from headway.analysis import FileBasedProgressTracker, ProgressTracker, tracker
from headway.board import open_board

if TYPE_CHECKING:
    from tests.conftest import RunPython

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRACKERS = ("shared", "file", "memory")
ACROSS = ("shared", "file")  # those that tell other processes
WAIT_S = 60.0
LEVELS_FROM, LEVELS_TO = 1100.0, 7700.0  # no price of the chosen symbols lies outside
STAGES = ["support_resistance", "ml_prediction", "market_context", "leverage_decision"]


@dataclass(frozen=True)
class Place:
    """A tracker, and a directory of its own for its files."""

    kind: str
    directory: Path

    @property
    def arguments(self) -> tuple[str, ...]:
        return "--tracker", self.kind, "--dir", str(self.directory), "--json"

    def opened(self) -> ProgressTracker:
        """As another process sees it: this one."""
        return FileBasedProgressTracker(self.directory) if self.kind == "file" else tracker(self.kind)


@pytest.fixture(params=TRACKERS)
def place(request: pytest.FixtureRequest, headway_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    yield Place(request.param, headway_dir)
    for name in ("analysis", "totals"):
        if maintenance.find(name) is not None:
            open_board(name, record=False).unlink()


def report_of(run_python: RunPython, program: str | Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """What a program prints as JSON, and what it says meanwhile."""
    script = EXAMPLES / program if isinstance(program, str) and program.endswith(".py") else program
    finished = run_python(script, *arguments, timeout_s=WAIT_S)
    assert "Warning" not in finished.stderr, finished.stderr
    report: dict[str, Any] = json.loads(finished.stdout)
    return report, finished.stderr


def analyses_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {analysis["symbol"]: analysis for analysis in report["analyses"]}
    assert len(found) == len(report["analyses"])
    return found


# ------------------------------------------------------------------------------------------------------------ training


def test_training_fills_the_results_with_what_it_finds(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-1999-2003", "NASDAQ-2014-2018", "--time-frames", "2D", "1W")
    report, _ = report_of(run_python, "auto_symbol_training.py", *chosen, *place.arguments)
    assert (report["success"], report["failed"], report["broken_pools"]) == (4, 0, 0)
    for symbol, analysis in analyses_of(report).items():
        assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed"), symbol
        assert analysis["final_signal"] in ("signal_detected", "no_signal")
        assert {analysis[stage]["status"] for stage in STAGES} == {"success"}
        levels = analysis["support_resistance"]
        assert len(levels["supports"]) == levels["supports_count"]
        assert len(levels["resistances"]) == levels["resistances_count"]
        close = float(analysis["final_message"].split()[2].rstrip(","))
        assert all(level["price"] <= close for level in levels["supports"])
        assert all(level["price"] > close for level in levels["resistances"])
        both = levels["supports"] + levels["resistances"]
        assert both
        assert all(LEVELS_FROM / 2 < level["price"] < LEVELS_TO and 0 < level["strength"] <= 1 for level in both)
        assert max(level["strength"] for level in both) == 1
        assert analysis["ml_prediction"]["predictions_count"] > 90
        assert 0.3 < analysis["ml_prediction"]["confidence"] < 0.8  # of an index, nobody knows more
        assert analysis["market_context"]["trend_direction"] in ("up", "down", "sideways")
        assert analysis["market_context"]["market_phase"] in ("calm", "normal", "turbulent")
        decision = analysis["leverage_decision"]
        assert 0 < decision["recommended_leverage"] <= 5
        assert 0.5 <= decision["confidence_level"] <= 1
        assert decision["risk_reward_ratio"] > 0
    daily = analyses_of(report)["NASDAQ-2014-2018 2D"]
    assert daily["market_context"] == {
        "status": "success",
        "trend_direction": "down",  # the end of 2018
        "market_phase": "turbulent",
        "error_message": "",
    }


def test_training_ends_early_where_there_are_no_levels(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "NASDAQ-1999-2003", "--time-frames", "1M")
    report, _ = report_of(run_python, "auto_symbol_training.py", *chosen, *place.arguments)
    (analysis,) = report["analyses"]
    assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed")
    assert analysis["final_signal"] == "no_signal"
    assert analysis["final_message"] == "no price turned the market 3 times"
    assert [analysis[stage]["status"] for stage in STAGES] == ["success", "pending", "pending", "pending"]
    assert analysis["support_resistance"]["supports"] == analysis["support_resistance"]["resistances"] == []


def test_training_that_fails_says_in_which_stage(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-2014-2018", "NIKKEI", "--time-frames", "1M")
    report, _ = report_of(run_python, "auto_symbol_training.py", *chosen, *place.arguments)
    assert (report["success"], report["failed"]) == (0, 2)
    short, unknown = (analyses_of(report)[symbol] for symbol in ("SP500-2014-2018 1M", "NIKKEI 1M"))
    assert short["failure_stage"] == "ml_prediction"
    assert "bars are too few" in short["final_message"]
    assert short["ml_prediction"]["status"] == "failed"
    assert short["ml_prediction"]["error_message"] == short["final_message"]
    assert short["support_resistance"]["status"] == "success"
    assert unknown["failure_stage"] == "data_fetch"
    assert unknown["final_message"].startswith("UnknownSymbol: there is no symbol 'NIKKEI'")
    assert short["final_signal"] == unknown["final_signal"] == "no_signal"


def test_another_process_knows_of_the_training_what_the_tracker_tells_it(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-2009-2013", "NASDAQ-1999-2003", "--time-frames", "2W")
    report, _ = report_of(run_python, "auto_symbol_training.py", *chosen, *place.arguments)
    mine = place.opened()
    told = [mine.get_progress(analysis["execution_id"]) for analysis in report["analyses"]]
    if place.kind == "memory":
        assert told == [None, None]
    else:
        assert [progress and progress.to_dict() for progress in told] == report["analyses"]
        recent = {progress.execution_id for progress in mine.get_all_recent()}
        assert recent == {analysis["execution_id"] for analysis in report["analyses"]}
        assert mine.get_active_executions() == []


# One stage of the training kills its process, as a fault in a native library would.
CRASHING = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import auto_symbol_training as training

context = training.context

def crashing_context(bars):
    if len(bars) < 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return context(bars)

training.context = crashing_context
if __name__ == "__main__":
    training.main()
"""


def test_training_that_kills_its_worker_costs_nobody_else(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-2014-2018", "SP500-2009-2013", "--time-frames", "1W", "2W")
    report, said = report_of(run_python, CRASHING, *chosen, *place.arguments, "--workers", "2")
    found = analyses_of(report)
    assert (report["success"], report["failed"]) == (2, 2)
    assert report["broken_pools"] >= 1
    assert "a worker died; run again, one by one: " in said
    for symbol in ("SP500-2014-2018 2W", "SP500-2009-2013 2W"):
        assert found[symbol]["overall_status"] == "failed"
        assert found[symbol]["failure_stage"] == ("initializing" if place.kind == "memory" else "market_context")
        assert found[symbol]["final_message"]
    for symbol in ("SP500-2014-2018 1W", "SP500-2009-2013 1W"):
        assert found[symbol]["overall_status"] == "success"


# ----------------------------------------------------------------------------------------------------------- backtests


def test_every_backtest_is_done_once_and_counted_once(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-2004-2008", "NASDAQ-2009-2013", "--chunk", "4")
    report, _ = report_of(run_python, "scalable_analysis_system.py", *chosen, *place.arguments)
    assert report["done"] == report["of"] == len(report["backtests"]) == 2 * 5 * 6
    assert report["counted"] == (60 if place.kind == "shared" else None)
    assert (report["failed_chunks"], report["broken_pools"]) == ([], 0)
    triples = Counter((each["symbol"], each["time_frame"], each["strategy"]) for each in report["backtests"])
    assert set(triples.values()) == {1}
    for each in report["backtests"]:
        assert -1 < each["profit"] < 10
        assert -5 < each["sharpe"] < 5
        assert 0 <= each["drawdown"] < 1
        assert each["trades"] >= 0
    held = {each["time_frame"]: each for each in report["backtests"] if each["strategy"] == "hold"}
    assert {each["trades"] for each in held.values()} == {0}
    fallen = next(
        each for each in report["backtests"] if each["symbol"] == "SP500-2004-2008" and each["strategy"] == "hold"
    )
    assert fallen["profit"] < -0.25  # the autumn of 2008
    assert fallen["drawdown"] > 0.4
    for analysis in report["analyses"]:
        assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed")
        assert analysis["final_signal"] in ("signal_detected", "no_signal")
        assert 0 < analysis["leverage_decision"]["recommended_leverage"] <= 5
        assert 0 <= analysis["leverage_decision"]["confidence_level"] <= 1
        assert analysis["final_message"].startswith("best: ")
    if place.kind in ACROSS:
        progress = place.opened().get_progress(report["analyses"][0]["execution_id"])
        assert progress is not None
        assert progress.to_dict() == report["analyses"][0]


# What somebody might add: a strategy with a fault, and one that brings its process down.
POISONED = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import scalable_analysis_system as system

def faulty(bars):
    return 1 / (len(bars) - len(bars))

def poisonous(bars):
    os.kill(os.getpid(), signal.SIGKILL)

system.STRATEGIES["faulty"] = (faulty, [()])
system.STRATEGIES["poisonous"] = (poisonous, [()])
if __name__ == "__main__":
    system.main()
"""


def test_a_chunk_that_fails_or_kills_its_worker_costs_only_itself(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-1999-2003", "--chunk", "2", "--workers", "2")
    report, said = report_of(run_python, POISONED, *chosen, *place.arguments)
    # Two in each chunk, in the order of the table: of each time frame the last chunk holds both new ones.
    assert [chunk["pairs"][0][1] for chunk in report["failed_chunks"]] == ["faulty"] * 5
    assert report["done"] == 30
    assert report["of"] == 40
    assert report["counted"] == (30 if place.kind == "shared" else None)
    assert "a worker died" not in said


def test_a_worker_that_is_killed_again_and_again_is_told_from_the_others(run_python: RunPython, place: Place) -> None:
    chosen = ("--symbols", "SP500-1999-2003", "NOWHERE", "--chunk", "1", "--workers", "2")
    report, said = report_of(run_python, POISONED, *chosen, *place.arguments)
    errors = {
        tuple(chunk["pairs"][0]): chunk["error"] for chunk in report["failed_chunks"] if chunk["symbol"] != "NOWHERE"
    }
    frames = ["1D", "2D", "1W", "2W", "1M"]
    assert set(errors) == set(itertools.product(frames, ("faulty", "poisonous")))
    assert {errors[frame, "faulty"] for frame in frames} == {"ZeroDivisionError: division by zero"}
    assert {errors[frame, "poisonous"] for frame in frames} == {"its worker was killed, twice"}
    assert report["broken_pools"] >= 1
    assert "a worker died; chunks to run again" in said
    assert (report["done"], report["of"]) == (30, 80)
    assert report["counted"] == (30 if place.kind == "shared" else None)
    first, nowhere = report["analyses"]
    assert first["overall_status"] == "success"
    assert "; 10 chunks failed: " in first["final_message"]
    assert (nowhere["overall_status"], nowhere["failure_stage"]) == ("failed", "backtest")
    assert nowhere["final_message"].startswith("UnknownSymbol: ")


# -------------------------------------------------------------------------------------------------- kills from outside


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # it has ended
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_a_worker(program: subprocess.Popen[str], place: Place) -> None:
    """SIGKILL one as soon as the program is at work."""
    deadline = time.monotonic() + WAIT_S
    while not (place.opened().get_active_executions() and (workers := children_of(program.pid))):
        assert program.poll() is None, "it has ended before"
        assert time.monotonic() < deadline, "it does not begin"
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("place", ACROSS, indirect=True)
@pytest.mark.parametrize("program", ["auto_symbol_training.py", "scalable_analysis_system.py"])
def test_a_worker_killed_from_outside_leaves_nothing_undone(program: str, place: Place) -> None:
    command = [sys.executable, str(EXAMPLES / program), *place.arguments, "--workers", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            kill_a_worker(process, place)
            out, said = process.communicate(timeout=WAIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    report = json.loads(out)
    assert report["broken_pools"] == 1
    assert "a worker died" in said
    if program == "auto_symbol_training.py":
        failed = {
            each["symbol"]: each["final_message"] for each in report["analyses"] if each["overall_status"] == "failed"
        }
        assert list(failed) == ["SP500-2014-2018 1M"], failed  # which has too few bars
        assert report["success"] == 39
    else:
        assert report["done"] == report["of"] == 240
        assert report["failed_chunks"] == []
        assert report["counted"] == (240 if place.kind == "shared" else None)
    assert place.opened().get_active_executions() == []
