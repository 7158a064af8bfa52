"""The command `headway`. Each command is a module beside this one, and only the chosen one is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from headway import errors
from headway.system import support

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "demo": "run a real pool of workers to watch: it indexes Python's standard library",
    "ls": "list the boards of this user",
    "show": "show the tasks and workers of a board, or all about one task",
    "watch": "follow a board while it goes on",
    "top": "follow a board full screen, with its tree of tasks, workers and stages",
    "report": "write a picture of a run as one HTML file",
    "serve": "show all boards in a browser",
    "history": "show the tasks of a board that have ended or were lost",
    "export": "write a board as JSON or CSV, or as a snapshot file for NumPy",
    "record": "record a board in the foreground, instead of its helper process",
    "doctor": "look for what is wrong, or will be, each with what mends it",
    "gc": "remove what dead programs left in shared memory",
    "rm": "remove a board",
}
FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141  # the last two: as a shell reports SIGINT and SIGPIPE

_HEAD = "Progress of every process of a program, live, and still known after a crash."
_EPILOG = """\
'headway COMMAND --help' tells more about each, with examples.

exit status: 0 done; 1 refused or failed, and why is on standard error; 2 wrong usage; 130 interrupted
environment: HEADWAY_BOARD the board to use, HEADWAY_DIR where files are, NO_COLOR no colours
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status; argv: default the arguments of this process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _fill_closed_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()  # a pipe that was closed is noticed here, not at the exit of the interpreter
    except BrokenPipeError:
        _drop_output()  # whoever read us has had enough
        return BROKEN_PIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _drop_output()
        return _fail(f"{where}{error.strerror or error}")
    except errors.HeadwayError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        _overview().parse_args(arguments or ["--help"])  # ends here: help, version, or wrong usage
        raise AssertionError("argparse let an unknown command pass")
    command = importlib.import_module(f"headway.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"headway {name}",
        description=command.__doc__,
        epilog=command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    options = parser.parse_args(arguments[1:])
    reason = support.unusable()
    if reason is not None:
        return _fail(reason)
    status: int = command.run(options)
    return status


def _overview() -> argparse.ArgumentParser:
    """The parser of `headway` itself. Its commands are told, not run."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {told}" for name, told in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="headway",
        usage="headway [-h] [--version] COMMAND ...",
        description=f"{_HEAD}\n\ncommands:\n{listed}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument("command", metavar="COMMAND", choices=tuple(COMMANDS), help="one of the above")
    return parser


class _Version(argparse.Action):
    """The version, looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import headway

        print(f"headway {headway.__version__}")
        parser.exit()


def _fill_closed_streams() -> None:
    """Started with one of its standard streams closed, Python has None there: what is written then goes nowhere.

    It also keeps a board's descriptor from becoming number 1 or 2, to which any library may write.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def _drop_output() -> None:
    """What is still buffered, and could not be written, goes nowhere: else the exit would complain once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(reason: str) -> int:
    from headway.terminal.text import safe

    print(f"headway: {safe(reason, sys.stderr.encoding)}", file=sys.stderr)
    return FAILED
