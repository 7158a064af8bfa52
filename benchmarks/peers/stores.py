"""What holds a count that other processes may read."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.contract import Cannot, Count, Peer

__all__ = [
    "FileTracker",
    "Headway",
    "ManagerDict",
    "PlainInt",
    "Prometheus",
    "Queue",
    "Redis",
    "ShareableList",
    "Sqlite",
    "UltraDict",
    "Value",
    "name_of",
]


def name_of(folder: Path) -> str:
    """A folder's own name in the letters that a board's may have."""
    return folder.name.replace("_", "-")


def _name(place: Path) -> str:
    """A name in shared memory that is this directory's alone."""
    return f"{name_of(place.parent)}-{name_of(place)}"


class PlainInt(Peer):
    """What counting costs where nobody else is to know."""

    title = "a plain int"
    how = "n += 1, which only its own process knows"

    def open(self) -> None:
        self.n = 0

    def seconds(self, count: Count, times: int) -> float:
        n, begin = self.n, time.perf_counter()
        for _ in repeat(None, times):
            n += 1
        return time.perf_counter() - begin

    def _add(self) -> None:
        self.n += 1

    def shared(self) -> Count:
        return self._add

    def read(self) -> int:
        return self.n


class Value(Peer):
    title = "multiprocessing.Value"
    how = "value.value += 1 under its lock"

    def open(self) -> None:
        self._value = multiprocessing.Value("q")

    def shared(self) -> Count:
        value = self._value

        def add() -> None:
            with value.get_lock():
                value.value += 1

        return add

    def read(self) -> int:
        return int(self._value.get_obj().value)  # without the lock: a killed process may have it


class Queue(Peer):
    title = "multiprocessing.Queue"
    how = "queue.put(1); the program takes them out"

    def open(self) -> None:
        self._queue: multiprocessing.Queue[int] = multiprocessing.Queue()
        self._sum = 0

    def close(self) -> None:
        self._queue.close()

    def shared(self) -> Count:
        put = self._queue.put
        return lambda: put(1)

    def tend(self) -> None:
        with suppress(queue.Empty):
            for _ in range(1000):
                self._sum += self._queue.get_nowait()

    def read(self) -> int:
        self.tend()
        return self._sum


class ManagerDict(Peer):
    """Each process writes a key of its own: `d["n"] += 1` of a proxy is not atomic."""

    title = "multiprocessing.Manager"
    how = "d[pid] = n, a key a process"

    def open(self) -> None:
        self._manager = multiprocessing.Manager()
        self._dict = self._manager.dict()

    def close(self) -> None:
        self._manager.shutdown()

    def shared(self) -> Count:
        shared, pid, n = self._dict, os.getpid(), 0

        def add() -> None:
            nonlocal n
            n += 1
            shared[pid] = n

        return add

    def read(self) -> int:
        return sum(self._dict.values())


class ShareableList(Peer):
    title = "ShareableList + Lock"
    how = "shareable[0] += 1 under a multiprocessing.Lock"

    def open(self) -> None:
        self._lock = multiprocessing.Lock()
        self._list = shared_memory.ShareableList([0], name=_name(self.place))

    def close(self) -> None:
        self._list.shm.close()
        with suppress(FileNotFoundError):  # before Python 3.13 a reader takes it along when it ends
            self._list.shm.unlink()

    def shared(self) -> Count:
        shared, lock = self._list, self._lock

        def add() -> None:
            with lock:
                shared[0] += 1

        return add

    def attach(self) -> None:
        self._list = shared_memory.ShareableList(name=_name(self.place))

    def read(self) -> int:
        return int(self._list[0])


class UltraDict(Peer):
    title = "UltraDict"
    packages = ("UltraDict", "atomics")
    how = 'd["n"] += 1 under its shared lock'

    def open(self) -> None:
        self._attach(create=True)
        self._dict["n"] = 0

    def _attach(self, *, create: bool) -> None:
        import UltraDict

        self._dict: Any = UltraDict.UltraDict(name=_name(self.place), create=create, shared_lock=True)

    def close(self) -> None:
        self._dict.close(unlink=True)

    def shared(self) -> Count:
        shared = self._dict

        def add() -> None:
            with shared.lock:
                shared["n"] += 1

        return add

    def attach(self) -> None:
        self._attach(create=False)

    def read(self) -> int:
        return int(self._dict["n"])


