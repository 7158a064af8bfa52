"""Tries to break Headway, and says in one table what was tried, how often, and what failed: ci/faults

Each row (see rows.py) is a program of its own, which is bounded in time and gets a directory of its own. As root on
Linux it also gets a /dev/shm of its own, in which nothing may be left when it has ended.

A row's program says what it did by the last line that it prints, a JSON object: `tried`, a number; `of`, what was
counted; `failed`, a number; `note`, a sentence or "". A row that ends with another code than 0, or without such a
line, or that tried nothing, has failed, whatever it says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
RECORDED = ROOT / "docs" / "reliability.json"
BEGIN, END = "<!-- what `ci/faults --record` wrote -->", "<!-- end -->"
EMPTY_S = 20.0  # a recorder leaves some seconds after the last program of its board
OWN_SHARED_MEMORY = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec "$@"', "sh")


@dataclass(frozen=True)
class Outcome:
    """What a row did. `failed` counts what failed; `wrong` says why the row failed, "" if it did not."""

    part: str
    what: str
    tried: int
    of: str
    failed: int
    note: str
    seconds: float
    wrong: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/faults", description="Try to break Headway, and say what came of it.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only rows that contain one of these words")
    parser.add_argument("--long", action="store_true", help="the long form of each row: an hour or two in all")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="rows at once (default: 2)")
    parser.add_argument("--list", action="store_true", help="name the rows, and run none")
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    parser.add_argument("--record", action="store_true", help=f"write the table into {DOCUMENT.relative_to(ROOT)}")
    given = parser.parse_args()
    rows = [row for row in ROWS if not given.words or any(w.lower() in str(row).lower() for w in given.words)]
    if not rows:
        parser.error(f"no row contains {' or '.join(given.words)}: ci/faults --list names them")
    if given.list:
        print("\n".join(f"{row.part}: {row.what}" for row in rows))
        return 0
    if given.long:
        os.environ["HEADWAY_STRIDE"] = "1"  # every system call of a recorder, see test_recorder_crashes.py
    began, commit = time.monotonic(), _commit() if given.record else ""
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        # Of the long form the longest ones first, so that none of them is alone at the end.
        order = sorted(rows, key=_took, reverse=True) if given.long else rows
        running = {row: pool.submit(_run, row, given.long) for row in order}
        outcomes = [running[row].result() for row in rows]
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    print(json.dumps([asdict(one) for one in outcomes], indent=2) if given.json else _table(outcomes))
    _say(f"{len(outcomes)} rows in {time.monotonic() - began:.0f} s, {len(wrong)} failed")
    if not _root():
        _say("without root no row had a /dev/shm of its own: what was left there was not looked at")
    if given.record:
        _record(outcomes, given.long, commit)
    return 1 if wrong else 0


# ------------------------------------------------------------------------------------------------------------ one row


def _run(row: Row, long: bool) -> Outcome:
    """Run a row, bounded; never raises for what the row does."""
    command, bound_s = (row.long or row.quick, row.long_bound_s) if long else (row.quick, row.bound_s)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headway-faults-") as name:
        folder = Path(name)
        output, wrong = _call(command, folder, bound_s)
        if command[0] == "pytest":
            report = _of_tests(folder / "junit.xml")
        elif command[0].endswith("models/check.py"):
            report = _of_models(output)
        else:
            report = _of_program(output)
    seconds = time.monotonic() - began
    tried, of, failed, note = report if report is not None else (0, "", 0, "")
    if not wrong and report is None:
        wrong = "it said nothing of what it did"
    if not wrong and (failed or not tried):
        wrong = f"{failed} of {tried} {of} failed"
    if wrong:
        wrong = f"{wrong}\n{' '.join(command)}\n{output[-6000:]}"
    outcome = Outcome(row.part, row.what, tried, of, failed, note, round(seconds, 1), wrong)
    _say(f"{row.part}: {row.what}: {'FAILED' if wrong else 'held'}, {tried:,} {of}, {seconds:.0f} s")
    if wrong:  # at once: the table comes after an hour or two
        print(f"\n{row.part}: {row.what}\n{wrong}\n", file=sys.stderr, flush=True)
    return outcome


def _call(command: tuple[str, ...], folder: Path, bound_s: float) -> tuple[str, str]:
    """What the command printed, and what was wrong with how it ended."""
    words = [sys.executable, *command]
    if command[0] == "pytest":
        words = [
            sys.executable,
            "-m",
            *command,
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",
            "-o",
            f"timeout={bound_s:.0f}",  # rows run side by side, on a busy machine
            f"--junit-xml={folder / 'junit.xml'}",
        ]
    environment = {**os.environ, "HEADWAY_DIR": str(folder / "state"), "PYTHONPATH": str(ROOT), "CI": "true"}
    printed = folder / "printed"
    with open(printed, "w+b") as file:
        process = subprocess.Popen(
            [*(OWN_SHARED_MEMORY if _root() else ()), *words],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        shared = _SharedMemory(process.pid) if _root() else None
        try:
            code = process.wait(bound_s)
            wrong = f"it ended with code {code}" if code else ""
        except subprocess.TimeoutExpired:
            wrong = f"it was not done after {bound_s:.0f} s"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if shared is not None and not wrong:
            wrong = shared.left_over()
        if shared is not None:
            shared.close()
        file.seek(0)
        output = file.read().decode(errors="replace")
    return output, wrong


def _root() -> bool:
    return os.geteuid() == 0


class _SharedMemory:
    """A look into the /dev/shm of a child, held open beyond its end."""

    def __init__(self, pid: int) -> None:
        path, ours, until = f"/proc/{pid}/root/dev/shm", os.stat("/dev/shm").st_dev, time.monotonic() + EMPTY_S
        while os.stat(path).st_dev == ours:
            if time.monotonic() > until:
                raise SystemExit(f"ci/faults: pid {pid} got no /dev/shm of its own within {EMPTY_S:.0f} s.")
            time.sleep(0.005)
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def left_over(self) -> str:
        """What stands there when everybody had time to tidy up, as a sentence; "" if nothing."""
        until = time.monotonic() + EMPTY_S
        while (names := os.listdir(self._folder)) and time.monotonic() < until:
            time.sleep(0.1)
        return f"left in /dev/shm: {', '.join(sorted(names)[:8])} ({len(names)} in all)" if names else ""

    def close(self) -> None:
        os.close(self._folder)


# ------------------------------------------------------------------------------------------------------------ reports


def _of_program(output: str) -> tuple[int, str, int, str] | None:
    """The last line of a program of ours."""
    try:
        said = json.loads(output.strip().rpartition("\n")[2])
        return int(said["tried"]), str(said["of"]), int(said["failed"]), str(said.get("note", ""))
    except (ValueError, TypeError, KeyError):
        return None


def _of_tests(path: Path) -> tuple[int, str, int, str] | None:
    """What pytest's report counts: tests, and what tests counted themselves (`record_property(what, number)`)."""
    if not path.is_file():
        return None
    suites = list(ET.parse(path).getroot().iter("testsuite"))
    tests, failed, counted = 0, 0, Counter[str]()
    for suite in suites:
        tests += int(suite.get("tests", 0))
        failed += sum(int(suite.get(name, 0)) for name in ("failures", "errors", "skipped"))
        for found in suite.iter("property"):
            if re.fullmatch(r"\d+", found.get("value", "")):
                counted[found.get("name", "")] += int(found.get("value", ""))
    note = ", ".join(f"{number:,} {what}" for what, number in counted.items())
    return tests, "tests", failed, note


