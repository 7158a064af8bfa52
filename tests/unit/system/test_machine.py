"""What the kernel says of this process and this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from headway.system import machine

if TYPE_CHECKING:
    pass


def test_the_boot_is_named_by_the_kernels_own_id() -> None:
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine.boot_id().hex() == text.replace("-", "")


def test_a_namespace_is_named_by_its_inode() -> None:
    assert machine.namespace("pid") == os.stat("/proc/self/ns/pid").st_ino
    assert machine.namespace("no-such-namespace") == 0


def test_the_host_has_a_name() -> None:
    assert machine.host() == os.uname().nodename
