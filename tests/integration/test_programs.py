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
from typing import Any

import pytest

import headway
from headway.analysis import (
    AnalysisProgressTracker,
    FileBasedProgressTracker,
    ProgressTracker,
    SharedMemoryProgressTracker,
)
from headway.engine.board import open_board
from headway.upkeep import listing

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRACKERS = ("shared", "file", "memory")
ACROSS = ("shared", "file")  # those that tell other processes
WAIT_S = 100.0
STAGES = ["support_resistance", "ml_prediction", "market_context", "leverage_decision"]
LEVELS = (500.0, 9000.0)  # no price of the two indices lies outside


def tracker_of(kind: str, directory: Path) -> ProgressTracker:
    """One of its own: the process-wide one would hold what it has looked at last."""
    if kind == "file":
        return FileBasedProgressTracker(directory)
    return SharedMemoryProgressTracker() if kind == "shared" else AnalysisProgressTracker()


@dataclass(frozen=True)
class Ran:
    """A program that has ended, and the directory of its tracker's files."""

    kind: str
    directory: Path
    report: dict[str, Any]
    said: str

    @property
    def analyses(self) -> dict[str, dict[str, Any]]:
        found = {analysis["symbol"]: analysis for analysis in self.report["analyses"]}
        assert len(found) == len(self.report["analyses"])
        return found

    def tracker(self, monkeypatch: pytest.MonkeyPatch) -> ProgressTracker:
        """As another process sees it: this one."""
        monkeypatch.setenv("HEADWAY_DIR", str(self.directory))
        return tracker_of(self.kind, self.directory)


