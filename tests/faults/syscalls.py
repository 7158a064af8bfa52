"""Kills a process at a chosen system call of what it does: before the kernel has done anything of it.

By ptrace, so that it needs no build of its own and no tool. For scripts that stay small; what is killed may have
threads, whose calls count like those of the first one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable

from tests.faults.tracing import SYSTEM_CALL, ptrace, start

__all__ = ["calls", "killed_at", "number_of"]

_SYSCALL, _GET_SYSCALL_INFO, _SETOPTIONS, _GETEVENTMSG = 24, 0x420E, 0x4200, 0x4201
_SYSGOOD, _TRACECLONE, _EXITKILL = 1, 1 << 3, 1 << 20
_CLONED = signal.SIGTRAP | 3 << 8  # what a thread stops by that has made another one
_ALL = 0x40000000  # __WALL: threads, too
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
    ptrace(_SETOPTIONS, pid, 0, _SYSGOOD | _TRACECLONE | _EXITKILL)
    ptrace(_SYSCALL, pid)
    made: list[int] = []
    threads: dict[int, bool] = {pid: True}  # of the child; False: not stopped yet for the first time
    while True:
        thread, status = os.waitpid(pid if len(threads) == 1 else -1, _ALL)
        if not os.WIFSTOPPED(status):
            if thread != pid:
                threads.pop(thread, None)
                continue
            raise AssertionError(f"the child ended with wait status {status} in what it was to do")
        stopped_by = os.WSTOPSIG(status)
        if status >> 8 == _CLONED:
            threads.setdefault(_event(thread), False)
        elif stopped_by == signal.SIGSTOP and threads.get(thread):
            break  # all is done
        elif stopped_by == SYSTEM_CALL:
            number = number_of(thread)
            if number is not None:
                made.append(number)
                if len(made) == kill_at:
                    break
        elif stopped_by not in (signal.SIGSTOP, signal.SIGTRAP):  # a thread begins, or it has become another program
            raise AssertionError(f"the child got signal {stopped_by}")
        threads[thread] = True
        ptrace(_SYSCALL, thread)
    os.kill(pid, signal.SIGKILL)
    while os.waitpid(pid if len(threads) == 1 else -1, _ALL)[0] != pid:
        pass
    return made, len(made) == kill_at


def _event(thread: int) -> int:
    """The thread that a stopped one has made."""
    told = ctypes.c_ulong()
    ptrace(_GETEVENTMSG, thread, 0, ctypes.addressof(told))
    return told.value


def calls(operation: Callable[[], object]) -> list[int]:
    """The numbers of the system calls that the operation makes, in order. It is done, in a process that is no more."""
    return _run(operation, None)[0]


def killed_at(number: int, operation: Callable[[], object]) -> bool:
    """Kill a child at the n-th system call of the operation, counted from 1. False if it made fewer."""
    return _run(operation, number)[1]
