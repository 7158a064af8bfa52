"""Runs the steps of a list, its lanes side by side, and says at the end what took how long: .ci/run

The list comes on standard input: a line `name: command` is a step, a line `[name]` begins a lane, # begins a comment.
Steps above the first lane run one after the other. Then all lanes begin; the steps of a lane run one after the other.
Arguments name the steps to run; without any, all are run.

A step that fails ends its lane, and the run. What a step prints is shown when it has ended, and kept in build/ci.

Much of what is tested waits: a lane keeps half a core busy, so three on two cores take little longer than one. As root
each step of a lane has a /dev/shm of its own, so that the boards of one lane are not taken for leaks of another.
Without root the lanes run one after the other.

A test that fails only because the machine is busy is a defect of the test, but not of the change. So a step that runs
pytest has a second pass: the tests that failed run once more, alone. Those that pass then are counted, named at the
end, and kept in build/ci/second-passes.txt. Tests of what must never go wrong have no second pass (see ONE_PASS), nor
has a run that left something behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path("build", "ci")
SECOND_PASSES = FOLDER / "second-passes.txt"
PYTEST = ("ci/test", "ci/test-with", "ci/browser")  # commands that hand their arguments to pytest
SOME_FAILED = 1  # pytest's exit code; others say that the run itself went wrong, or left something behind
# Faults, models, locks, recorder: whatever fails there even once is looked into.
ONE_PASS = (
    "tests/faults/*",
    "tests/fuzz/*",
    "tests/models/*",
    "tests/unit/native/*",
    "tests/unit/recorder/*",
    "tests/*lock*",
    "tests/*recorder*",
    "tests/*crash*",
)
OWN_SHARED_MEMORY = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec "$@"', "sh")
PATIENCE_S = 10.0  # for a step that was told to end


@dataclass(frozen=True)
class Step:
    name: str
    words: tuple[str, ...]

    @property
    def file(self) -> Path:
        """Where its output is kept; other suffixes are its other files."""
        return FOLDER / (re.sub(r"[^a-z0-9.]+", "-", self.name.lower()) + ".log")


@dataclass(frozen=True)
class Lane:
    name: str  # "" for the steps above the first lane
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Case:
    """A test that has run: `failure` is the first line of what went wrong, "" if nothing did."""

    file: str
    name: str
    seconds: float
    failure: str


@dataclass
class Result:
    step: Step
    seconds: float
    wrong: str  # why the step failed, "" if it did not
    cases: list[Case] = field(default_factory=list)
    second_passes: list[Case] = field(default_factory=list)


# --- the list


def read(text: str) -> list[Lane]:
    """The lanes of a list. Ends the program where a line is neither a step nor a lane."""
    lanes: list[tuple[str, list[Step]]] = [("", [])]
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if lane := re.fullmatch(r"\s*\[(.+)\]\s*", line):
            lanes.append((lane[1], []))
        elif step := re.fullmatch(r"\s*([^:]+):\s+(.+)", line):
            lanes[-1][1].append(Step(step[1].strip(), tuple(shlex.split(step[2], comments=True))))
        else:
            stop(f"a line of the list is neither `name: command` nor `[lane]`: {line}")
    files = Counter(step.file for _, steps in lanes for step in steps)
    if twice := [str(file) for file, count in files.items() if count > 1]:
        stop(f"two steps would write {', '.join(twice)}: give them other names")
    return [Lane(name, tuple(steps)) for name, steps in lanes]


def choose(lanes: list[Lane], names: list[str]) -> list[Lane]:
    """The steps of these names, in their lanes. Ends the program for a name that no step has."""
    known = [step.name for lane in lanes for step in lane.steps]
    if unknown := [name for name in names if name not in known]:
        stop(f"no step is called {', '.join(unknown)}: there are {', '.join(known)}")
    return [Lane(lane.name, tuple(step for step in lane.steps if not names or step.name in names)) for lane in lanes]


def stop(why: str) -> NoReturn:
    sys.exit(f".ci/run: {why}.")


# --- steps


def may_have_second_pass(file: str) -> bool:
    return bool(file) and not any(fnmatchcase(file, pattern) for pattern in ONE_PASS)


def cases_of(report: Path) -> list[Case]:
    """The tests of a JUnit report of pytest's (xunit1, which names files), none where there is no report."""
    if not report.exists():
        return []
    cases = []
    for case in ET.parse(report).getroot().iter("testcase"):
        file, name = case.get("file", ""), case.get("name", "")
        group = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", ".")).strip(".")
        wrong = [*case.iter("failure"), *case.iter("error")]
        failure = (wrong[0].get("message") or "failed").strip().partition("\n")[0] if wrong else ""
        full = "::".join(part for part in (file, *group.split("."), name) if part)
        cases.append(Case(file, full, float(case.get("time", 0)), failure))
    return cases


