"""Runs the benchmarks and prints their medians beside floors, peers and budgets, as one table.

Exit code 0, also when a budget is missed: a figure may be noise. 1: a benchmark failed, or a row has no measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import instructions, recorded
from benchmarks.budgets import ELSEWHERE, EXPECTED, WHY_MISSED, Kind
from benchmarks.rows import Row, Verdict, load, rows_of

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 600.0
SPREAD = "25 to 75 %"


def main(arguments: Sequence[str] | None = None) -> int:
    """What ci/bench does. Returns its exit code."""
    options = _parser().parse_args(arguments)
    if options.only and (unknown := sorted(set(options.only) - set(EXPECTED))):
        print(f"no benchmark is named {', '.join(unknown)}: choose among {', '.join(EXPECTED)}", file=sys.stderr)
        return 2
    if options.trackers:
        return _compare_trackers(options)
    if options.peers:
        return _compare_peers(options)
    if options.scaling:
        return _scale(options)
    if options.instructions:
        return _count_instructions(options)
    path = options.results or ROOT / "build" / "benchmarks" / "results.json"
    failed = False
    if options.results is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        failed = not _run(path, options)
    try:
        rows, missing = rows_of(load(path), large=options.large, only=options.only)
    except (OSError, ValueError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    counted, why_not = (None, "not asked for") if options.results or options.only else instructions.count(_say)
    if options.json:
        json.dump(_as_json(rows, missing, counted), sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        _print(rows, counted, why_not)
    for name in missing:
        print(f"no measurement of {name}", file=sys.stderr)
    if failed:
        print("a benchmark failed: the reason stands above", file=sys.stderr)
    return 1 if failed or missing or (counted is None and why_not == instructions.FAILED) else 0


def _compare_trackers(options: argparse.Namespace) -> int:
    """Several processes on the trackers at once: tables, and a picture."""
    from benchmarks import comparison, plot

    path = options.results or ROOT / "build" / "benchmarks" / "trackers.json"
    if options.results is None:
        comparison.save(comparison.compare(_machine(), _say, quick=options.quick), path)
    try:
        found = comparison.load(path)
    except (OSError, ValueError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    picture = ROOT / "docs" / "trackers.svg" if not options.quick else path.with_suffix(".svg")
    plot.draw(found, picture)
    if options.json:
        print(path.read_text())
        return 0
    print(found.machine)
    for table in comparison.tables(found, _time):
        print()
        _print_table(table)
    print(f"\n{picture}")
    return 0


def _compare_peers(options: argparse.Namespace) -> int:
    """Everything that one would use instead, in one run: a table, and with --record docs/peers.md and its picture."""
    from benchmarks.peers import picture, side_by_side, table

    path = options.results or ROOT / "build" / "benchmarks" / "peers.json"
    if options.results is None:
        side_by_side.save(side_by_side.compare(_machine(), _say, quick=options.quick), path)
    try:
        found = side_by_side.load(path)
    except (OSError, ValueError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    if options.record:
        table.record(found, ROOT / "docs" / "peers.md", _time)
        picture.draw(found, ROOT / "docs" / "peers.svg")
    if options.json:
        print(path.read_text())
        return 0
    print(f"{found.machine}; {found.seconds:.0f} s\n")
    _print_table(table.table(found, _time))
    print("", *table.notes(found), sep="\n")
    return 0


def _scale(options: argparse.Namespace) -> int:
    """How costs grow: tables, and with --record docs/scaling.md and its picture."""
    from benchmarks.scaling import results

    path = options.results or ROOT / "build" / "benchmarks" / "scaling.json"
    if options.results is None:
        results.save(results.run(_machine(), _say, quick=options.quick), path)
    try:
        found = results.load(path)
    except (OSError, ValueError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    if options.record:
        results.record(found, ROOT / "docs" / "scaling.md", _time)
        results.draw(found, ROOT / "docs" / "scaling.svg", _time)
    if options.json:
        print(path.read_text())
        return 0
    print(found.machine)
    for table in results.tables(found, _time):
        print()
        _print_table(table)
    return 0


def _count_instructions(options: argparse.Namespace) -> int:
    """The instruction counts of the hot paths beside the recorded ones. Returns 1 if a path became slower."""
    counts, why_not = instructions.count(_say)
    if counts is None:
        print(f"no instructions were counted: {why_not}", file=sys.stderr)
        return 1
    under = recorded.key()
    if options.record:
        recorded.record(counts, under)
        recorded.write_page(counts, under)
        print(f"recorded in {recorded.RECORDED.relative_to(ROOT)} under: {under}")
        return 0
    found = recorded.load()
    lines = recorded.compare(counts, under, found)
    if options.json:
        json.dump(
            {"key": under, "known": under in found, "lines": [asdict(line) for line in lines]}, sys.stdout, indent=1
        )
        print()
    else:
        print(f"Instructions of the package's own modules, an operation ({under}):\n")
        table = [["what", "recorded", "now", "limit", ""]]
        for line in lines:
            before = "" if line.recorded is None else f"{line.recorded:.1f}"
            limit = "" if line.limit == float("inf") else f"{line.limit:.1f}"
            table.append([line.name, before, f"{line.now:.1f}", limit, line.verdict])
        _print_table(table)
    if under not in found:
        _say("nothing is recorded for this build: each path was held against the empty method of the same run only")
    if any(line.verdict == "faster" for line in lines) or (
        under in found and any(line.verdict == "new" for line in lines)
    ):
        _say("some became faster, or are new: keep that with 'ci/bench --instructions --record', and commit the file")
    slower = [line.name for line in lines if line.verdict == "slower"]
    if slower:
        _say(f"slower: {', '.join(slower)}. Mend it; or, if it is worth it, add --record, and say why")
    return 1 if slower else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds: a look, not a measurement")
    parser.add_argument("--large", action="store_true", help="boards of 100 000 tasks too: 430 MB of /dev/shm")
    parser.add_argument(
        "--trackers", action="store_true", help="only this: several processes on the trackers, and docs/trackers.svg"
    )
    parser.add_argument(
        "--peers", action="store_true", help="only this: everything that one would use instead, side by side"
    )
    parser.add_argument(
        "--scaling", action="store_true", help="only this: 10 to 100 000 tasks, up to 16 processes; 480 MB of /dev/shm"
    )
    parser.add_argument("--record", action="store_true", help="keep what was found: in docs/, with its picture")
    parser.add_argument(
        "--instructions", action="store_true", help="only this: instruction counts of the hot paths beside the recorded"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON; times are in seconds")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this benchmark; may be repeated")
    parser.add_argument("--results", type=Path, metavar="FILE", help="run nothing, report this JSON of an earlier run")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------- running


def _run(path: Path, options: argparse.Namespace) -> bool:
    """Run the benchmarks into the file; each is named on standard error when it is done."""
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "--color=no", "-v", "--no-header"]
    command += ["--benchmark-quiet", f"--benchmark-json={path}", "-p", "no:timeout"]
    command += [f"--{name}" for name in ("quick", "large") if getattr(options, name)]
    command += [f"{_file_of(name, folder)}::{name}" for name in options.only] or [str(folder)]
    begin = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        guard = threading.Timer(LIMIT_S, process.kill)
        guard.start()
        lines: list[str] = []
        for line in process.stdout or ():
            lines.append(line)
            if "::" in line:
                _say(f"{time.monotonic() - begin:6.1f} s  {line.strip()}")
        guard.cancel()
    if process.returncode:
        _say("".join(lines))
    return process.returncode == 0


def _file_of(name: str, folder: Path) -> Path:
    function = f"def {name.partition('[')[0]}("
    for path in sorted(folder.glob("bench_*.py")):
        if function in path.read_text():
            return path
    raise LookupError(f"no file of {folder} defines {name}")


# --------------------------------------------------------------------------------------------------------- printing


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}" if abs(seconds) < 999.5 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _budget(verdict: Verdict) -> str:
    budget = verdict.budget
    match budget.kind:
        case Kind.SECONDS:
            return f"≤ {_time(budget.limit)}"
        case Kind.RATIO:
            return f"≤ {_number(budget.limit)} ×"
        case Kind.RATE:
            return f"rate ≥ {_number(budget.limit)} ×: {verdict.measured:.3f}"
        case Kind.DIFFERENCE:
            return f"≤ {_time(budget.limit)} more: {_time(verdict.measured)}"
        case Kind.OVERHEAD:
            return f"overhead ≥ {_number(budget.limit)} × ours: {_number(verdict.measured)}"


def _cells(row: Row, first: bool) -> list[str]:
    what = [row.title, _time(row.seconds)] if first else ["", ""]
    if row.beside is None or row.beside_seconds is None or row.ratio is None:
        what += ["", "", "", ""]
    else:
        low, middle, high = map(_number, row.ratio)
        what += [row.beside, _time(row.beside_seconds), middle, f"{low} to {high}"]
    return [
        *what,
        "; ".join(map(_budget, row.verdicts)),
        "; ".join("met" if verdict.met else "MISSED" for verdict in row.verdicts),
    ]


def _print(rows: Sequence[Row], counted: dict[str, instructions.Count] | None, why_not: str) -> None:
    print(f"{_machine()}\n")
    table = [["what", "median", "beside", "median", "ratio", SPREAD, "budget", ""]]
    for number, row in enumerate(rows):
        table.append(_cells(row, number == 0 or rows[number - 1].bench != row.bench))
    _print_table(table)
    print()
    if counted is None:
        print(f"Instructions: {why_not}.")
    else:
        print("Instructions an operation (callgrind), the loop around it taken off; and of the package's own modules:")
        for name, value in counted.items():
            print(f"  {name:<32} {value.all:9.1f} {value.own:9.1f}")
    print("Measured by programs of their own:", *(f"{what} ({how})" for what, how in ELSEWHERE.items()), sep="\n  ")
    verdicts = [verdict for row in rows for verdict in row.verdicts]
    for text in dict.fromkeys(verdict.budget.source for verdict in verdicts if not verdict.met):
        print(f"MISSED: {text}: {WHY_MISSED.get(text, 'not explained')}")
    met = sum(verdict.met for verdict in verdicts)
    print(f"{met} of {len(verdicts)} budgets met.")


def _print_table(table: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, line in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _machine() -> str:
    """On what this was measured, and how busy it was."""
    with contextlib.suppress(OSError):
        model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = model[1] if model else platform.machine()
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        return f"Python {platform.python_version()}, {os.cpu_count()} cores of {processor}; load average {load}"
    return f"Python {platform.python_version()}, {platform.platform()}"


def _as_json(
    rows: Sequence[Row], missing: Sequence[str], counted: dict[str, instructions.Count] | None
) -> dict[str, Any]:
    lines = []
    for row in rows:
        line = asdict(row)
        for verdict in line["verdicts"]:
            verdict["budget"]["kind"] = verdict["budget"]["kind"].name.lower()
        lines.append(line)
    return {
        "machine": _machine(),
        "rows": lines,
        "missing": list(missing),
        "instructions": counted and {name: asdict(one) for name, one in counted.items()},
        "elsewhere": ELSEWHERE,
    }


if __name__ == "__main__":
    sys.exit(main())
