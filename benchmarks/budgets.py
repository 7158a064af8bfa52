"""The budgets: the highest cost of each operation, the benchmark that measures it, and the side it is compared with.

Medians of one run on one machine. `source` is the text of the design; what was met easily has been tightened, "first"
is what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "BUDGETS",
    "ELSEWHERE",
    "EXPECTED",
    "LARGE_ONLY",
    "NIGHT_CLAIM_P99_S",
    "NIGHT_READ_BYTES",
    "NIGHT_READ_S",
    "NIGHT_RECORDER_BYTES",
    "TRACKER_CALLS",
    "VOLUME_BYTES_A_DAY",
    "WHY_MISSED",
    "Budget",
    "Kind",
    "titles",
]

NS, US, MS = 1e-9, 1e-6, 1e-3


class Kind(Enum):
    """Which figure of a benchmark is compared with the limit."""

    SECONDS = "seconds of one operation, at most"
    RATIO = "seconds over those of the side beside it, at most"
    RATE = "operations a second over those of the side beside it, at least"
    DIFFERENCE = "seconds more than the side beside it, at most"
    OVERHEAD = "what the side beside it takes over the floor, divided by what ours does, at least"


@dataclass(frozen=True)
class Budget:
    """One limit. bench: the benchmark's name, as pytest tells it; beside: one of its sides; floor: for OVERHEAD."""

    bench: str
    kind: Kind
    limit: float
    source: str
    beside: str | None = None
    floor: str | None = None


_HW_ADD = "`hw_add` in C, clock included ≤ 5 ns"
_IMPORT = "`import headway` ≤ 5 ms (first 15)"
_TRACK = "`task.track(it)` over a bare loop ≤ 8 ns an item; tqdm's overhead ≥ 12 × ours"
_TQDM = "a tqdm loop that is mirrored ≤ 1.05 × tqdm alone, `bar.update()` ≤ 1.4 ×"
_JOBLIB = "an item of a call of joblib that is a task ≤ 3 × one of joblib alone, where each item does nothing"
_GET = "`board.get(id)` ≤ 3 µs of 1 000 tasks, ≤ 40 µs of 100 000"
_RECORDER = "recorder, 1 000 live tasks at 4 Hz, CPU without waits for fsync ≤ 1 % of a core; 10 000 tasks ≤ 2 %"
_BOARDS = "the recorder of 40 boards with a loop each: 1 process, ≤ 20 MiB, ≤ 3 % of a core"
_BESIDE = "copy of a board beside 4 / 256 / 700 processes ≤ 8 / 60 / 150 µs"
_SNAPSHOT = "snapshot 1 000 tasks: copy / to file with fsync ≤ 150 µs / ≤ 4 ms"
_START = "CPU time of a start beyond bare Python: spawned worker ≤ 80 ms, `headway --version` ≤ 40 ms, `ls` ≤ 120 ms"
_STATUS = "status write (`stage`, `message`) ≤ 100 ns (first 120)"
_TRACKERS = "shared tracker `update_stage(id, s)` ≥ 2000 × faster than the file tracker, ≥ 500 × in tmpfs"
_TWO = "two processes on one task ≥ 0.95 × the rate of two on separate tasks"
_UPDATE = "`task.update()` ≤ 1.1 × an empty Cython method of the same signature"

