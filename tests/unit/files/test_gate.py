"""A fork and a use of SQLite exclude each other; where they could not, the child knows it."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.files import database, gate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable


def in_child(work: Callable[[], bool]) -> bool:
    """Whether this is true in a forked child."""
    pid = os.fork()
    if not pid:
        code = 2
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1)
    return code == 0


def test_a_child_that_was_forked_while_nobody_was_within_may_enter() -> None:
    gate.leave(gate.enter())
    assert not in_child(gate.is_closed)
    assert in_child(lambda: not in_child(gate.is_closed))


def test_a_child_that_was_forked_by_who_is_within_may_not_nor_may_its_children() -> None:
    token = gate.enter()
    assert in_child(gate.is_closed)
    assert in_child(lambda: in_child(gate.is_closed))
    gate.leave(token)
    assert not gate.is_closed()
    assert not in_child(gate.is_closed)


def test_who_is_within_enters_again_while_another_thread_is_about_to_fork() -> None:
    token = gate.enter()
    gate._forking.add(-1)
    gate.leave(gate.enter())  # at once: that thread waits for this one
    gate._forking.clear()
    gate.leave(token)


def test_a_fork_waits_once_for_a_use_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "FORK_WAIT_S", 0.05)
    entered, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        token = gate.enter()
        entered.set()
        go_on.wait()
        gate.leave(token)

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait()
    assert in_child(gate.is_closed)
    monkeypatch.setattr(gate, "FORK_WAIT_S", float("inf"))  # nothing waits for it a second time
    assert in_child(gate.is_closed)
    go_on.set()
    thread.join()
    assert not in_child(gate.is_closed)


def test_a_fork_waits_until_no_other_thread_is_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "FORK_WAIT_S", 60.0)
    token = gate.enter()
    gate._inside[token] = -1  # another thread's
    timer = threading.Timer(0.1, gate.leave, (token,))
    timer.start()
    assert not in_child(gate.is_closed)
    timer.join()


def test_a_connection_is_within_from_before_it_is_opened_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "one.sqlite3"
    database.create(path, ("CREATE TABLE one (two)",))
    assert not gate._inside
    connection = database.connect(path, write=True)
    assert len(gate._inside) == 1
    connection.close()
    assert not gate._inside
    connection = database.connect(path, write=True)
    del connection  # nobody closed it
    gc.collect()
    assert not gate._inside
    assert not gate._inside


def test_a_closed_gate_is_a_typed_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "_closed", True)
    with pytest.raises(errors.Unsupported, match=r"another thread of its parent used SQLite.*'spawn'"):
        gate.enter()
    with pytest.raises(errors.Unsupported), database.typed(tmp_path):
        pytest.fail("within")


def test_a_connection_that_is_collected_is_closed_before_it_is_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever thread: closing is a use of SQLite, and lets go of the GIL."""
    path = tmp_path / "one.sqlite3"
    database.create(path, ("CREATE TABLE one (two)",))
    opened: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: opened.append(database.connect(path, write=True)))
    thread.start()
    thread.join()
    left, leave = [], gate.leave

    def leaving(token: object) -> None:
        left.append(str(path) in {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")})
        leave(token)

    with monkeypatch.context() as patch:
        patch.setattr(gate, "leave", leaving)
        opened.clear()
        gc.collect()
    assert left == [False]
    assert not gate._inside
