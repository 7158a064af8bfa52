"""A night in a minute: many short tasks on a default board, the program killed, then every command that reads.

    python benchmarks/bench_night.py            6 000 tasks: about a minute
    python benchmarks/bench_night.py --large    240 000 tasks, as many as a night has at eight a second

Two workers claim a task, count, write stages, metrics and a result, and end it, at a steady rate or as fast as it goes
(--rate 0). Then the program and its workers are killed, the recorder finishes, and each command that reads is run as a
process of its own: its time, and its memory at most (ru_maxrss). The limits stand in budgets.py.

To measure another version: PYTHONPATH=/path/to/its/src python benchmarks/bench_night.py
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import budgets, pages

BOARD = "bench-night"
WORKERS = 2
FAILS_EVERY = 200
TASKS, LARGE = 6_000, 240_000
RATE, LARGE_RATE = 400.0, 4_000.0  # tasks a second, of all workers
RECORDER_ENDS_S = 120.0
MIB = 1 << 20


# ------------------------------------------------------------------------------------------------------- the processes


def work(number: int, tasks: int, rate: float) -> None:
    """Run tasks one after the other, print what that took, and stay, to be killed."""
    import headway

    board = headway.open(BOARD)
    claims: list[float] = []
    began = time.monotonic()
    for at in range(tasks):
        if rate and (early := began + at / rate - time.monotonic()) > 0:
            time.sleep(early)
        before = time.perf_counter()
        task = board.task(f"w{number}/job-{at:06d}", total=10, label=f"job {at}")
        claims.append(time.perf_counter() - before)
        with task:
            task.stage = "load"
            task.update(3)
            task.set(stage="fit", metrics={"loss": 1 / (at + 1), "auc": 0.5})
            task.update(7)
            task.result = {"ok": True, "number": at, "auc": 0.91}
            if at % FAILS_EVERY == FAILS_EVERY - 1:
                task.fail("ValueError: every so often")
    print(json.dumps({"seconds": time.monotonic() - began, "claims": claims}), flush=True)
    signal.pause()


def program(tasks: int, rate: float) -> None:
    """Open the board, start the workers, print their reports, and stay, to be killed."""
    import headway

    board = headway.open(BOARD)
    share = [tasks // WORKERS + (number < tasks % WORKERS) for number in range(WORKERS)]
    started = [
        subprocess.Popen([sys.executable, __file__, "work", str(number), str(each), str(rate / WORKERS)], stdout=-1)
        for number, each in enumerate(share)
    ]
    with board.task("the night", total=WORKERS) as night:
        for one in started:
            assert one.stdout is not None
            sys.stdout.buffer.write(one.stdout.readline())
            sys.stdout.flush()
            night.update()
        night.update(-1)  # it has not ended when it is killed
        signal.pause()


# -------------------------------------------------------------------------------------------------------- the recorder


class Recorder:
    """What the recorder of the board has used so far, from /proc; the last figures stay when it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.cpu_s = self.bytes_written = self.memory_bytes = 0.0

    def look(self) -> bool:
        """Read the figures. Returns False once it has ended."""
        try:
            folder = Path(f"/proc/{self.pid}")
            threads = [int(one.read_text().split()[0]) for one in folder.glob("task/*/schedstat")]  # one does the looks
            self.cpu_s = max(self.cpu_s, sum(threads) / 1e9)
            told = dict(line.split(":", 1) for line in (folder / "io").read_text().splitlines())
            self.bytes_written = float(told["write_bytes"])
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            self.memory_bytes = int(status["VmHWM"].split()[0]) * 1024.0
        except (OSError, KeyError, ValueError):
            return False
        return True


def recorder_of(name: str) -> Recorder:
    """The recorder of a board, once it has one."""
    from headway.upkeep import listing

    for _ in range(600):
        board = listing.attach(name)
        if board is not None:
            with contextlib.closing(board):
                if (pid := board.snapshot().meta.get("recorder_pid")) is not None:
                    return Recorder(pid)
        time.sleep(0.05)
    sys.exit("the board has no recorder")


# -------------------------------------------------------------------------------------------------------- measurements


@dataclass(frozen=True)
class Read:
    """A command that read: its time, and that of a core. whole: it has everything, so both grow with it."""

    command: str
    seconds: float
    cpu_s: float
    bytes: int
    printed: int
    whole: bool

    @property
    def met(self) -> bool:
        """Are the limits kept? Time of a core: a busy machine is not the command's doing."""
        return self.bytes <= budgets.NIGHT_READ_BYTES and (self.whole or self.cpu_s <= budgets.NIGHT_READ_S)


