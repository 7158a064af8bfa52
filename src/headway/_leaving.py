"""What is to be done when this process ends in good order, in the children of multiprocessing too."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable

__all__ = ["at_exit"]

_armed: dict[Callable[[], object], int] = {}  # in which process each was asked for last


def at_exit(callback: Callable[[], object]) -> None:
    """Have callback() called once when this process ends, before those that were asked for earlier.

    Children of multiprocessing skip atexit; there its own finalizers run, which it clears in a new child. So ask again
    in each process.
    """
    armed = _armed.get(callback)
    if armed == os.getpid():
        return
    _armed[callback] = os.getpid()
    if armed is None:
        atexit.register(callback)  # what os.fork makes has it from its parent
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, callback, exitpriority=0)
