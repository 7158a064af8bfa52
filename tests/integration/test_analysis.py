"""Analyses that several processes carry, over the trackers that cross processes. See analysts.py."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from headway.analysis import AnalysisProgress, SharedMemoryProgressTracker, SupportResistanceResult, document, storage
from headway.engine import segments, uses
from headway.engine.board import open_board
from headway.system import shm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

ANALYSTS = Path(__file__).parent / "analysts.py"
METHODS = ("fork", "spawn", "forkserver")
STAGES = ["data_fetch", "support_resistance", "ml_prediction", "market_context", "leverage_decision"]


class Analysts(Protocol):
    """Runs one function of analysts.py over a tracker of this kind; what it found."""

    def __call__(self, what: str, kind: str, *arguments: object) -> dict[str, Any]: ...


@pytest.fixture
def analysts(run_python: RunPython, tmp_path: Path, board_name: str) -> Iterator[Analysts]:
    used = []

    def run(what: str, kind: str, *arguments: object) -> dict[str, Any]:
        used.append(kind)
        where = str(tmp_path) if kind == "file" else board_name
        done = run_python(ANALYSTS, what, kind, where, *map(str, arguments), timeout_s=110)
        assert done.stderr == "" or "raised" in arguments
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    yield run
    if "shared" in used:
        open_board(board_name).remove(files=True)


@pytest.fixture(params=["file", "shared"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def gone(board_name: str) -> None:
    """The shared memory of the board vanishes after its last snapshot, as in a reboot."""
    board = open_board(board_name)
    board.write_snapshot()
    shm.remove_objects(segments.object_name(board_name, board._segment.uuid))
    board._segment.close()
    uses.end(board.directory)  # the kernel keeps no lock either


# --- both


@pytest.mark.parametrize("method", METHODS)
def test_an_analysis_begun_here_is_carried_on_by_other_processes(analysts: Analysts, kind: str, method: str) -> None:
    found = analysts("elsewhere", kind, method)
    assert found["exits"] == [0] * 6
    assert found["statuses"] == [[stage, "running"] for stage in STAGES]
    assert found["numbers"] == [2, 3, 4, 5]
    assert found["end"] == ["success", "completed", "signal_detected", "by another process"]


@pytest.mark.slow
def test_four_processes_update_four_results_and_nothing_is_lost(analysts: Analysts, kind: str) -> None:
    found = analysts("counts", kind, 1000)
    assert found["exits"] == [0] * 5
    assert found["numbers"] == [1000] * 4


def test_an_end_is_never_turned_back_by_updates_that_race_with_it(analysts: Analysts, kind: str) -> None:
    rounds = 12
    found = analysts("end_races", kind, rounds)
    assert found["exits"] == [0] * 3 * rounds
    assert found["ends"] == ["failed", "success"] * (rounds // 2)
    assert found["active"] == []


def test_a_reader_never_sees_a_torn_or_missing_record(analysts: Analysts, kind: str) -> None:
    found = analysts("reader", kind, 4)
    assert found["exits"] == [0]
    assert found["reads"] > 50, found
    assert found["lives"] >= 10, found


def test_lists_and_cleanup_work_while_others_write(analysts: Analysts, kind: str) -> None:
    found = analysts("cleaning", kind, 4)
    assert found["exits"] == [0] * 3
    assert found["rounds"] > 1, found
    assert found["removed"] > 5, found
    assert found["last"] >= 3, found
    assert found["left"] == 0, found


@pytest.mark.slow
def test_two_hundred_executions_by_eight_workers_keep_their_stages_in_order(analysts: Analysts, kind: str) -> None:
    found = analysts("crowd", kind, 200, 8)
    assert found["exits"] == [0]
    assert found["done"] == 200
    assert found["active"] == 0
    assert found["workers"] > 1, found
    assert found["midway"] > 10, f"the watcher came too late to see anything: {found}"


def test_writers_killed_at_random_leave_a_whole_record_and_no_lock(analysts: Analysts, kind: str) -> None:
    found = analysts("kills", kind, 40)
    assert found["wrong"] == []
    assert found["written"] >= 40, found
    assert found["stage"] == "after all"


# --- death, which the board alone knows of


def test_a_killed_worker_is_seen_though_its_parent_began_the_analysis(analysts: Analysts) -> None:
    found = analysts("deaths", "shared", "killed")
    assert found["exits"] == [-9]
    assert found["after"] == {
        "status": "failed",
        "stage": "ml_prediction",
        "failure_stage": "ml_prediction",
        "signal": "no_signal",
        "message": f"its process (pid {found['pid']}) died",
        "supports": 3,
        "active": False,
    }
    assert (found["carried on"]["status"], found["carried on"]["stage"]) == ("running", "market_context")
    assert found["carried on"]["active"]
    assert (found["carried on"]["failure_stage"], found["carried on"]["message"]) == ("", "")
    assert (found["end"]["status"], found["end"]["message"]) == ("success", "after all")


def test_a_worker_that_an_exception_ended_tells_it(analysts: Analysts) -> None:
    found = analysts("deaths", "shared", "raised")
    assert found["exits"] == [1]
    after = found["after"]
    assert (after["status"], after["failure_stage"], after["active"]) == ("failed", "ml_prediction", False)
    assert after["message"] == f"ArithmeticError: no model (pid {found['pid']})"
    assert found["carried on"]["status"] == "running"
    assert (found["end"]["status"], found["end"]["message"]) == ("success", "after all")


def test_a_worker_that_leaves_in_good_order_hands_the_analysis_back(analysts: Analysts) -> None:
    found = analysts("deaths", "shared", "left")
    assert found["exits"] == [0]
    assert (found["after"]["status"], found["after"]["stage"]) == ("running", "ml_prediction")
    assert found["after"]["active"]
    assert found["end"]["status"] == "success"


def test_an_analysis_that_everyone_left_in_good_order_stays_running(analysts: Analysts) -> None:
    found = analysts("orphans", "shared")
    assert found["exits"] == [0]
    after = found["after"]
    assert (after["status"], after["failure_stage"], after["message"]) == ("running", "", "")
    assert (after["stage"], after["active"]) == ("ml_prediction", True)
    assert (found["carried on"]["status"], found["carried on"]["stage"]) == ("running", "ml_prediction")
    assert found["carried on"]["supports"] == 3
    assert (found["end"]["status"], found["end"]["message"]) == ("failed", "gave up")


def test_what_was_registered_in_good_order_is_found_again_after_it_made_room(
    analysts: Analysts, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_RECORD")  # else nothing that has to make room is kept
    open_board(board_name, capacity=4, result_bytes=600)
    found = analysts("registered", "shared")
    assert found["exits"] == [0]
    assert found["active"] == ["first", "second"]
    assert found["after"]["status"] == "running"
    assert found["crowded"] == ["first", "second"], "others needed the room"
    assert (found["made room"]["status"], found["made room"]["supports"]) == ("running", 3)
    assert (found["carried on"]["stage"], found["carried on"]["supports"]) == ("market_context", 3)
    assert found["same start"]
    assert (found["end"]["status"], found["end"]["message"]) == ("success", "after all")


def test_without_its_segment_a_board_answers_from_its_snapshot(analysts: Analysts, board_name: str) -> None:
    tracker = SharedMemoryProgressTracker(board_name)
    many = [{"price": float(number)} for number in range(1000)]
    for execution_id in ("ended", "running", "failed"):
        tracker.start_analysis("BTC", execution_id)
        tracker.update_stage(execution_id, "ml_prediction")
        tracker.update_support_resistance(execution_id, SupportResistanceResult("ok", supports=many))
    tracker.complete_analysis("ended", "signal", "well")
    tracker.fail_analysis("failed", "ml_prediction", "badly")
    before = tracker.get_all_recent()
    gone(board_name)

    found = analysts("look", "shared")
    assert found["one by one"] == [True] * 3
    assert found["active"] == []
    assert found["unknown"] is None
    assert found["late"] is True
    after = [AnalysisProgress.from_dict(record) for record in found["records"]]
    assert [record.execution_id for record in after] == ["failed", "running", "ended"]
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert after[1].support_resistance == before[1].support_resistance
    assert (after[1].overall_status, after[1].failure_stage) == ("failed", "ml_prediction")
    assert "is gone" in after[1].final_message


def test_after_a_reboot_a_live_process_carries_an_analysis_on(analysts: Analysts, board_name: str) -> None:
    tracker = SharedMemoryProgressTracker(board_name)
    for execution_id in ("ended", "running"):
        tracker.start_analysis("BTC", execution_id)
        tracker.update_stage(execution_id, "ml_prediction")
    tracker.update_support_resistance("running", SupportResistanceResult("3", 3, 3, [{"price": 3}] * 3))
    tracker.complete_analysis("ended", "signal", "well")
    gone(board_name)
    found = analysts("resume", "shared")
    assert (found["before"]["status"], found["before"]["failure_stage"]) == ("failed", "ml_prediction")
    assert (found["carried on"]["status"], found["carried on"]["stage"]) == ("running", "market_context")
    assert found["carried on"]["active"]
    assert found["end"]["supports"] == 3
    assert (found["end"]["status"], found["end"]["message"]) == ("success", "after all")
    assert found["all"] == ["ended", "running"]


def test_an_analysis_that_had_to_make_room_is_known_from_the_history(
    analysts: Analysts, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_RECORD")
    open_board(board_name, capacity=4, result_bytes=600)  # three times the capacity; the larger results have files
    found = analysts("churn", "shared", 12)
    assert found["numbers"] == list(range(12))
    assert found["ends"] == [["success", "signal", str(number)] for number in range(12)]
    assert found["recent"] == [f"e{number}" for number in reversed(range(12))]
    assert found["late"] == [True, True]
    assert found["unchanged"]
    assert found["removed"] == 12
    assert found["left"] == 0
    assert found["gone"] == [None] * 12
    assert found["unknown"] is False


# --- large results


def test_a_large_result_that_is_replaced_while_it_is_read_is_read_anew(
    board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = SharedMemoryProgressTracker(board_name)
    real = storage.read_file
    numbers = iter(range(2, 5))

    def large(number: int) -> SupportResistanceResult:
        return SupportResistanceResult("ok", number, supports=[{"price": number}] * 1000)

    def read_late(path: Path) -> bytes | None:
        for number in numbers:  # the file is gone by now, but for the last time
            tracker.update_support_resistance("one", large(number))
            break
        return real(path)

    try:
        tracker.start_analysis("BTC", "one")
        tracker.update_support_resistance("one", large(1))
        monkeypatch.setattr(document, "read_file", read_late)
        found = tracker.get_progress("one")
        assert found is not None
        assert found.support_resistance == large(4)
        numbers = iter(range(5, 8))
        assert [record.support_resistance for record in tracker.get_all_recent()] == [large(7)]
    finally:
        open_board(board_name).remove(files=True)


def test_files_of_large_results_go_when_nobody_names_them(board_name: str, headway_dir: Path) -> None:
    tracker = SharedMemoryProgressTracker(board_name)

    def files() -> list[Path]:
        return sorted((headway_dir / board_name).glob("result-*.json"))

    def large(number: int) -> SupportResistanceResult:
        return SupportResistanceResult("ok", supports=[{"price": number}] * 1000)

    try:
        tracker.start_analysis("BTC", "one")
        tracker.update_support_resistance("one", large(1))
        (first,) = files()
        assert first.stat().st_mode & 0o777 == 0o600
        tracker.update_support_resistance("one", large(2))
        (second,) = files()
        assert second != first, "a file that is named is never written again"
        tracker.update_stage("one", "x" * 6000)
        assert len(files()) == 2
        tracker.complete_analysis("one", "signal", "y" * 6000)
        assert len(files()) == 3
        tracker.start_analysis("BTC", "one")
        assert files() == []
        tracker.update_support_resistance("one", large(3))
        second.write_text("{}")  # as a writer leaves it that was killed before anything named it
        time.sleep(0.02)
        assert tracker.cleanup_old(0) == 1
        assert files() == [second], "it may be about to be named"
        assert tracker.get_progress("one") is None
    finally:
        open_board(board_name).remove(files=True)
    assert not (headway_dir / board_name).exists()
