"""How much memory is left: the machine's, and what the control groups around this process leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.system import memory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
MACHINE = "MemTotal: 1 kB\nMemAvailable: 2048 kB\nSwapFree: 1024 kB\nHugePages_Free: 0\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel that says what this folder says."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    return tmp_path


def says(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def free() -> list[int]:
    return [limit.free for limit in memory.limits()]


def test_a_kernel_that_tells_nothing_limits_nothing(kernel: Path) -> None:
    assert free() == []
    says(kernel / "proc/meminfo", "what is this\n")
    says(kernel / "proc/self/cgroup", "0::/gone\n")
    assert free() == []


def test_the_machine_has_what_is_available_and_its_swap(kernel: Path) -> None:
    says(kernel / "proc/meminfo", MACHINE)
    assert free() == [3 * MIB]


@pytest.mark.parametrize("path", ["/", "/../../elsewhere", "/docker/0123"])
def test_a_container_has_its_limit_less_what_it_uses_and_cannot_drop(kernel: Path, path: str) -> None:
    """The path may be that of the host, which is not there in the container."""
    says(kernel / "proc/self/cgroup", f"0::{path}\n")
    says(kernel / "cgroup/memory.max", f"{64 * MIB}\n")
    says(kernel / "cgroup/memory.current", f"{60 * MIB}\n")
    says(kernel / "cgroup/memory.stat", f"anon 1\ninactive_file {3 * MIB}\nactive_file {MIB}\nshmem {MIB}\n")
    assert free() == [8 * MIB]


def test_what_the_kernel_keeps_of_files_is_no_reason_to_refuse(kernel: Path) -> None:
    """A container that has looked at many files is at its limit by entries of folders, which the kernel drops."""
    says(kernel / "proc/self/cgroup", "0::/\n")
    says(kernel / "cgroup/memory.max", f"{64 * MIB}\n")
    says(kernel / "cgroup/memory.current", f"{64 * MIB}\n")
    says(
        kernel / "cgroup/memory.stat", f"slab {50 * MIB}\nslab_reclaimable {40 * MIB}\nslab_unreclaimable {10 * MIB}\n"
    )
    assert free() == [40 * MIB]


def test_the_limits_of_all_groups_around_it_count(kernel: Path) -> None:
    says(kernel / "proc/self/cgroup", "1:cpu:/x\n0::/outer/inner\n")
    for folder, most in (("outer", f"{9 * MIB}"), ("outer/inner", "max")):
        says(kernel / "cgroup" / folder / "memory.max", most)
        says(kernel / "cgroup" / folder / "memory.current", f"{MIB}")
    (limit,) = memory.limits()
    assert limit.free == 8 * MIB
    assert "outer (9.0 MiB)" in limit.told


def test_swap_that_a_container_may_use_is_room(kernel: Path) -> None:
    says(kernel / "proc/meminfo", "SwapFree: 4096 kB\n")
    says(kernel / "proc/self/cgroup", "0::/\n")
    says(kernel / "cgroup/memory.max", f"{MIB}")
    says(kernel / "cgroup/memory.current", f"{MIB}")
    assert free() == [4 * MIB]
    says(kernel / "cgroup/memory.swap.max", "0")
    assert free() == [0]


def test_control_groups_of_the_first_version_are_asked_too(kernel: Path) -> None:
    says(kernel / "proc/self/cgroup", "12:cpu,cpuacct:/\n9:memory:/job\n0::/\n")
    says(kernel / "cgroup/memory/job/memory.limit_in_bytes", f"{32 * MIB}")
    says(kernel / "cgroup/memory/job/memory.usage_in_bytes", f"{31 * MIB}")
    says(kernel / "cgroup/memory/job/memory.stat", f"total_inactive_file {MIB}\n")
    says(kernel / "cgroup/memory/memory.limit_in_bytes", f"{2**63 - 4096}")
    says(kernel / "cgroup/memory/memory.usage_in_bytes", "1")
    assert free() == [2 * MIB]
