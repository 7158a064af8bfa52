"""Progress of every process of a program, live in shared memory, and still known after a crash."""

from __future__ import annotations

__all__ = [
    "Board",
    "BoardView",
    "HeadwayError",
    "Task",
    "TaskView",
    "WorkerView",
    "current",
    "get_include",
    "read",
    "track",
]
__version__ = "0.1.0"

# Where each name is from. Every worker of a pool pays for what is imported: each comes when it is first used.
_HOMES = {
    "Board": "engine.board",
    "BoardView": "views.board_view",
    "HeadwayError": "errors",
    "Task": "engine.task",
    "TaskView": "views.task_view",
    "WorkerView": "views.board_view",
    "current": "api",
    "get_include": "api",
    "open": "api",  # not in __all__: a star import leaves the builtin alone
    "read": "api",
    "track": "bars.track",
}
_STANDINS = {"Board": "StandinBoard", "Task": "StandinTask"}  # where the native modules are missing


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    import importlib

    try:
        value = getattr(importlib.import_module(f"headway.{home}"), name)
    except ImportError:
        if name not in _STANDINS:
            raise
        value = getattr(importlib.import_module("headway.standin.board"), _STANDINS[name])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
