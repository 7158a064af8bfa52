"""One peer in a process of its own, in which it is measured: its threads and what it imports disturb no other peer."""

from __future__ import annotations

import contextlib
import importlib.metadata
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.peers import Cannot, Peer, workers
from benchmarks.peers.bars import draw_on, screen

__all__ = ["Host", "versions"]

START_S = 30.0  # some import a lot, one compiles
END_S = 2.0

Answer: TypeAlias = tuple[Any, str]  # what was measured, else why not


def versions(peer: type[Peer]) -> str:
    """Of the packages that a peer is; raises Cannot if one is not installed."""
    try:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in peer.packages)
    except importlib.metadata.PackageNotFoundError as error:
        raise Cannot(f"{error.name} is not installed (pip install 'headway[peers]')") from None


def _serve(link: Connection, kind: type[Peer], place: Path) -> None:
    os.setsid()  # so that it can be killed with all that it started
    draw_on(screen(place))
    multiprocessing.set_start_method("fork", force=True)  # as it is where nobody says otherwise
    peer = kind(place)
    measures: dict[str, Callable[..., Any]] = {
        "cost": peer.cost,
        "job": peer.job,
        "late": lambda samples: workers.late(peer, samples),
        "kill": lambda kills: workers.kill(peer, kills),
    }
    link.send((None, ""))
    while True:
        name, args = link.recv()
        if name == "end":
            return
        try:
            peer.open()
            try:
                answer: Answer = (measures[name](*args), "")
            finally:
                with workers.bounded(workers.PATIENCE_S):
                    peer.close()
        except Cannot as why:
            answer = (None, f"cannot: {why}")
        except workers.Hung as why:
            answer = (None, f"hung: {why}")
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is a finding, and the next one has its turn
            answer = (None, f"failed: {type(error).__name__}: {error}")
        link.send(answer)


class Host:
    """The process of one peer. One that hangs is killed with all that it started, and started again when next asked."""

    def __init__(self, peer: type[Peer], place: Path) -> None:
        self.peer = peer
        self._place = place
        self._link: Connection | None = None

    def ask(self, measure: str, *args: object, within_s: float = 20.0) -> Answer:
        """What was measured, or why it was not."""
        try:
            link = self._link or self._start()
            link.send((measure, args))
            if link.poll(within_s):
                answer: Answer = link.recv()
                return answer
            why = f"hung: no answer in {within_s:g} s, killed"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            why = "failed: its program died of it"
        except TimeoutError as error:
            why = f"hung: {error}"
        self.end()
        return None, why

    def _start(self) -> Connection:
        self._link, theirs = multiprocessing.get_context("spawn").Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(theirs, self.peer, self._place))
        self._process.start()
        theirs.close()
        if not self._link.poll(START_S):
            raise TimeoutError(f"it did not start in {START_S:g} s")
        self._link.recv()
        return self._link

    def end(self) -> None:
        """Let it end, and kill what is left of it."""
        if self._link is None:
            return
        with contextlib.suppress(OSError):
            self._link.send(("end", ()))
            self._process.join(END_S)
        self._link.close()
        self._link = None
        if self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # before it had a group of its own
        self._process.join()
