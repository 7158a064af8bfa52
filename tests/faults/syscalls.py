"""Kills a process at a chosen system call of what it does: before the kernel has done anything of it.

By ptrace, so that it needs no build of its own and no tool. For scripts that stay small and without threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable

from tests.faults.tracing import SYSTEM_CALL, killed, ptrace, start

__all__ = ["calls", "killed_at", "number_of"]

_SYSCALL, _GET_SYSCALL_INFO = 24, 0x420E
_ENTRY = 1


def number_of(pid: int) -> int | None:
    """The number of the system call that a stopped process is about to make; None if it is about to come back."""
    info = ctypes.create_string_buffer(88)
    ptrace(_GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    kind, number = struct.unpack_from("B23xQ", info)
    return number if kind == _ENTRY else None


def _run(operation: Callable[[], object], kill_at: int | None) -> tuple[list[int], bool]:
    """The system calls that were made, by number, and whether the child was killed at one."""
    pid = start(lambda: operation)
    made: list[int] = []
    while True:
        ptrace(_SYSCALL, pid)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"the child ended with wait status {status} in what it was to do")
        stopped_by = os.WSTOPSIG(status)
        if stopped_by == signal.SIGSTOP:
            break
        if stopped_by == signal.SIGTRAP:
            continue  # it has become another program
        if stopped_by != SYSTEM_CALL:
            raise AssertionError(f"the child got signal {stopped_by}")
        number = number_of(pid)
        if number is not None:
            made.append(number)
            if len(made) == kill_at:
                break
    killed(pid)
    return made, len(made) == kill_at


def calls(operation: Callable[[], object]) -> list[int]:
    """The numbers of the system calls that the operation makes, in order. It is done, in a process that is no more."""
    return _run(operation, None)[0]


def killed_at(number: int, operation: Callable[[], object]) -> bool:
    """Kill a child at the n-th system call of the operation, counted from 1. False if it made fewer."""
    return _run(operation, number)[1]
