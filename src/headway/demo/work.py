"""What a worker does with a package. It runs in the processes of the pool."""

from __future__ import annotations

import ast
import ctypes
import io
import os
import signal
import time
import tokenize
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.engine.task import Task

__all__ = ["NOTHING", "Found", "begin", "index_file", "index_package"]

Found = dict[str, float]  # what was found in some files; it is stored as the result of a task
NOTHING: Found = {"files": 0, "skipped": 0, "lines": 0, "tokens": 0, "definitions": 0, "seconds": 0.0}

_PR_SET_PDEATHSIG = 1
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NOT_PYTHON = (OSError, SyntaxError, ValueError, tokenize.TokenError, RecursionError, MemoryError)


def begin() -> None:
    """Prepare a worker: it ends with its parent (otherwise it would wait for work for ever), and ignores Ctrl-C.

    Ctrl-C reaches every process of the terminal: the parent handles it, and ends its workers by SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def index_package(task: Task, index: Callable[[str, Task], Found], root: str, files: tuple[str, ...]) -> None:
    """Index the files of a package that are not in its result yet, and keep the result up to date.

    After a kill the next worker can rely on the result: it is replaced atomically, before the file is counted here.
    """
    with task, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's warnings about the indexed files
        found: Found = task.result or NOTHING
        for file in files[int(found["files"]) :]:
            task.set(stage="read", message=file)
            more = index(os.path.join(root, file), task)
            found = {name: round(value + more[name], 6) for name, value in found.items()}
            task.result = found
            task.update()
        task.message = ""


def index_file(path: str, task: Task) -> Found:
    """Read, tokenize, parse and compile one file. A file that is not valid Python (test data) counts as skipped."""
    found = {**NOTHING, "files": 1}
    began = time.perf_counter()
    try:
        source = Path(path).read_bytes()
        found["lines"] = len(source.splitlines())
        task.stage = "tokenize"
        found["tokens"] = sum(1 for _ in tokenize.tokenize(io.BytesIO(source).readline))
        task.stage = "parse"
        tree = ast.parse(source, path)
        found["definitions"] = sum(isinstance(node, _DEFINITIONS) for node in ast.walk(tree))
        task.stage = "compile"
        compile(tree, path, "exec", dont_inherit=True)
    except _NOT_PYTHON:
        found["skipped"] = 1
    found["seconds"] = time.perf_counter() - began
    return found
