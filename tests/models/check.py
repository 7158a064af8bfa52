"""Checks the models in this folder with Spin: sound ones completely, and that every broken variant is found broken.

A model names its runs in its head, one a line: ` * Runs: safety|liveness -DNAME=VALUE ...`; `Long runs:` are searched
with --long only. Every name MUTANT_... that occurs in it is a broken variant, and checked as the safety runs are, one
after the other until one finds it, the long ones last; MUTANT_LIVENESS_... as the liveness runs are.
Nothing is believed that was not searched to its end: a search cut short fails, and so does a mutant without an error.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

HERE = Path(__file__).resolve().parent
DEPTH = 1_000_000  # steps of one execution; a search that needs more fails
MEMORY_MIB = 2048
SECONDS = 300  # of the processor, for one search: so it does not matter what else the machine does
PACKAGES = {"spin": "spin", "gcc": "gcc", "cpp": "cpp"}  # commands, and the Debian package of each
NOT_FOUND = "the mutant was not found"
PROBLEM = re.compile(r"^pan:\d+: (.+?)(?: \(at depth \d+\))?$", re.MULTILINE)


class NotChecked(Exception):
    """The models say nothing, because they could not be run."""


@dataclass(frozen=True)
class Run:
    """One search: a model with some definitions, and whether an error is to be found in it."""

    model: Path
    name: str
    mode: str
    defines: tuple[str, ...]
    broken: bool
    otherwise: Run | None = None  # what is searched when this finds nothing


@dataclass(frozen=True)
class Outcome:
    """What the search found. `wrong` says why it is not what was expected, "" if it is."""

    run: Run
    states: int
    transitions: int
    depth: int
    seconds: float
    problem: str
    wrong: str
    output: str

    @property
    def verdict(self) -> str:
        if self.wrong:
            return f"WRONG: {self.wrong}"
        short = self.problem if len(self.problem) <= 60 else f"{self.problem[:59]}…"
        return f"found: {short}" if self.run.broken else "sound"


def runs_of(model: Path, long: bool = False) -> list[Run]:
    """The runs that a model names, and one for each of its mutants."""
    text = model.read_text(encoding="utf-8")
    runs: list[Run] = []
    too_long: list[Run] = []
    for kind, mode, rest in re.findall(r"^[ /]\*.*?(Runs|Long runs): (safety|liveness)(.*)$", text, re.MULTILINE):
        defines = tuple(rest.split())
        shown = " ".join(define.removeprefix("-D") for define in defines)
        found = runs if long or kind == "Runs" else too_long
        found.append(Run(model, shown or "as it is", mode, defines, broken=False))
    searched = [*reversed(too_long), *reversed(runs)]
    sound = {mode: [run for run in searched if run.mode == mode] for mode in ("safety", "liveness")}
    mutants = sorted(set(re.findall(r"\bMUTANT_[A-Z_]+\b", text)))
    if not runs or not mutants:
        raise NotChecked(f"{model.name} names {len(runs)} runs and {len(mutants)} mutants: a model needs both.")
    for mutant in mutants:
        mode = "liveness" if mutant.startswith("MUTANT_LIVENESS_") else "safety"
        if not sound[mode]:
            raise NotChecked(f"{model.name} has {mutant}, but no {mode} run: name one in its head.")
        search = None
        for run in sound[mode]:  # the first one named is the first one searched
            search = Run(model, mutant, mode, (*run.defines, f"-D{mutant}"), broken=True, otherwise=search)
        runs.append(cast(Run, search))
    return runs


def call(command: list[str], folder: Path) -> tuple[str, float]:
    """The output of a command that has to succeed, and the seconds of the processor that it took."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise NotChecked(f"{' '.join(command)} took longer than {SECONDS} s of the processor, or was killed.")
    if process.returncode:
        raise NotChecked(f"{' '.join(command)} ended with code {process.returncode}:\n{said}")
    return said, used.ru_utime + used.ru_stime


def search(run: Run) -> Outcome:
    """Build the verifier of one run, and have it search."""
    outcome = search_once(run)
    return search(run.otherwise) if outcome.wrong == NOT_FOUND and run.otherwise else outcome


