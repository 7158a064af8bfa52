"""What the kernel says of this process and this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from headway.system import machine

if TYPE_CHECKING:
    import pytest

    from tests.conftest import RunPython


def test_a_process_knows_when_it_started(run_python: RunPython) -> None:
    before = time.time_ns()
    script = "from headway.system import machine\nprint(machine.process_started_ns())"
    started = int(run_python(script).stdout)
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= started <= time.time_ns()


def test_a_process_is_named_after_its_script_and_a_worker_as_multiprocessing_names_it(run_python: RunPython) -> None:
    script = """
import multiprocessing
from headway.system import machine

def tell():
    print(machine.process_name(), flush=True)

if __name__ == "__main__":
    tell()
    for method in ("fork", "spawn"):
        child = multiprocessing.get_context(method).Process(target=tell, name=f"by-{method}")
        child.start()
        child.join()
"""
    parent, *children = run_python(script).stdout.split()
    assert parent.startswith("script_")
    assert children == ["by-fork", "by-spawn"]


def test_a_program_without_arguments_has_a_name_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [""])
    assert machine.process_name() == "python"


def test_the_boot_is_named_by_the_kernels_own_id() -> None:
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine.boot_id().hex() == text.replace("-", "")


def test_a_namespace_is_named_by_its_inode() -> None:
    assert machine.namespace("pid") == os.stat("/proc/self/ns/pid").st_ino
    assert machine.namespace("no-such-namespace") == 0


def test_the_host_has_a_name() -> None:
    assert machine.host() == os.uname().nodename