class Runner:
    """Runs steps, and knows which of them are running, so that they can be ended."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._running: dict[subprocess.Popen[bytes], Step] = {}
        self._lock = threading.Lock()  # of the two above, and of what is printed
        self._ending = False

    def lane(self, lane: Lane, apart: bool) -> bool:
        """Run the steps up to the first that fails; whether all passed. apart: each with a /dev/shm of its own."""
        return all(self._step(step, f" (lane {lane.name})" if lane.name else "", apart) for step in lane.steps)

    def _step(self, step: Step, lane: str, apart: bool) -> bool:
        began = time.monotonic()
        with self._lock:
            if self._ending:
                return False
            print(f"=== {step.name}{lane}: begins, {time.strftime('%H:%M:%S')}; output in {step.file}", flush=True)
        try:
            result = self._passes(step, apart, began)
        except OSError as error:
            result = Result(step, time.monotonic() - began, f"could not be started: {error}")
        with self._lock:
            self.results.append(result)
            if not self._ending:
                show(step)
                outcome = f"FAILED: {result.wrong}" if result.wrong else "passed"
                print(f"=== {step.name}{lane}: {outcome}, {result.seconds:.0f} s\n", flush=True)
        return not result.wrong

    def _passes(self, step: Step, apart: bool, began: float) -> Result:
        is_pytest = step.words[0] in PYTEST
        report, again = step.file.with_suffix(".xml"), step.file.with_suffix(".again.xml")
        for file in (step.file, report, again):
            file.unlink(missing_ok=True)
        more = ("-o", "junit_family=xunit1", "-o", f"cache_dir={step.file.with_suffix('.cache')}") if is_pytest else ()
        junit = (f"--junit-xml={report}",) if is_pytest else ()
        status = self._run(step, (*step.words, *more, *junit), apart)
        cases, second_passes = cases_of(report), []
        wrong = "" if status == 0 else ended_with(status)
        failed = [case for case in cases if case.failure]
        if is_pytest and status == SOME_FAILED and failed:
            once = sorted({case.file for case in failed if not may_have_second_pass(case.file)})
            if once:
                wrong = f"{wrong}; there is no second pass in {', '.join(once)}"
            else:
                with step.file.open("a") as log:
                    log.write(f"\n=== {step.name}: {len(failed)} failed; the second pass, alone\n")
                only = ("--last-failed", "--last-failed-no-failures", "none", f"--junit-xml={again}")
                status = self._run(step, (*step.words, *more, *only), apart)
                wrong = "" if status == 0 else f"{ended_with(status)} in the second pass, too"
                second_passes = failed if status == 0 else []
        return Result(step, time.monotonic() - began, wrong, cases, second_passes)

    def _run(self, step: Step, words: Iterable[str], apart: bool) -> int:
        """The exit code of a command, which adds to the file of its step."""
        with step.file.open("ab") as log:
            with self._lock:
                if self._ending:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    [*(OWN_SHARED_MEMORY if apart else ()), *words],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running[process] = step
            status = process.wait()
            with self._lock:
                del self._running[process]
            return status

    def end(self) -> None:
        """End all steps that are running, and show what they printed."""
        with self._lock:
            self._ending = True
            running = dict(self._running)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):  # pytest tidies up after the first
            until = time.monotonic() + PATIENCE_S
            for process in running:
                with contextlib.suppress(ProcessLookupError):  # all of the group have ended
                    os.killpg(process.pid, number)
            while any(process.poll() is None for process in running) and time.monotonic() < until:
                time.sleep(0.05)
        for step in running.values():
            show(step)
            print(f"=== {step.name}: ended before it was done\n", flush=True)


def show(step: Step) -> None:
    sys.stdout.flush()
    with contextlib.suppress(FileNotFoundError), step.file.open("rb") as log:
        shutil.copyfileobj(log, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def ended_with(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"


# --- the end


def summary(results: list[Result]) -> str:
    """What took how long, and what passed only the second time."""
    lines = ["Steps:", *(f"{one.seconds:8.0f} s  {one.step.name}" for one in results)]
    files: dict[tuple[str, str], list[float]] = {}
    for one in results:
        for case in one.cases:
            files.setdefault((case.file, one.step.name), []).append(case.seconds)
    if files:
        lines += ["", "Test files, slowest first:"]
        slowest = sorted(files.items(), key=lambda item: -sum(item[1]))
        lines += [f"{sum(times):8.1f} s  {len(times):4} tests  {file} ({step})" for (file, step), times in slowest]
    lines += ["", *second_passes(results)]
    return "\n".join(lines)


def second_passes(results: list[Result]) -> list[str]:
    found = [(one.step.name, case) for one in results for case in one.second_passes]
    if not found:
        return ["No test needed a second pass."]
    lines = [f"{len(found)} passed only the second time:"]
    for step, case in found:
        lines += [f"  {case.name} ({step})", f"      {case.failure[:200]}"]
    return lines


def keep(results: list[Result]) -> None:
    """Add what passed only the second time to the file of all runs, "none" too: so runs can be counted."""
    with SECOND_PASSES.open("a") as file:
        print(time.strftime("%Y-%m-%d %H:%M"), *second_passes(results), sep="\n", end="\n\n", file=file)


def main() -> int:
    lanes = choose(read(sys.stdin.read()), sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Whoever started this in the background has it ignore Ctrl-C, and all that it starts. The tests press Ctrl-C: a
    # signal with a handler has its default action again in every program that is started from here.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began, runner = time.monotonic(), Runner()
    first, *others = lanes
    others = [lane for lane in others if lane.steps]
    apart = len(others) > 1 and subprocess.call(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL) == 0
    with ThreadPoolExecutor(len(others) if apart else 1) as pool:
        try:
            good = runner.lane(first, apart=False)
            futures = [pool.submit(runner.lane, one, apart) for one in others] if good else []
            # With a time limit: a signal that the kernel gave to another thread would not wake this one, which answers.
            while wait(futures, timeout=0.2).not_done:
                pass
            good = good and all(future.result() for future in futures)
        except KeyboardInterrupt:
            runner.end()
            print(f"Interrupted after {time.monotonic() - began:.0f} s.")
            return 130
    print(summary(runner.results), end="\n\n")
    keep(runner.results)
    seconds = time.monotonic() - began
    if not good:
        for one in runner.results:
            if one.wrong:
                print(f"{one.step.name} FAILED: {one.wrong}. What it printed stands above, and in {one.step.file}.")
        print(f"The run has failed, after {seconds:.0f} s.")
        return 1
    print(f"All steps passed, in {seconds:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
