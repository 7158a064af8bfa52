"""Is this process a worker of multiprocessing, or of a library that was made from it?

`multiprocess` (of pathos, p_tqdm, datasets) and `billiard` (of Celery) are copies of multiprocessing under other names.
Their child processes know nothing of multiprocessing: each library has a module `process` of its own, with the current
process in it, and a module `util` with the finalizers that run in a child instead of exit handlers.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

__all__ = ["LIBRARIES", "library", "loaded", "process_name"]

LIBRARIES = ("multiprocessing", "multiprocess", "billiard")


def loaded() -> list[ModuleType]:
    """The modules `process` of those libraries that the program has imported.

    A signal handler may come while one is being loaded: it has the function then, but not what that returns.
    """
    found = (sys.modules.get(f"{library}.process") for library in LIBRARIES)
    return [module for module in found if module is not None and hasattr(module, "_current_process")]


def library() -> ModuleType | None:
    """The module `process` of the library that started this process as a worker; None if none did."""
    for module in loaded():
        if type(module.current_process()).__name__ != "_MainProcess":
            return module
    return None


def process_name() -> str:
    """The name of this process, for people: that of the worker, else of the script."""
    started_by = library()
    if started_by is not None:
        return str(started_by.current_process().name)
    script = getattr(sys, "argv", None) or [""]  # a program may have set it to anything
    name = os.path.basename(script[0]) if isinstance(script[0], str) else ""
    return name or "python"