QUICK = (
    ("ls",),
    ("ls", "--json"),
    ("show", BOARD),
    ("show", BOARD, "the night"),
    ("watch", BOARD, "--once"),
    ("history", BOARD),
    ("history", BOARD, "--state", "failed"),
    ("history", BOARD, "--search", "777"),
    ("history", BOARD, "--task", "w1/job-000777"),
    ("history", BOARD, "--limit", "1000", "--json"),
    ("report", BOARD),
    ("report", BOARD, "--hours", "24"),
)
WRONG_NAME = ("show", "bench-nigth")
WHOLE = (
    ("history", BOARD, "--json"),
    ("history", BOARD, "--format", "csv"),
    ("export", BOARD),
)


def read(words: tuple[str, ...], *, whole: bool) -> Read:
    """Run a command as a process of its own. Its parent is a small one: a child begins with its parent's ru_maxrss."""
    command = shlex.join(words)
    told = subprocess.run([sys.executable, __file__, "measure", *words], check=True, stdout=subprocess.PIPE).stdout
    code, seconds, cpu_s, kib, printed = json.loads(told)
    if code != (words == WRONG_NAME):
        sys.exit(f"headway {command} has ended with {code}")
    return Read(command, seconds, cpu_s, kib * 1024, printed, whole)


def measure(words: list[str]) -> None:
    """Run a command, and print its exit code, seconds, those of a core, its most KiB, and how many bytes it printed."""
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "headway", *words], stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        cpu_s = used.ru_utime + used.ru_stime
        print(json.dumps([process.returncode, seconds, cpu_s, used.ru_maxrss, out.seek(0, os.SEEK_END)]))


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of the values is not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def night(tasks: int, rate: float) -> dict[str, Any]:
    """Run it, kill it, and say what it did and used, and what is missing."""
    process = subprocess.Popen(
        [sys.executable, __file__, "program", str(tasks), str(rate)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        recorder = recorder_of(BOARD)
        recorder.look()
        begun, cpu_before = time.monotonic(), recorder.cpu_s
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline() or "null") for _ in range(WORKERS)]
        if None in told:
            sys.exit("a worker has failed")
        recorder.look()
        lasted, cpu_s = time.monotonic() - begun, recorder.cpu_s - cpu_before
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    killed = time.monotonic()
    while recorder.look() and time.monotonic() < killed + RECORDER_ENDS_S:
        time.sleep(0.02)
    claims = list(itertools.chain.from_iterable(one["claims"] for one in told))
    return {
        "tasks": tasks,
        "tasks_a_second": sum(len(one["claims"]) / one["seconds"] for one in told),
        "claim_p50_s": percentile(claims, 0.5),
        "claim_p99_s": percentile(claims, 0.99),
        "claim_most_s": max(claims),
        "recorder_cpu": cpu_s / lasted,
        "recorder_bytes": recorder.memory_bytes,
        "recorder_ended_s": time.monotonic() - killed,
        "written_bytes": recorder.bytes_written,
        "written_bytes_a_task": recorder.bytes_written / tasks,
        "missing": tasks - found(),
    }


def found() -> int:
    """How many tasks of the workers the files have, each once."""
    from headway.files import query, snapshot
    from headway.system import paths

    directory = paths.board_directory(BOARD)
    view = snapshot.read(directory)
    kept = query.count(directory, query.Query(text="job-"))
    archived = {id for (id,) in query.read_columns(directory, ("id",))}
    return kept + sum("job-" in task.id and task.id not in archived for task in view)


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A directory for boards, on a disk."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir=os.environ.get("HEADWAY_BENCH_DIR")) as folder:
        for name in ("HEADWAY_BOARD", "HEADWAY_DISABLE", "HEADWAY_RECORD"):
            os.environ.pop(name, None)
        os.environ["HEADWAY_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            from headway import errors
            from headway.upkeep import removal

            with contextlib.suppress(OSError, errors.HeadwayError):  # there is none, for example
                removal.remove(BOARD, force=True)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help=f"{LARGE} tasks")
    parser.add_argument("--tasks", type=int, help=f"default: {TASKS}")
    parser.add_argument("--rate", type=float, help=f"tasks a second (default: {RATE:g}); 0: as fast as it goes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--record", action="store_true", help="write what was found into docs/performance.md")
    options = parser.parse_args()
    tasks = options.tasks or (LARGE if options.large else TASKS)
    rate = options.rate if options.rate is not None else LARGE_RATE if options.large else RATE
    with home() as folder:
        figures = night(tasks, rate)
        history = folder / BOARD / "history.sqlite3"
        figures["history_bytes"] = history.stat().st_size
        reads = [read(words, whole=words in WHOLE) for words in (*QUICK, WRONG_NAME, *WHOLE)]
    figures["load"] = os.getloadavg()[2]
    if options.record:
        record(figures, reads)
    if options.json:
        print(json.dumps({**figures, "reads": [{**asdict(one), "met": one.met} for one in reads]}, indent=2))
    else:
        _print(figures, reads)


PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
COMMAND = "benchmarks/bench_night.py --large --record"


def record(figures: dict[str, Any], reads: list[Read]) -> None:
    """Put what was found into the page."""
    claim, most = 1e6 * figures["claim_p99_s"], 1e3 * figures["claim_most_s"]
    table = [("what", "", "budget")]
    table += [
        ("tasks, and how many of them a second", f"{figures['tasks']:,}, {figures['tasks_a_second']:,.0f}", ""),
        ("missing after SIGKILL", str(figures["missing"] or "none"), "none"),
        ("a claim, median", f"{1e6 * figures['claim_p50_s']:.1f} µs", ""),
        ("a claim, 99 %", f"{claim:,.0f} µs", f"{1e6 * budgets.NIGHT_CLAIM_P99_S:,.0f} µs"),
        ("a claim, at most", f"{most:,.0f} ms", ""),
        ("the recorder, of a core", f"{100 * figures['recorder_cpu']:.0f} %", ""),
        ("the recorder, memory", _mib(figures["recorder_bytes"]), _mib(budgets.NIGHT_RECORDER_BYTES)),
        ("the recorder ended after the kill", f"{figures['recorder_ended_s']:.1f} s", ""),
        ("written, a task", f"{figures['written_bytes_a_task'] / 1024:.1f} KiB", ""),
        ("the history", _mib(figures["history_bytes"]), ""),
    ]
    limit = f"{budgets.NIGHT_READ_S:g} s, {_mib(budgets.NIGHT_READ_BYTES)}"
    commands = [("command", "of a core", "memory", "printed", "budget")]
    commands += [
        (
            f"`headway {one.command}`",
            f"{one.cpu_s:.2f} s",
            _mib(one.bytes),
            _mib(one.printed),
            _mib(budgets.NIGHT_READ_BYTES) if one.whole else limit,
        )
        for one in reads
    ]
    machine = f"{os.cpu_count()} cores, load average {figures['load']:.1f}; {time.strftime('%Y-%m-%d')}."
    pages.write(PAGE, COMMAND, ["", *pages.markdown(table), "", *pages.markdown(commands), "", machine, ""])


def _mib(size: float) -> str:
    return f"{size / MIB:,.1f} MiB" if size < 10 * MIB else f"{size / MIB:,.0f} MiB"


def _print(figures: dict[str, Any], reads: list[Read]) -> None:
    def within(good: bool) -> str:
        return "" if good else "  over its budget"

    claim, cpu, memory = figures["claim_p99_s"], figures["recorder_cpu"], figures["recorder_bytes"]
    print(f"{figures['tasks']:,} tasks, {figures['tasks_a_second']:,.0f} a second; {figures['missing']} are missing")
    print(
        f"claim         p50 {1e6 * figures['claim_p50_s']:.0f} µs, p99 {1e6 * claim:.0f} µs, at most "
        f"{1e3 * figures['claim_most_s']:.1f} ms{within(claim <= budgets.NIGHT_CLAIM_P99_S)}"
    )
    print(
        f"recorder      {100 * cpu:.1f} % of a core, {memory / MIB:.0f} MiB; it ended "
        f"{figures['recorder_ended_s']:.1f} s after the kill{within(memory <= budgets.NIGHT_RECORDER_BYTES)}"
    )
    print(
        f"written       {figures['written_bytes'] / MIB:,.0f} MiB, {figures['written_bytes_a_task'] / 1024:.1f} KiB a "
        f"task; the history has {figures['history_bytes'] / MIB:,.0f} MiB"
    )
    print(f"\n{'':44}{'seconds':>9}{'of a core':>11}{'MiB':>7}{'printed MiB':>13}")
    for one in reads:
        row = f"{one.command:44}{one.seconds:9.2f}{one.cpu_s:11.2f}{one.bytes / MIB:7.0f}{one.printed / MIB:13.1f}"
        print(f"{row}{within(one.met)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    elif sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2:])
    elif sys.argv[1:2] == ["program"]:
        program(int(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