BUDGETS = (
    Budget("bench_update", Kind.RATIO, 1.1, _UPDATE, "empty Cython method"),
    Budget("bench_track", Kind.DIFFERENCE, 8 * NS, _TRACK, "bare loop"),
    Budget("bench_track", Kind.OVERHEAD, 12, _TRACK, "tqdm", floor="bare loop"),
    Budget("bench_tqdm_loop", Kind.RATIO, 1.05, _TQDM, "tqdm alone"),
    Budget("bench_tqdm_update", Kind.RATIO, 1.4, _TQDM, "tqdm alone"),
    Budget("bench_joblib", Kind.RATIO, 3, _JOBLIB, "joblib alone"),
    Budget("bench_hw_add", Kind.SECONDS, 5 * NS, _HW_ADD),
    Budget("bench_kernel", Kind.RATIO, 1.02, "counting costs ≤ 2 % of an iteration of 100 ns", "the kernel alone"),
    Budget("bench_two_processes_native", Kind.RATE, 0.95, _TWO, "two tasks"),
    Budget("bench_two_processes_python", Kind.RATE, 0.95, _TWO, "two tasks"),
    Budget("bench_stage", Kind.SECONDS, 100 * NS, _STATUS),
    Budget("bench_message", Kind.SECONDS, 100 * NS, _STATUS),
    Budget("bench_get[1000]", Kind.SECONDS, 3 * US, _GET),
    Budget("bench_get[100000]", Kind.SECONDS, 40 * US, _GET),
    Budget("bench_snapshot_copy[1000]", Kind.SECONDS, 150 * US, _SNAPSHOT),
    Budget("bench_copy_beside[4]", Kind.SECONDS, 8 * US, _BESIDE),
    Budget("bench_copy_beside[256]", Kind.SECONDS, 60 * US, _BESIDE),
    Budget("bench_copy_beside[700]", Kind.SECONDS, 150 * US, _BESIDE),
    Budget("bench_snapshot_file[1000]", Kind.SECONDS, 4 * MS, _SNAPSHOT),
    Budget("bench_recorder[1000]", Kind.SECONDS, 10 * MS, _RECORDER),
    Budget("bench_recorder[10000]", Kind.SECONDS, 20 * MS, _RECORDER),
    Budget("bench_recorder_of_boards", Kind.SECONDS, 30 * MS, _BOARDS),
    Budget("bench_tracker[update_stage]", Kind.RATE, 2000, _TRACKERS, "file tracker on disk"),
    Budget("bench_tracker[update_stage]", Kind.RATE, 500, _TRACKERS, "file tracker in tmpfs"),
    Budget("bench_import[headway]", Kind.DIFFERENCE, 5 * MS, _IMPORT, "bare Python"),
    Budget("bench_spawned_worker", Kind.DIFFERENCE, 80 * MS, _START, "bare Python"),
    Budget("bench_command[--version]", Kind.DIFFERENCE, 40 * MS, _START, "bare Python"),
    Budget("bench_command[ls]", Kind.DIFFERENCE, 120 * MS, _START, "bare Python"),
    Budget("bench_run", Kind.DIFFERENCE, 15 * MS, "`headway run` starts ≤ 15 ms later than Python alone", "Python"),
    Budget("bench_first_update", Kind.SECONDS, 1 * MS, "first update of a worker ≤ 1 ms of CPU"),
)

# Budgets that a separate program measures, as it needs software that is not always installed; the report names them.
ELSEWHERE = {
    "240 000 tasks: p99 of a claim ≤ 1 ms, commands that read ≤ 2 s and ≤ 200 MiB": "benchmarks/bench_night.py --large",
    "400 and 1 000 tasks a second on a full board: p99 of a claim ≤ 1 ms": "benchmarks/bench_claims.py",
    "a default board in use, and 100 000 ended tasks: ≤ 10 GiB written a day": "benchmarks/bench_volume.py --large",
    "update → visible in the browser p99 ≤ interval + 100 ms": "benchmarks/bench_page.py: Chromium and the built page",
}

# The limits of benchmarks/bench_night.py.
NIGHT_CLAIM_P99_S = 1 * MS
NIGHT_RECORDER_BYTES = 48 << 20
NIGHT_READ_S = 2.0  # of a core, by a command that does not print or count up everything
NIGHT_READ_BYTES = 200 << 20  # of memory, of any command

# The limit of benchmarks/bench_volume.py, of a default board in use and of a large one.
VOLUME_BYTES_A_DAY = 10 << 30

