"""The arguments --tracker and --dir of the programs, and the tracker that they choose.

A tracker pickles, so a program hands it to its workers with each job.
"""

import argparse
import os

from headway.analysis import FileBasedProgressTracker, ProgressTracker, tracker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracker",
        choices=["shared", "file", "memory"],
        default="shared",
        help="where progress goes: shared memory, JSON files, or each process's own memory (default: %(default)s)",
    )
    parser.add_argument("--dir", metavar="DIR", help="where the tracker's files are (default: its usual place)")


def chosen(arguments: argparse.Namespace) -> ProgressTracker:
    if arguments.dir is not None:
        if arguments.tracker == "file":
            return FileBasedProgressTracker(arguments.dir)
        os.environ["HEADWAY_DIR"] = arguments.dir  # workers inherit it
    return tracker(arguments.tracker)