def _of_models(output: str) -> tuple[int, str, int, str] | None:
    """The last line of the models' table, and the sum of its states."""
    found = re.search(r"^(\d+) sound runs, (\d+) mutants: (\d+) wrong\.$", output, re.MULTILINE)
    if found is None:
        return None
    sound, mutants, wrong = map(int, found.groups())
    states = sum(
        int(line.split("  ")[0].replace(",", "")) for line in re.findall(r"  +([\d,]+  .*)$", output, re.MULTILINE)
    )
    return sound + mutants, "searches", wrong, f"{sound} sound, {mutants} mutants found, {states:,} states"


def _table(outcomes: list[Outcome]) -> str:
    """The outcomes for people, as wide as they need."""
    lines = []
    for part in dict.fromkeys(one.part for one in outcomes):
        lines.append(f"\n{part}")
        for one in outcomes:
            if one.part == part:
                verdict = f"{one.failed:,} FAILED" if one.failed else "FAILED" if one.wrong else "held"
                note = f"  ({one.note})" if one.note else ""
                lines.append(f"  {verdict:<10}{one.tried:>12,} {one.of:<14}{one.seconds:>8.1f} s  {one.what}{note}")
    return "\n".join(lines).lstrip("\n")


_printing = threading.Lock()


def _say(text: str) -> None:
    with _printing:
        print(f"faults: {text}", file=sys.stderr, flush=True)


def _recorded() -> dict[str, dict[str, Any]]:
    return json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}


def _took(row: Row) -> float:
    """Seconds that this row took when it was recorded; a new one may take any time."""
    return float(_recorded().get(f"{row.part}: {row.what}", {"seconds": row.long_bound_s})["seconds"])


def _commit() -> str:
    """The commit of this tree, "" if it is none."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _record(outcomes: list[Outcome], long: bool, commit: str) -> None:
    """Keep what these rows did beside what others did at other times, and put it all into the document."""
    known = _recorded()
    form = {"date": time.strftime("%Y-%m-%d"), "commit": commit, "long": long}
    for one in outcomes:
        known[f"{one.part}: {one.what}"] = {**asdict(one), **form, "wrong": one.wrong.partition("\n")[0]}
    names = [f"{row.part}: {row.what}" for row in ROWS]
    known = {name: known[name] for name in names if name in known}  # what is no row any more goes
    RECORDED.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"ci/faults: {DOCUMENT} has no place for the table: it needs the lines {BEGIN} and {END}.")
    DOCUMENT.write_text(f"{before}{mark}\n{_for_document(known)}\n{end}{after}", encoding="utf-8")
    _say(f"written into {DOCUMENT}")


def _for_document(known: dict[str, dict[str, Any]]) -> str:
    lines = ["| what was tried | how often | failed | seconds | |", "| --- | ---: | ---: | ---: | --- |"]
    for name, one in known.items():
        failed = one["failed"] or ("**the row**" if one["wrong"] else 0)
        form = "" if one["long"] else ", the quick form"
        note = f"{one['note']}; " if one["note"] else ""
        when = " ".join((one["date"], one.get("commit", ""))).strip()
        lines.append(
            f"| {name} | {one['tried']:,} {one['of']} | {failed} | {one['seconds']:,.0f} | {note}{when}{form} |"
        )
    return "\n".join(["", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