# Why a machine may miss a budget although the code is right, by the text of the budget.
WHY_MISSED = {
    _HW_ADD: "the clock and an atomic add alone take most of it, see the lines beside it: both are the machine's",
    _TRACK: "tqdm's overhead is a difference of small figures: the quieter the machine, the surer it is",
    _SNAPSHOT: "a copy reads the lines of 1 000 slots: beyond the cache a busy neighbour takes part of the time",
    _BESIDE: "the kernel is asked about sixteen processes each time, and looks through the locks of all",
    _GET: "most of it is making the view, a dict of some thirty fields: a slow or busy core takes longer for that",
    _START: "modules of the standard library are most of it, and their files have to be in the page cache",
    _RECORDER: "most of it is the copy and the checksum of the file: see docs/scaling.md for other intervals",
    _TWO: "two processes need two cores that are free at the same time: with fewer, this measures the scheduler",
}

TRACKER_CALLS = (
    "start_analysis",
    "get_progress",
    "update_stage",
    "update_support_resistance",
    "update_ml_prediction",
    "update_market_context",
    "update_leverage_decision",
    "complete_analysis",
    "fail_analysis",
    "get_all_recent",
    "get_active_executions",
    "cleanup_old",
)

_WITH = dict.fromkeys(("complete_analysis", "fail_analysis"), "start and ")

# The benchmarks in the order of the report, with their titles there.
_TITLES = {
    "bench_update": "task.update()",
    "bench_track": "task.track, an item",
    "bench_joblib": "an item of joblib.Parallel that does nothing, counted",
    "bench_tqdm_loop": "a mirrored tqdm loop, an item",
    "bench_tqdm_update": "update() of a mirrored tqdm bar",
    "bench_hw_add": "hw_add in C",
    "bench_kernel": "a kernel's iteration, counted",
    "bench_two_processes_native": "2 processes, one task: hw_add",
    "bench_two_processes_python": "2 processes, one task: update()",
    "bench_stage": "task.stage = text",
    "bench_message": "task.message = text",
    "bench_claim": "claim, end and free a task",
    "bench_get[10]": "board.get of 10",
    "bench_get[1000]": "board.get of 1 000",
    "bench_get[10000]": "board.get of 10 000",
    "bench_get[100000]": "board.get of 100 000",
    "bench_snapshot_copy[10]": "snapshot of 10, copy",
    "bench_snapshot_copy[1000]": "snapshot of 1 000, copy",
    "bench_snapshot_copy[10000]": "snapshot of 10 000, copy",
    "bench_snapshot_copy[100000]": "snapshot of 100 000, copy",
    "bench_copy_beside[4]": "copy beside 4 processes",
    "bench_copy_beside[256]": "copy beside 256 processes",
    "bench_copy_beside[700]": "copy beside 700 processes",
    "bench_snapshot_file[10]": "snapshot of 10, file",
    "bench_snapshot_file[1000]": "snapshot of 1 000, file",
    "bench_snapshot_file[10000]": "snapshot of 10 000, file",
    "bench_snapshot_file[100000]": "snapshot of 100 000, file",
    "bench_recorder[1000]": "recorder of 1 000, CPU a second",
    "bench_recorder[10000]": "recorder of 10 000, CPU a second",
    "bench_recorder_of_boards": "recorder of 40 boards, CPU a second",
    "bench_history_add": "archive 64 tasks, one of them",
    "bench_history_room": "... by who needs their slots",
    "bench_history_read": "the 50 newest of the history",
    "bench_import[headway]": "python -c 'import headway'",
    "bench_import[engine]": "python, the engine imported",
    "bench_spawned_worker": "spawned worker, to its first update",
    "bench_first_update": "first update of a forked worker",
    "bench_command[--version]": "headway --version",
    "bench_command[ls]": "headway ls",
    "bench_run": "headway run, of an empty program",
    **{f"bench_tracker[{call}]": f"tracker: {_WITH.get(call, '')}{call}" for call in TRACKER_CALLS},
    "bench_lock_after_kill[waiting]": "lock of a killed holder: waiting",
    "bench_lock_after_kill[arriving]": "lock of a killed holder: arriving",
}
LARGE_ONLY = "[100000]"
EXPECTED = tuple(_TITLES)


def titles(large: bool) -> dict[str, str]:
    """The benchmarks that the report must have a figure for, with their titles."""
    return {name: title for name, title in _TITLES.items() if large or not name.endswith(LARGE_ONLY)}
