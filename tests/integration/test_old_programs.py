"""Programs from before Headway, and the tracker that they ran on: side by side, on one folder, there and back."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway.analysis import FileBasedProgressTracker, MLPredictionResult, SharedMemoryProgressTracker
from headway.engine.board import open_board
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT))  # the benchmarks are not installed
from benchmarks import old_tracker

if TYPE_CHECKING:
    from tests.conftest import RunPython

PROGRAM = ROOT / "examples" / "old_training.py"
OLD_MODULE = """
from benchmarks.old_tracker import *
"""
STAGES = ("data_fetch", "support_resistance", "ml_prediction", "market_context", "leverage_decision")


def seen_by_dashboards(run_python: RunPython, place: Path, kind: str | None) -> list[Any]:
    """What the program printed, on the old tracker (None) or on Headway."""
    place.mkdir()
    environment: dict[str, str | None] = {"TMPDIR": str(place), "HEADWAY_DIR": str(place / "boards")}
    path = [str(ROOT)]
    if kind is None:
        (place / "file_based_progress_tracker.py").write_text(OLD_MODULE)
        path.insert(0, str(place))
    environment["HEADWAY_ANALYSIS_TRACKER"] = kind
    environment["PYTHONPATH"] = os.pathsep.join(path)
    try:
        done = run_python(PROGRAM, env=environment)
    finally:
        if kind == "shared":
            run_python("import headway; headway.open('analysis').remove(files=True)", env=environment)
    assert "Warning" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("kind", ["file", "shared"])
def test_dashboards_see_the_same_stage_by_stage(
    kind: str, run_python: RunPython, tmp_path: Path, before: dict[str, Any]
) -> None:
    if "seen" not in before:
        before["seen"] = seen_by_dashboards(run_python, tmp_path / "old", None)
    seen = seen_by_dashboards(run_python, tmp_path / kind, kind)
    expected = before["seen"]
    *records, recent, active = expected
    assert len(records) == 9 + 2, "one start and eight looks at the stages; of the other two"
    assert [record["current_stage"] for record in records[:2]] == ["initializing", "data_fetch"]
    assert records[8]["market_context"]["status"] == "success"
    assert (len(recent), active) == (2, []) or active, "the old tracker turns an end back"
    assert seen[:-1] == expected[:-1]
    assert seen[-1] == []


# --- one folder, both at work


def both(base: Path) -> tuple[Any, Any]:
    return old_tracker.FileBasedProgressTracker(base), FileBasedProgressTracker(base)


def test_each_reads_changes_ends_and_cleans_up_what_the_other_began(tmp_path: Path) -> None:
    old, new = both(tmp_path)
    for begins, goes_on in ((old, new), (new, old)):
        begins.start_analysis("BTC", "one")
        assert goes_on.update_stage("one", "ml_prediction")
        assert begins.update_ml_prediction("one", old_tracker.MLPredictionResult("success", 3, 0.5))
        assert goes_on.update_support_resistance(
            "one", old_tracker.SupportResistanceResult("success", 1, 0, [{"price": 1.0}], [])
        )
        assert old.get_active_executions() == new.get_active_executions() == ["one"]
        assert goes_on.complete_analysis("one", "signal_detected", "done")
        assert old.get_progress("one").to_dict() == new.get_progress("one").to_dict()
        assert [record.to_dict() for record in old.get_all_recent()] == [one.to_dict() for one in new.get_all_recent()]
        assert new.get_progress("one").ml_prediction.confidence == 0.5
        assert new.get_progress("one").overall_status == "success"
        time.sleep(0.02)
        assert goes_on.cleanup_old(0) == 1
        assert begins.get_progress("one") is goes_on.get_progress("one") is None
        assert begins.update_stage("one", "late") is goes_on.update_stage("one", "late") is False


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_what_the_old_tracker_undoes_on_the_same_analysis_is_done_again(tmp_path: Path, end: str) -> None:
    old, new = both(tmp_path)
    new.start_analysis("BTC", "one")
    stale = old.get_progress("one")  # it has read, and is about to write
    new.update_ml_prediction("one", MLPredictionResult("ok", 3, 0.5))
    new.update_stage("one", "market_context")
    if end == "complete":
        new.complete_analysis("one", "signal_detected", "well")
    else:
        new.fail_analysis("one", "market_context", "badly")
    ended = new.get_progress("one")
    stale.support_resistance = old_tracker.SupportResistanceResult("ok", 1)
    old._write(stale)
    assert old.get_progress("one").overall_status == "running", "so the old one sees it"
    found = new.get_progress("one")
    assert found.support_resistance.supports_count == 1, "what the old one stored is there"
    found.support_resistance = ended.support_resistance
    assert found == ended
    assert new.get_active_executions() == []
    assert new.update_stage("one", "late")
    assert old.get_progress("one").overall_status == ended.overall_status, "and told to the old one by the next write"
    begun = old.start_analysis("ETH", "one")
    assert new.get_progress("one").to_dict() == begun.to_dict(), "a new life has nothing of the one before"


def work(tracker: Any, number: int, failures: Any) -> None:
    """Analyses of its own, each stage looked at by the same tracker: what is written is there."""
    kind = type(tracker).__module__
    for round_ in range(12):
        execution_id = f"{number}-{round_}"
        tracker.start_analysis("BTC", execution_id)
        for stage in STAGES:
            stored = tracker.update_stage(execution_id, stage)
            found = tracker.get_progress(execution_id)
            if not stored or found is None or found.current_stage != stage:
                failures.put((kind, execution_id, stage, stored, repr(found)))
        tracker.update_ml_prediction(execution_id, MLPredictionResult("ok", round_, 0.5))
        if not tracker.complete_analysis(execution_id, "signal", f"{round_}"):
            failures.put((kind, execution_id, "end"))
        time.sleep(random.uniform(0, 0.002))


def look(base: str, until: Any, failures: Any) -> None:
    trackers = both(Path(base))
    while not until.is_set():
        for tracker in trackers:
            for record in tracker.get_all_recent():
                if record.overall_status == "success" and record.final_signal != "signal":
                    failures.put(("look", record.to_dict()))
            tracker.get_active_executions()
            tracker.cleanup_old(24)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_both_at_work_on_one_folder_lose_nothing_of_headways(method: str, tmp_path: Path) -> None:
    context: Any = multiprocessing.get_context(method)
    failures, until = context.Queue(), context.Event()
    old, new = both(tmp_path)
    workers = [
        context.Process(target=work, args=(tracker, number, failures))
        for number, tracker in enumerate((old, new, new, old))
    ]
    watcher = context.Process(target=look, args=(str(tmp_path), until, failures))
    for process in (watcher, *workers):
        process.start()
    for process in workers:
        process.join(60)
    until.set()
    watcher.join(60)
    found = []
    while not failures.empty():
        found.append(failures.get())
    failures.close()
    failures.join_thread()
    assert [process.exitcode for process in (*workers, watcher)] == [0] * 5
    assert [one for one in found if "headway" in one[0] or one[0] == "look"] == []
    assert len(new.get_all_recent()) == len(old.get_all_recent()) == 4 * 12
    assert new.get_active_executions() == []


# --- folders, disks, users


def test_a_folder_that_cannot_be_written_is_told_once_and_still_read(tmp_path: Path) -> None:
    FileBasedProgressTracker(tmp_path).start_analysis("BTC", "one")
    (tmp_path / "analysis_progress").chmod(0o755)
    tmp_path.chmod(0o755)
    script = """
