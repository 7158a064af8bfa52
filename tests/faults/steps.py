"""Ends, or stops, a process at a chosen step of the native code. For scripts that run on a build with HOOKS=1.

The script forks a child for everything it does to a board: one to die or to stop in it, fresh ones to look at what is
left. It stays small and without threads, so that a fork costs a millisecond.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

from headway.native import core
from tests.faults.children import fork, fresh, wait

__all__ = ["fresh", "killed_at", "last_of_each", "resumed", "stopped_at", "trace"]

_native = ctypes.CDLL(core.__file__)
_native.hw_hook_arm.argtypes = (ctypes.c_long, ctypes.c_int)
_native.hw_hook_arm.restype = None
_native.hw_hook_steps.restype = ctypes.c_long
_native.hw_hook_last.restype = ctypes.c_char_p


def trace(operation: Callable[[], object]) -> list[str]:
    """The names of the steps that the operation passes, in order, told by a child that does it.

    A signal at every step; kill() returns after the handler of a process without threads has run.
    """
    reader, writer = os.pipe()

    def tell() -> None:
        def at_step(_: int) -> None:
            os.write(writer, _native.hw_hook_last() + b"\n")
            _native.hw_hook_arm(1, signal.SIGUSR2)

        handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(at_step)
        ctypes.CDLL(None).signal(int(signal.SIGUSR2), handler)
        _native.hw_hook_arm(1, signal.SIGUSR2)
        operation()
        _native.hw_hook_arm(0, 0)

    pid = fork(tell)
    os.close(writer)
    with os.fdopen(reader) as lines:
        names = lines.read().splitlines()
    status = wait(pid)
    if status:
        raise AssertionError(f"the child that was traced ended with wait status {status}")
    return names


def last_of_each(names: list[str], among: set[str]) -> dict[str, int]:
    """Of each kind of step the number of its last occurrence, counted from 1."""
    return {name: number for number, name in enumerate(names, 1) if name in among}


def killed_at(step: int, operation: Callable[[], object]) -> bool:
    """Kill a child at the n-th step of the operation, counted from 1. False if it had fewer."""

    def die() -> None:
        _native.hw_hook_arm(step, signal.SIGKILL)
        operation()

    status = wait(fork(die))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status:
        raise AssertionError(f"the child that was to die ended with wait status {status}")
    return False


def stopped_at(step: int, operation: Callable[[], object]) -> int:
    """The pid of a child that has stopped at the n-th step of the operation."""

    def stop() -> None:
        _native.hw_hook_arm(step, signal.SIGSTOP)
        operation()

    pid = fork(stop)
    status = wait(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise AssertionError(f"the child that was to stop ended with wait status {status}")
    return pid


def resumed(pid: int) -> None:
    """Let a stopped child go on: it has to end well."""
    os.kill(pid, signal.SIGCONT)
    status = wait(pid)
    if status:
        raise AssertionError(f"the child that was stopped ended with wait status {status}")
