"""Run a program of Python, unchanged: its tqdm bars and calls of joblib, in all processes, are tasks on one board.

It runs as by Python itself: its arguments, its exit status, its signals and what it prints are its own.
"""

from __future__ import annotations

import os
import sys

from headway.integrations.startup import sitecustomize

TYPE_CHECKING = False  # importing typing, argparse or pathlib would take longer than all of this
if TYPE_CHECKING:
    import argparse
    from types import CodeType, TracebackType

__all__ = ["EXAMPLES", "configure", "run", "run_at_once"]

EXAMPLES = """\
Options of Python go before: python -X dev -m headway run train.py. The board is called like the program, or as
HEADWAY_BOARD says; follow it from another terminal: 'headway watch'. Children see the same board under fork, spawn and
forkserver and as subprocesses, unless they are started with -I or -E, or without this program's environment.

examples:
  headway run train.py --epochs 10
  headway run -m package.module
"""
NO_FILE = 2  # the exit status of Python where there is no such script


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", dest="is_module", action="store_true", help="run a module, as python -m does")
    parser.add_argument("program", metavar="PROGRAM", help="a script, a folder with a __main__.py, or a module")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs="...", help="those of the program")


def run_at_once(arguments: list[str]) -> None:
    """Run it outside of whatever the other commands make of exceptions and streams. Returns only if none is named."""
    at = 1 if arguments[:1] == ["-m"] else 0
    if len(arguments) > at and not arguments[at].startswith("-"):
        _run(arguments[at], arguments[at + 1 :], is_module=bool(at))
        sys.exit(0)


def run(options: argparse.Namespace) -> int:
    """Run the program in this process. Returns if it ended well; raises what ended it."""
    _run(options.program, options.arguments, is_module=options.is_module)
    return 0


def _run(program: str, arguments: list[str], *, is_module: bool) -> None:
    sys.argv[:] = ["-m" if is_module else program, *arguments]
    safe = getattr(sys.flags, "safe_path", False)
    first = os.getcwd() if is_module else os.path.dirname(os.path.realpath(program))
    is_folder = not is_module and not os.path.isfile(program) and os.path.isdir(program)
    if is_folder:
        first = program
    if is_folder or not safe:
        sys.path[: 0 if safe else 1] = [first]
    main = type(sys)("__main__")
    main.__dict__.update({"__builtins__": sys.modules["builtins"], "__annotations__": {}})
    global _before
    _before = sys.modules["__main__"]  # its frame goes on
    code = None if is_module or is_folder else _code(program)
    sys.modules["__main__"] = main
    _prepare(f"-m {program}" if is_module else program)
    try:
        if code is None:
            import runpy

            # What `python -m` itself calls.
            runpy._run_module_as_main(program if is_module else "__main__", is_module)  # type: ignore[attr-defined]
        else:
            main.__dict__.update(__file__=program, __cached__=None, __loader__=_loader(program))
            exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException:
        _tell_without_us()
        raise


def _loader(program: str) -> object:
    from _frozen_importlib_external import SourceFileLoader  # what importlib.machinery has it from, loaded already

    return SourceFileLoader("__main__", program)


_before: object = None


def _code(program: str) -> CodeType:
    import io

    try:
        with io.open_code(os.path.abspath(program)) as file:
            source = file.read()
    except OSError as error:
        print(f"headway run: can't open file {os.path.abspath(program)!r}: {error}", file=sys.stderr)
        sys.exit(NO_FILE)
    try:
        return compile(source, program, "exec", dont_inherit=True)
    except BaseException:
        _tell_without_us()
        raise


def _prepare(program: str) -> None:
    """Hook into this process, and into the Pythons that it starts."""
    os.environ.setdefault(sitecustomize.VARIABLE, program)
    paths = [sitecustomize.FOLDER, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    sitecustomize.hook()


def _tell_without_us() -> None:
    """Have what is said of the exception, which ends the program, begin in the program, as if Python ran it."""
    told = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        link = trace
        while link is not None:
            if link.tb_frame.f_code in (_run.__code__, _code.__code__):
                trace = link.tb_next  # what called these is ours, and Python's way to us
            link = link.tb_next
        error.__traceback__ = sys.last_traceback = trace
        sys.excepthook = told
        told(kind, error, trace)

    sys.excepthook = tell
