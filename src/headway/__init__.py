"""Progress of every process of a program: live in shared memory, and still known after a crash.

A pool with one bar for all its processes:

    import headway
    from concurrent.futures import ProcessPoolExecutor

    def work(number):
        return number * number

    if __name__ == "__main__":
        board = headway.open("nightly")
        with board.task("squares", total=1000) as task, ProcessPoolExecutor() as pool:
            print(sum(pool.map(task.counts(work), range(1000))))

While it runs, `headway watch nightly` follows it from any other terminal of the same user. A single loop needs no
board: `for item in headway.track(items): ...`. What can go wrong has a name in `headway.errors`.
"""

# Every worker of a pool pays for what is imported here, so nothing is: each name is imported when it is first used.
_HOMES = {
    "Board": "headway.engine.board",
    "BoardView": "headway.views.board_view",
    "HeadwayError": "headway.errors",
    "Task": "headway.engine.task",
    "TaskView": "headway.views.task_view",
    "WorkerView": "headway.views.board_view",
    "current": "headway.api",
    "get_include": "headway.api",
    "open": "headway.api",
    "process_map": "headway.pools.maps",
    "read": "headway.api",
    "thread_map": "headway.pools.maps",
    "track": "headway.bars.track",
}
# Where the native modules are missing, these stand in.
_STANDINS = {"Board": ("headway.standin.board", "StandinBoard"), "Task": ("headway.standin.task", "StandinTask")}

__all__ = list(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("headway.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ImportError:
        if name not in _STANDINS:
            raise
        home, standin = _STANDINS[name]
        value = getattr(import_module(home), standin)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    special = {name for name in globals() if name.startswith("__")} - {"__dir__", "__getattr__"}
    return sorted({*__all__, "errors", *special})
