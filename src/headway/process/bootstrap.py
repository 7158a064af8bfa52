"""The program of every helper process: bootstrap.py MODULE FOLDER-OF-POSIX_IPC ARGUMENT...

It is run by its path with -P, so that at first only the standard library can be imported: the search path of the user's
program may contain anything. It imports the headway package that this file is part of, whatever else is installed, then
MODULE, and calls `main` of that module with the arguments.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import resource
import sys


def make_importable(folder_of_posix_ipc: str) -> None:
    """Make this package importable, and the program's posix_ipc, whose folder goes to the end of the search path."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "headway", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is not a package")
    module = importlib.util.module_from_spec(spec)
    sys.modules["headway"] = module
    spec.loader.exec_module(module)
    sys.path.append(folder_of_posix_ipc)


def undo_inherited_limits() -> None:
    """Undo the processor affinity, the scheduling and the limits that the program chose for its own work."""
    with contextlib.suppress(OSError):  # a container may forbid it: then nothing is changed
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU):
        with contextlib.suppress(OSError, ValueError):
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (hard, hard))


if __name__ == "__main__":
    make_importable(sys.argv[2])
    undo_inherited_limits()
    importlib.import_module(sys.argv[1]).main(*sys.argv[3:])
