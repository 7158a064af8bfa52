"""Progress of every process of a program, live in shared memory, and still known after a crash."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Board", "BoardView", "HeadwayError", "Task", "TaskView", "WorkerView"]
__version__ = "0.1.0"

_HOMES = {
    "Board": "board",
    "BoardView": "model",
    "HeadwayError": "errors",
    "Task": "task",
    "TaskView": "model",
    "WorkerView": "model",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"headway.{home}"), name)
    globals()[name] = value
    return value