def search_once(run: Run) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="headway-models-") as name:
        folder = Path(name)
        call(["spin", "-a", *run.defines, str(run.model)], folder)
        if not (folder / "pan.c").is_file():
            raise NotChecked(f"spin made no verifier of {run.model.name} ({run.name}).")
        kind = ["-DSAFETY", "-DNOFAIR"] if run.mode == "safety" else []
        effort = "-O0" if run.broken else "-O1"  # a compiler that takes pains takes longer than most searches
        call(["gcc", effort, "-w", f"-DMEMLIM={MEMORY_MIB}", *kind, "-o", "pan", "pan.c"], folder)
        fair = [] if run.mode == "safety" else ["-a", "-f"]
        return judge(run, *call(["./pan", f"-m{DEPTH}", *fair], folder))


def number(pattern: str, output: str) -> int:
    """A figure of the output; large ones stand there as 1.3217154e+08."""
    found = re.search(pattern.replace("N", r"([\d.]+(?:e\+\d+)?)"), output)
    return int(float(found[1])) if found else 0


def judge(run: Run, output: str, seconds: float) -> Outcome:
    """Read the verifier's output. What is not said there is not taken for granted."""
    output = re.sub(r"^Depth=.*\n", "", output, flags=re.MULTILINE)  # how far it has got
    errors = re.search(r"errors: (\d+)", output)
    found = PROBLEM.search(output)
    problem = found[1] if found else ""
    states = number(r"N states, stored", output)
    wrong = ""
    if errors is None or not states:
        wrong = "no result"
    elif re.search(r"max search depth too small|reached -DMEMLIM|out of memory", output):
        wrong = "the search was cut short"
    elif run.broken and errors[1] == "0":
        wrong = NOT_FOUND
    elif run.broken and run.mode == "liveness" and "acceptance cycle" not in problem:
        wrong = f"found for another reason: {problem}"
    elif not run.broken and errors[1] != "0":
        wrong = f"{errors[1]} errors: {problem}"
    elif not run.broken and "Search not completed" in output:
        wrong = "the search was not completed"
    transitions = number(r"N transitions \(", output)
    return Outcome(run, states, transitions, number(r"depth reached N", output), seconds, problem, wrong, output)


def table(outcomes: list[Outcome]) -> str:
    """One line a run."""
    rows = [("model", "variant", "states", "transitions", "depth", "seconds", "verdict")]
    for one in outcomes:
        figures = (f"{one.states:,}", f"{one.transitions:,}", f"{one.depth:,}", f"{one.seconds:.1f}")
        rows.append((one.run.model.stem, one.run.name, *figures, one.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i > 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[6]]))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/models", description="Check the models of tests/models with Spin.")
    parser.add_argument("model", nargs="*", help="names of models, without .pml (default: all)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="searches at once (default: 2)")
    parser.add_argument("--long", action="store_true", help="the runs that take minutes, too")
    arguments = parser.parse_args()
    missing = [command for command in PACKAGES if shutil.which(command) is None]
    if missing:
        packages = " ".join(PACKAGES[command] for command in missing)
        raise NotChecked(f"missing: {', '.join(missing)}; install it (Debian, as root: apt-get install {packages}).")
    models = [HERE / f"{name}.pml" for name in arguments.model] or sorted(HERE.glob("*.pml"))
    unknown = [model.stem for model in models if not model.is_file()]
    if unknown or not models:
        there = ", ".join(model.stem for model in sorted(HERE.glob("*.pml")))
        raise NotChecked(f"no model {', '.join(unknown)} in {HERE}: there are {there or 'none'}.")
    runs = [run for model in models for run in runs_of(model, arguments.long)]
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        outcomes = list(pool.map(search, runs))
    print(table(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.wrong]
    for outcome in wrong:
        print(f"\n{outcome.run.model.name}, {outcome.run.name}: {outcome.wrong}\n{outcome.output}")
    sound = sum(not run.broken for run in runs)
    print(f"\n{sound} sound runs, {len(runs) - sound} mutants: {len(wrong)} wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotChecked as reason:
        sys.exit(f"ci/models: {reason}")