class Prometheus(Peer):
    title = "prometheus_client, multiprocess"
    packages = ("prometheus-client",)
    how = "counter.inc(), a file a process"

    def open(self) -> None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.place)  # before it is imported
        from prometheus_client import CollectorRegistry, Counter

        self._counter = Counter("items", "done", registry=CollectorRegistry())

    def shared(self) -> Count:
        return self._counter.inc

    def attach(self) -> None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.place)

    def read(self) -> int:
        from prometheus_client import CollectorRegistry, multiprocess

        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self.place))  # type: ignore[no-untyped-call] # it has no types
        return round(registry.get_sample_value("items_total") or 0)


class Sqlite(Peer):
    title = "SQLite, WAL"
    how = "UPDATE done SET n = n + 1, a transaction each, synchronous=NORMAL"

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.place / "done.sqlite3", timeout=10, isolation_level=None)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def open(self) -> None:
        connection = self._connect()
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS done (n INTEGER)")
        connection.execute("INSERT INTO done SELECT 0 WHERE NOT EXISTS (SELECT * FROM done)")
        connection.close()  # none may go through a fork
        self._reader: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def shared(self) -> Count:
        connection = self._connect()
        return lambda: connection.execute("UPDATE done SET n = n + 1")

    def attach(self) -> None:
        if not (self.place / "done.sqlite3").exists():
            raise Cannot("there is no database")
        self._reader = None

    def read(self) -> int:
        if self._reader is None:
            self._reader = self._connect()
        return int(self._reader.execute("SELECT n FROM done").fetchone()[0])


class Redis(Peer):
    """Debian's redis-server on a Unix socket, in memory only; it belongs to no program."""

    title = "Redis, Unix socket"
    packages = ("redis", "hiredis")
    how = "INCR"
    START_S: ClassVar[float] = 5.0

    @classmethod
    @contextmanager
    def service(cls, place: Path) -> Iterator[None]:
        program = shutil.which("redis-server")
        if program is None:
            raise Cannot("there is no redis-server here (Debian: apt-get install redis-server)")
        socket = place / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", str(place)]
        server = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + cls.START_S
            while not socket.exists():
                if time.monotonic() > until or server.poll() is not None:
                    raise Cannot(f"redis-server did not start: its exit code is {server.poll()}")
                time.sleep(0.01)
            yield
        finally:
            server.terminate()
            try:
                server.wait(cls.START_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _client(self) -> Any:
        import redis

        return redis.Redis(unix_socket_path=str(self.place / "redis.sock"))

    def open(self) -> None:
        self._reader = self._client()

    attach = open

    def close(self) -> None:
        self._reader.close()

    def shared(self) -> Count:
        increase = self._client().incr
        return lambda: increase("n")

    def read(self) -> int:
        return int(self._reader.get("n") or 0)


class FileTracker(Peer):
    """The tracker over files of this package; on a disk, where a change waits for it."""

    title = "the file tracker of this package"
    how = "update_support_resistance(id, result), a file a process, fsync"

    def open(self) -> None:
        from headway.analysis import FileBasedProgressTracker

        self._tracker = FileBasedProgressTracker(self.place)

    attach = open

    def shared(self) -> Count:
        from headway.analysis import SupportResistanceResult

        tracker, id, n = self._tracker, f"w{os.getpid()}", 0
        tracker.start_analysis("work", id)

        def add() -> None:
            nonlocal n
            n += 1
            tracker.update_support_resistance(id, SupportResistanceResult("ok", n))

        return add

    def read(self) -> int:
        return sum(record.support_resistance.supports_count for record in self._tracker.get_all_recent(hours=1))


class Headway(Peer):
    title = "Headway"
    packages = ("headway",)
    how = "task.update(), with its recorder at work"

    def open(self) -> None:
        import headway

        os.environ |= {"HEADWAY_DIR": str(self.place), "HEADWAY_RECORD": "1"}
        self._board = headway.open(_name(self.place), capacity=16, workers=64)
        self._task: headway.Task | None = self._board.task("all", resume=True)

    def close(self) -> None:
        self._board.remove(files=True)

    def shared(self) -> Count:
        assert self._task is not None
        return self._task.update

    def attach(self) -> None:
        from headway.upkeep import listing

        os.environ["HEADWAY_DIR"] = str(self.place)
        board = listing.attach(_name(self.place))
        self._task = None if board is None else board.attach("all")

    def read(self) -> int:
        import headway

        if self._task is not None:
            return self._task.count
        view = headway.read(_name(self.place)).get("all")  # the program has ended
        return 0 if view is None else view.count