@contextlib.contextmanager
def running(kind: str, directory: Path, program: str | Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A program at work. In the end its boards are put away; what they told last stays in files."""
    command = [sys.executable, "-W", "always", str(EXAMPLES / program), "--tracker", kind, "--dir", str(directory)]
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as after:
        patch.setenv("HEADWAY_DIR", str(directory))
        patch.setenv("HEADWAY_RECORD", "0")
        after.callback(put_away)
        process = subprocess.Popen(
            [*command, "--json", "--workers", "2", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def put_away() -> None:
    for name in ("analysis", "totals"):
        if listing.find(name) is not None:
            board = open_board(name)
            board.write_snapshot()
            board.remove(files=False)


def ended(process: subprocess.Popen[str], kind: str, directory: Path) -> Ran:
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    assert "Warning" not in said, said
    return Ran(kind, directory, json.loads(out), said)


def run(kind: str, directory: Path, program: str | Path, *arguments: str) -> Ran:
    with running(kind, directory, program, *arguments) as process:
        return ended(process, kind, directory)


# ------------------------------------------------------------------------------------------------------------ training


@pytest.fixture(scope="module", params=TRACKERS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Some symbols: one has no levels, one has too few bars, one does not exist."""
    symbols = ("SP500-2014-2018", "NASDAQ-1999-2003", "NIKKEI")
    arguments = ("--symbols", *symbols, "--time-frames", "1W", "1M")
    return run(request.param, tmp_path_factory.mktemp("trained"), "auto_symbol_training.py", *arguments)


def test_training_fills_the_results_with_what_it_finds(trained: Ran) -> None:
    assert (trained.report["success"], trained.report["failed"], trained.report["broken_pools"]) == (3, 3, 0)
    for symbol in ("SP500-2014-2018 1W", "NASDAQ-1999-2003 1W"):
        analysis = trained.analyses[symbol]
        assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed")
        assert analysis["final_signal"] in ("signal_detected", "no_signal")
        assert {analysis[stage]["status"] for stage in STAGES} == {"success"}
        levels = analysis["support_resistance"]
        assert len(levels["supports"]) == levels["supports_count"]
        assert len(levels["resistances"]) == levels["resistances_count"]
        close = float(analysis["final_message"].split()[2].rstrip(","))
        assert all(level["price"] <= close for level in levels["supports"])
        assert all(level["price"] > close for level in levels["resistances"])
        both = levels["supports"] + levels["resistances"]
        assert all(LEVELS[0] < level["price"] < LEVELS[1] and 0 < level["strength"] <= 1 for level in both)
        assert max(level["strength"] for level in both) == 1
        assert analysis["ml_prediction"]["predictions_count"] > 90
        assert 0.3 < analysis["ml_prediction"]["confidence"] < 0.8  # of an index, nobody knows more
        assert analysis["market_context"]["trend_direction"] in ("up", "down", "sideways")
        assert analysis["market_context"]["market_phase"] in ("calm", "normal", "turbulent")
        decision = analysis["leverage_decision"]
        assert 0 < decision["recommended_leverage"] <= 5
        assert 0.5 <= decision["confidence_level"] <= 1
        assert decision["risk_reward_ratio"] > 0
    phase = {symbol: analysis["market_context"]["market_phase"] for symbol, analysis in trained.analyses.items()}
    assert phase["SP500-2014-2018 1W"] == "turbulent"  # the last weeks of 2018
    assert phase["NASDAQ-1999-2003 1W"] == "calm"  # beside the years before


def test_training_ends_early_where_there_are_no_levels(trained: Ran) -> None:
    analysis = trained.analyses["NASDAQ-1999-2003 1M"]
    assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed")
    assert (analysis["final_signal"], analysis["failure_stage"]) == ("no_signal", "")
    assert analysis["final_message"] == "no price turned the market 3 times"
    assert [analysis[stage]["status"] for stage in STAGES] == ["success", "pending", "pending", "pending"]
    assert analysis["support_resistance"]["supports"] == analysis["support_resistance"]["resistances"] == []


def test_training_that_fails_says_in_which_stage(trained: Ran) -> None:
    short, unknown = (trained.analyses[symbol] for symbol in ("SP500-2014-2018 1M", "NIKKEI 1W"))
    assert short["failure_stage"] == "ml_prediction"
    assert "bars are too few" in short["final_message"]
    assert [short[stage]["status"] for stage in STAGES] == ["success", "failed", "pending", "pending"]
    assert short["ml_prediction"]["error_message"] == short["final_message"]
    assert unknown["failure_stage"] == "data_fetch"
    assert unknown["final_message"].startswith("UnknownSymbol: there is no symbol 'NIKKEI'")
    assert {unknown[stage]["status"] for stage in STAGES} == {"pending"}
    assert short["final_signal"] == unknown["final_signal"] == "no_signal"
    assert short["overall_status"] == unknown["overall_status"] == "failed"


def test_another_process_knows_of_it_what_the_tracker_tells(trained: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = trained.tracker(monkeypatch)
    told = [mine.get_progress(analysis["execution_id"]) for analysis in trained.report["analyses"]]
    if trained.kind == "memory":
        assert set(told) == {None}
    else:
        assert [progress and progress.to_dict() for progress in told] == trained.report["analyses"]
        recent = {progress.execution_id for progress in mine.get_all_recent()}
        assert recent == {analysis["execution_id"] for analysis in trained.report["analyses"]}
        assert mine.get_active_executions() == []


# One stage kills its process, as a fault in a native library would.
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


@pytest.mark.parametrize("kind", TRACKERS)
def test_training_that_kills_its_worker_costs_nobody_else(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "crashing.py"
    script.write_text(CRASHING)
    arguments = ("--symbols", "SP500-2014-2018", "SP500-2009-2013", "--time-frames", "1W", "2W")
    ran = run(kind, tmp_path, script, *arguments)
    assert (ran.report["success"], ran.report["failed"]) == (2, 2)
    assert ran.report["broken_pools"] >= 1
    assert "a worker died; run again, one by one: " in ran.said
    for symbol in ("SP500-2014-2018 2W", "SP500-2009-2013 2W"):
        analysis = ran.analyses[symbol]
        assert analysis["overall_status"] == "failed"
        assert analysis["failure_stage"] == ("initializing" if kind == "memory" else "market_context")
        assert ("died" if kind == "shared" else "killed") in analysis["final_message"]
    for symbol in ("SP500-2014-2018 1W", "SP500-2009-2013 1W"):
        assert ran.analyses[symbol]["overall_status"] == "success"


# ----------------------------------------------------------------------------------------------------------- backtests


@pytest.fixture(scope="module", params=TRACKERS)
def tested(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    arguments = ("--symbols", "SP500-2004-2008", "NASDAQ-2009-2013", "--chunk", "4")
    return run(request.param, tmp_path_factory.mktemp("tested"), "scalable_analysis_system.py", *arguments)


def test_every_backtest_is_done_once_and_counted_once(tested: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tested.report
    assert report["done"] == report["of"] == len(report["backtests"]) == 2 * 5 * 6
    assert report["counted"] == (60 if tested.kind == "shared" else None)
    assert (report["failed_chunks"], report["broken_pools"]) == ([], 0)
    triples = Counter((each["symbol"], each["time_frame"], each["strategy"]) for each in report["backtests"])
    assert set(triples.values()) == {1}
    if tested.kind == "shared":
        monkeypatch.setenv("HEADWAY_DIR", str(tested.directory))
        (total,) = headway.read("totals").tasks
        assert (total.state, total.count, total.total) == ("success", 60, 60)


def test_backtests_come_to_what_the_years_were_like(tested: Ran) -> None:
    for each in tested.report["backtests"]:
        assert -1 < each["profit"] < 10
        assert -5 < each["sharpe"] < 5
        assert 0 <= each["drawdown"] < 1
        assert each["trades"] >= 0
    held = {each["symbol"]: each for each in tested.report["backtests"] if each["strategy"] == "hold"}
    assert {each["trades"] for each in held.values()} == {0}
    assert held["SP500-2004-2008"]["profit"] < -0.25  # the autumn of 2008
    assert held["SP500-2004-2008"]["drawdown"] > 0.35
    assert held["NASDAQ-2009-2013"]["profit"] > 0.25
    assert held["NASDAQ-2009-2013"]["drawdown"] < 0.2


def test_each_symbol_ends_with_its_best_strategy(tested: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tested.tracker(monkeypatch)
    for symbol, analysis in tested.analyses.items():
        assert (analysis["overall_status"], analysis["current_stage"]) == ("success", "completed")
        of_it = [each for each in tested.report["backtests"] if each["symbol"] == symbol]
        best = max(of_it, key=lambda each: each["sharpe"])
        assert analysis["final_message"].startswith(f"best: {best['strategy']} ")
        assert f" on {best['time_frame']}, " in analysis["final_message"]
        signal = "signal_detected" if best["strategy"] != "hold" and best["profit"] > 0 else "no_signal"
        assert analysis["final_signal"] == signal
        decision = analysis["leverage_decision"]
        assert 0 < decision["recommended_leverage"] <= 5
        assert decision["confidence_level"] == pytest.approx(sum(each["profit"] > 0 for each in of_it) / 30, abs=0.001)
        if tested.kind != "memory":
            progress = mine.get_progress(analysis["execution_id"])
            assert progress is not None
            assert progress.to_dict() == analysis


# What somebody might add: a strategy with a fault, and one that brings its process down.
POISONED = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import scalable_analysis_system as system

def faulty(bars):
    return 1 / (len(bars) - len(bars))

def poisonous(bars):
    os.kill(os.getpid(), signal.SIGKILL)

system.STRATEGIES["poisonous"] = (poisonous, [()])
system.STRATEGIES["faulty"] = (faulty, [()])
if __name__ == "__main__":
    system.main()
"""


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_chunk_that_fails_or_kills_its_worker_costs_only_itself(kind: str, tmp_path: Path) -> None:
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED)
    # Eight strategies in chunks of three: the bad ones come first in some chunks, and after others in other ones.
    ran = run(kind, tmp_path, script, "--symbols", "SP500-1999-2003", "NOWHERE", "--chunk", "3")
    failed = [chunk for chunk in ran.report["failed_chunks"] if chunk["symbol"] != "NOWHERE"]
    errors = {"poisonous": "its worker was killed, twice", "faulty": "ZeroDivisionError: division by zero"}
    for chunk in failed:
        first_bad = next(strategy for _, strategy in chunk["pairs"] if strategy in errors)
        assert chunk["error"] == errors[first_bad]
    assert {chunk["error"] for chunk in failed} == set(errors.values())
    lost = [tuple(pair) for chunk in failed for pair in chunk["pairs"]]
    every = itertools.product(("1D", "2D", "1W", "2W", "1M"), errors)
    assert set(lost) >= set(every)
    assert (ran.report["done"], ran.report["of"]) == (40 - len(lost), 80)
    assert len(ran.report["backtests"]) == ran.report["done"]
    assert ran.report["counted"] == (ran.report["done"] if kind == "shared" else None)
    assert ran.report["broken_pools"] >= 1
    assert "a worker died; chunks to run again" in ran.said
    first, nowhere = ran.analyses["SP500-1999-2003"], ran.analyses["NOWHERE"]
    assert first["overall_status"] == "success"
    assert f"; {len(failed)} chunks failed: " in first["final_message"]
    assert (nowhere["overall_status"], nowhere["failure_stage"]) == ("failed", "backtest")
    assert nowhere["final_message"].startswith("UnknownSymbol: ")


# -------------------------------------------------------------------------------------------------- kills from outside


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # it has ended
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_a_worker(program: subprocess.Popen[str], tracker: ProgressTracker) -> None:
    """SIGKILL one as soon as the program is at work."""
    deadline = time.monotonic() + WAIT_S
    while not (tracker.get_active_executions() and (workers := children_of(program.pid))):
        assert program.poll() is None, "it has ended before"
        assert time.monotonic() < deadline, "it does not begin"
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ACROSS)
@pytest.mark.parametrize("program", ["auto_symbol_training.py", "scalable_analysis_system.py"])
def test_a_worker_killed_from_outside_leaves_nothing_undone(program: str, kind: str, headway_dir: Path) -> None:
    symbols = ("--symbols", "SP500-2009-2013", "SP500-1999-2003")
    with running(kind, headway_dir, program, *symbols) as process:
        mine = tracker_of(kind, headway_dir)
        kill_a_worker(process, mine)
        ran = ended(process, kind, headway_dir)
        assert mine.get_active_executions() == []
    assert ran.report["broken_pools"] == 1
    assert "a worker died" in ran.said
    assert {analysis["overall_status"] for analysis in ran.report["analyses"]} == {"success"}
    if program == "scalable_analysis_system.py":
        assert ran.report["done"] == ran.report["of"] == 60
        assert ran.report["failed_chunks"] == []
        assert ran.report["counted"] == (60 if kind == "shared" else None)