import os, sys
os.chdir("/")
from headway.analysis import FileBasedProgressTracker
os.setgid(12345)
os.setuid(12345)
tracker = FileBasedProgressTracker(sys.argv[1])
assert tracker.get_progress("one").symbol == "BTC"
assert [record.execution_id for record in tracker.get_all_recent()] == tracker.get_active_executions() == ["one"]
assert tracker.start_analysis("ETH", "two").symbol == "ETH"
assert tracker.start_analysis("ETH", "three").symbol == "ETH"
assert tracker.update_stage("one", "late") is False
assert tracker.complete_analysis("one", "late") is False
assert tracker.cleanup_old(0) == 0
print("went on")
"""
    for path in (*tmp_path.parents, ROOT):
        if path.stat().st_mode & 0o005 != 0o005 and path != path.parent and path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "went on\n", done.stderr
    assert done.stderr.count("FileBasedProgressTracker.start_analysis('two') did nothing: PermissionError") == 2
    assert "'three'" not in done.stderr, "it is told once"
    assert FileBasedProgressTracker(tmp_path).get_active_executions() == ["one"]


READ_ONLY = """
mount --rbind / "$ROOT" || exit 77
for place in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
    case "$place" in "$ROOT"|"$ROOT"/*) mount -o remount,ro,bind "$place" 2> /dev/null ;; esac
done
exec chroot "$ROOT" "$@"
"""


def run_read_only(place: Path, script: str, kind: str) -> subprocess.CompletedProcess[str]:
    """Run a program where every disk is read-only, the temporary directory included."""
    root = place / "root"
    root.mkdir()
    environment = os.environ | {
        "ROOT": str(root),
        "HOME": str(place),
        "TMPDIR": str(place / "temporary"),
        "HEADWAY_ANALYSIS_TRACKER": kind,
    }
    del environment["HEADWAY_DIR"]
    command = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", sys.executable, "-B", "-W", "always", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    return done


@pytest.mark.parametrize("kind", ["file", "shared", "memory"])
def test_without_any_disk_to_write_to_an_old_program_goes_on(kind: str, tmp_path: Path) -> None:
    script = """
import os
from file_based_progress_tracker import *
kept = os.environ["HEADWAY_ANALYSIS_TRACKER"] == "memory"
for tracker in (FileBasedProgressTracker(), file_progress_tracker, FileBasedProgressTracker("/base")):
    for _ in range(2):
        assert tracker.start_analysis("BTC", "one").symbol == "BTC"
        assert tracker.update_stage("one", "data_fetch") is kept
        assert tracker.update_ml_prediction("one", MLPredictionResult("ok")) is kept
        assert (tracker.get_progress("one") is not None) is kept
        assert len(tracker.get_all_recent()) == len(tracker.get_active_executions()) == kept
        assert tracker.complete_analysis("one", "signal") is kept
        assert tracker.cleanup_old() == 0
assert file_progress_tracker.progress_dir.parent == type(file_progress_tracker.progress_dir)(os.environ["TMPDIR"])
print("went on")
"""
    (tmp_path / "temporary").mkdir()
    done = run_read_only(tmp_path, script, kind)
    assert done.stdout == "went on\n", done.stderr
    told = [line for line in done.stderr.splitlines() if "start_analysis" in line]
    assert len(told) == (0 if kind == "memory" else 2), "once as a warning, once through logging"
    problem = "UnusableDirectory" if kind == "shared" else "OSError"
    said = f"FileBasedProgressTracker.start_analysis('one') did nothing: {problem}: [Errno 30]"
    assert all(said in one for one in told), told
    assert all(str(tmp_path) in one for one in told), "it names the place"
    assert all(one.endswith(" FileBasedProgressTracker(strict=True) raises instead") for one in told)


def test_where_no_disk_can_be_written_a_strict_tracker_says_what_to_do(tmp_path: Path) -> None:
    script = "from file_based_progress_tracker import *; FileBasedProgressTracker(strict=True)"
    (tmp_path / "temporary").mkdir()
    done = run_read_only(tmp_path, script, "file")
    assert "Read-only file system: give the tracker a base_dir that can be written, or set TMPDIR" in done.stderr


def test_two_users_work_in_a_folder_of_all(tmp_path: Path) -> None:
    folder = tmp_path / "analysis_progress"
    folder.mkdir()
    folder.chmod(0o777)
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    script = """
import os, sys
from headway.analysis import FileBasedProgressTracker
os.setgid(12345)
os.setuid(12345)
tracker = FileBasedProgressTracker(sys.argv[1])
assert tracker.update_stage("one", "by another user") is True
tracker.start_analysis("ETH", "two")
"""
    mine = FileBasedProgressTracker(tmp_path)
    mine.start_analysis("BTC", "one")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert mine.update_ml_prediction("one", MLPredictionResult("ok"))
    found = mine.get_progress("one")
    assert found is not None
    assert (found.current_stage, found.ml_prediction.status) == ("by another user", "ok")
    assert mine.update_stage("two", "by me") is True
    assert folder.stat().st_mode & 0o777 == 0o777


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of one MiB, with room for some more files."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.filterwarnings("always::RuntimeWarning")
@pytest.mark.parametrize("kind", ["file", "shared"])
def test_on_a_full_disk_calls_say_no_and_what_was_stored_stays(
    kind: str, small_disk: Path, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(small_disk / "boards"))
    tracker = FileBasedProgressTracker(small_disk) if kind == "file" else SharedMemoryProgressTracker(board_name)
    try:
        tracker.start_analysis("BTC", "one")
        assert tracker.update_stage("one", "ml_prediction")
        with (small_disk / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        large = {"status": "ok", "supports": [{"price": float(number)} for number in range(1000)]}
        assert tracker.update_support_resistance("one", large) is False
        found = tracker.get_progress("one")
        assert found is not None
        assert (found.current_stage, found.support_resistance.status) == ("ml_prediction", "pending")
        (small_disk / "filling").unlink()
        assert tracker.update_support_resistance("one", large) is True
        assert tracker.complete_analysis("one", "signal") is True
    finally:
        if kind == "shared":
            open_board(board_name).remove(files=True)
