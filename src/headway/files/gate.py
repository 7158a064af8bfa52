"""Keeps SQLite and forks apart.

A child inherits SQLite's memory, but not the threads that hold its mutexes there, nor the file locks that SQLite notes
there as held: if another thread was in SQLite at the fork, the child could wait for ever, or damage a database. So:

- A fork waits until no other thread uses SQLite, and threads that are about to wait until the fork is over. Both wait
  for a bounded time: a job is never stopped by a slow disk.
- What nobody could wait for is known in the child: it inherits the list of those inside. If anybody was, the child
  never uses SQLite, nor do its own children. This also holds for forks that Python does not know of.

Every connection is inside from before it is opened until it is closed; who forgets one has it closed when it is
collected.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from headway import errors

__all__ = ["enter", "is_closed", "leave"]

FORK_WAIT_S = 2.0  # at most, for one use of SQLite
NAP_S = 0.001

# Changed by single calls, which no other thread can interrupt; a newcomer enters first, and looks for forks then.
_inside: dict[object, int] = {}  # uses of SQLite, by their token: the thread
_forking: set[int] = set()  # threads that are about to fork
_waited_for: set[object] = set()  # uses that took too long: no other fork waits for them
_pid = os.getpid()
_closed = False


def is_closed() -> bool:
    """May this process not use SQLite, because one was in use in its parent when that forked?"""
    global _closed, _pid
    if _pid != os.getpid():
        _closed = _closed or bool(_inside)
        _pid = os.getpid()
        _inside.clear()
        _forking.clear()
        _waited_for.clear()
    return _closed


def enter() -> object:
    """Begin to use SQLite. Returns a token for `leave`. Raises Unsupported if this process may not."""
    if is_closed():
        raise errors.Unsupported(
            f"the history cannot be opened in process {os.getpid()}: it was forked while another thread of its parent "
            f"used SQLite, whose locks it may have inherited; read it in another process, or start this one by 'spawn'"
        )
    token, thread, give_up = object(), threading.get_ident(), time.monotonic() + FORK_WAIT_S
    is_within = thread in list(_inside.values())
    while True:
        _inside[token] = thread
        if is_within or not _forking - {thread} or time.monotonic() >= give_up:
            return token
        del _inside[token]
        time.sleep(NAP_S)


def leave(token: object) -> None:
    """Stop using SQLite. Idempotent."""
    _inside.pop(token, None)
    _waited_for.discard(token)


def _before_fork() -> None:
    if is_closed():
        return
    thread, give_up = threading.get_ident(), time.monotonic() + FORK_WAIT_S
    _forking.add(thread)
    while others := {token for token, user in list(_inside.items()) if user != thread} - _waited_for:
        if time.monotonic() >= give_up:
            _waited_for.update(others)
            return
        time.sleep(NAP_S)


def _after_fork_in_parent() -> None:
    _forking.discard(threading.get_ident())


def _after_fork_in_child() -> None:
    is_closed()
    core = sys.modules.get("headway.native.core")
    if core is not None:
        core.collect_again()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
