"""Processes are known and killed by a descriptor, or by pid and start where there are none."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from headway.process import pidfd


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])


def test_a_process_is_killed_by_its_descriptor() -> None:
    with sleeper() as process:
        descriptor = pidfd.open_pidfd(process.pid)
        assert descriptor >= 0
        assert pidfd.kill(descriptor, 0, None)
        assert process.wait(30) == -signal.SIGKILL
        os.close(descriptor)
    assert pidfd.open_pidfd(process.pid) == -1, "it has ended"


@pytest.mark.parametrize("reason", ["old headers", errno.ENOSYS, errno.EPERM])
def test_without_descriptors_a_process_is_killed_by_its_pid_if_it_is_still_the_same(
    reason: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int) -> int:
        raise OSError(reason, "refused")

    if reason == "old headers":
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(os, "pidfd_open", refused)
    with sleeper() as process:
        assert pidfd.open_pidfd(process.pid) == -1
        since = pidfd.started(process.pid)
        assert since is not None
        assert not pidfd.kill(-1, process.pid, None)
        assert not pidfd.kill(-1, process.pid, f"{since}0"), "another process has the pid by now"
        assert process.poll() is None
        assert pidfd.kill(-1, process.pid, since)
        assert process.wait(30) == -signal.SIGKILL
    assert pidfd.started(process.pid) is None


def test_a_program_without_descriptors_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_pid: int) -> int:
        raise OSError(errno.EMFILE, "none left")

    monkeypatch.setattr(os, "pidfd_open", refused)
    with pytest.raises(OSError, match="none left"):
        pidfd.open_pidfd(os.getpid())
