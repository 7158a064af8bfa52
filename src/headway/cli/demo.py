"""Index the Python standard library with a pool of worker processes, and show live how far they are.

Every file is read, tokenized, parsed and compiled. All workers count on one task; each package is a task of its own,
with stages and a result.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import add_json, print_json, say
from headway.cli._source import board_name
from headway.terminal.painter import Painter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
While it runs, follow it from another terminal: 'headway watch demo'. Its last state stays readable.

examples:
  headway demo
  headway demo --kill-one                 a worker is killed midway: see what it did, and that no count is lost
  headway demo --source src --repeat 20   other files, again and again
"""
WORKERS_MOST = 256


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return int(text)

    return parse


def configure(parser: argparse.ArgumentParser) -> None:
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--workers", type=_count(WORKERS_MOST), metavar="N", default=cores, help=f"processes (here: {cores})"
    )
    parser.add_argument("--repeat", type=_count(1000), metavar="N", default=1, help="index every file N times")
    parser.add_argument("--kill-one", action="store_true", help="kill (SIGKILL) one worker midway")
    parser.add_argument("--source", type=Path, metavar="DIR", help="index the .py files below DIR instead")
    parser.add_argument("--board", type=board_name, metavar="NAME", default="demo", help="default: demo")
    add_json(parser, "print what was found as JSON")


def run(options: argparse.Namespace) -> int:
    from headway.demo.corpus import standard_library
    from headway.demo.run import Options
    from headway.demo.run import run as run_demo

    source: Path = options.source or standard_library()
    if not source.is_dir():
        raise errors.HeadwayError(f"{source} is not a folder: name one with --source")
    command = _command()
    wanted = Options(
        options.board, source.resolve(), options.workers, options.repeat, options.kill_one, f"{command} watch"
    )
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: the workers end, the last state is written
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    report = run_demo(wanted, Painter(rows=options.workers + 10))
    if options.json:
        print_json(report.to_dict())
        return 0
    for line in str(report).splitlines():
        say(line)
    say()
    if report.snapshot is None:
        say("there was no room for a snapshot")
        return 0
    say(f"the last state of the board is in {report.snapshot}; try:")
    name = options.board
    largest = max(report.packages, key=lambda package: report.packages[package]["lines"])
    for rest in ("ls", f"show {name}", f"show {name} {shlex.quote('all/' + largest)}", f"export {name} -o {name}.json"):
        say(f"  {command} {rest}")
    return 0


def _command() -> str:
    """The command line that calls `headway` from any other shell."""
    path = os.path.abspath(sys.argv[0])
    name = os.path.basename(path)
    if name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m headway"
    return name if shutil.which(name) == path else shlex.quote(path)
