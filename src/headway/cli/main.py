"""The command `headway`. Each of its commands is a module beside this one; only the chosen one is imported."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Protocol, cast

from headway import errors
from headway.system import paths, support

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "Command", "main", "parser_of"]


class Command(Protocol):
    """What the module of a command has: its docstring is the description that --help shows."""

    __doc__: str | None
    EXAMPLES: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Run it. Returns the exit status."""


COMMANDS = {
    "demo": "run a real pool of workers to watch: it indexes Python's standard library",
    "ls": "list the boards of this user",
    "show": "show the tasks and workers of a board, or all about one task",
    "watch": "follow a board while it goes on",
    "top": "follow a board full screen, with its tree of tasks, workers and stages",
    "report": "write a picture of a run as one HTML file",
    "serve": "show all boards in a browser",
    "history": "show the tasks of a board that have ended or were lost",
    "export": "write a board as JSON, CSV or Parquet, or as a snapshot file for NumPy",
    "run": "run a program of Python, unchanged, with its bars and calls of joblib on a board",
    "exec": "run a command of any kind, unchanged, as a task: it may tell how far it is, and its exit status ends it",
    "record": "record a board in the foreground, instead of its helper process",
    "doctor": "look for what is wrong with boards and machine, or soon will be, each with its remedy",
    "gc": "remove what dead programs left in shared memory",
    "rm": "remove boards: by name, or all that are older than so many days",
    "completion": "print a script that completes commands, options and boards in bash, zsh or fish",
}
NEED_MEMORY = ("demo", "record")  # the others read files, or look at what is there
NEED_NOTHING = ("exec",)  # what it runs matters more than who sees it
FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141  # the last two: as a shell reports SIGINT and SIGPIPE

_HEAD = "Progress of every process of a program, live, and still known after a crash."
_EPILOG = """\
'headway COMMAND --help' says more about each, with examples.

boards: their files are in {directory}
exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 wrong usage; 130 interrupted
environment: HEADWAY_BOARD the board to use, HEADWAY_DIR where the files are, NO_COLOR no colours
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status; argv: default the arguments of this process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:  # whatever ends that program shall end it as if Python ran it
        from headway.cli.run import run_at_once

        run_at_once(arguments[1:])
    _fill_closed_streams()
    try:
        status: int | None = _run(arguments)
        sys.stdout.flush()  # a pipe that was closed is noticed here, not at the exit of the interpreter
    except BrokenPipeError:
        _drop_output()  # the reader of our output has closed it
        return BROKEN_PIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _drop_output()
        return _fail(f"{where}{error.strerror or error}")
    except errors.HeadwayError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        status = None  # what took it is let go of with the exception
    if status is None:
        return _fail("there is too little memory for this: ask for less of it, or raise the limit (ulimit -v)")
    return status


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        _overview().parse_args(arguments or ["--help"])  # ends here: help, version, or wrong usage
        raise AssertionError("argparse let an unknown command pass")
    command = _command(name)
    options = parser_of(name, command).parse_args(arguments[1:])
    if name not in NEED_NOTHING:
        reason = support.unusable() if name in NEED_MEMORY else support.without_modules()
        if reason is not None:
            return _fail(reason)
    return command.run(options)


def _command(name: str) -> Command:
    return cast("Command", importlib.import_module(f"headway.cli.{name}"))


def parser_of(name: str, command: Command | None = None) -> argparse.ArgumentParser:
    """The parser of a command's arguments. command: its module, if that is imported already."""
    command = command or _command(name)
    parser = argparse.ArgumentParser(
        prog=f"headway {name}",
        description=command.__doc__,
        epilog=command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    return parser


def _overview() -> argparse.ArgumentParser:
    """The parser of `headway` itself: it lists the commands, and refuses a name that is not one."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {does}" for name, does in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="headway",
        usage="headway [-h] [--version] COMMAND ...",
        description=f"{_HEAD}\n\ncommands:\n{listed}",
        epilog=_EPILOG.format(directory=_directory()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument("command", metavar="COMMAND", type=_known, help="one of the above")
    return parser


def _directory() -> str:
    try:
        return str(paths.roots()[0])
    except errors.UnusableDirectory:
        return "no directory that can be written: set HEADWAY_DIR"


def _known(name: str) -> str:
    """Refuse a name that is not a command, and name those that are most like it."""
    if name in COMMANDS:
        return name
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"use one of {', '.join(COMMANDS)}"
    raise argparse.ArgumentTypeError(f"there is no command {name!r}: {hint}")


class _Version(argparse.Action):
    """Prints the version, for which the package is imported only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import headway

        print(f"headway {headway.__version__}")
        parser.exit()


def _fill_closed_streams() -> None:
    """Open /dev/null in the place of standard streams that were closed when Python started, where it has None.

    So no descriptor of a board gets the number 0, 1 or 2, to which any library may write.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def _drop_output() -> None:
    """Discard what is buffered and cannot be written: else the interpreter would complain once more as it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(reason: str) -> int:
    from headway.cli._output import complain

    complain(reason)
    return FAILED
