"""A file of ours never gets the number of a standard stream."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def closed() -> Iterator[None]:
    """Standard input is closed meanwhile."""
    kept = os.dup(0)
    os.close(0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@pytest.mark.usefixtures("closed")
def test_a_file_gets_a_number_above_the_standard_streams_and_leaves_theirs_free() -> None:
    fd = descriptors.open_file(os.devnull, os.O_RDONLY)
    assert fd > 2
    assert not os.get_inheritable(fd)
    os.close(fd)
    again = os.open(os.devnull, os.O_RDONLY)
    assert again == 0
    os.close(again)


@pytest.mark.usefixtures("closed")
def test_a_pair_of_sockets_too() -> None:
    first, second = descriptors.socket_pair(socket.SOCK_SEQPACKET)
    with first, second:
        assert min(first.fileno(), second.fileno()) > 2
        first.send(b"heard")
        assert second.recv(16) == b"heard"


def test_a_number_that_is_high_enough_stays() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    assert descriptors.above(fd) == fd
    os.close(fd)


@pytest.mark.usefixtures("closed")
def test_where_no_other_number_is_free_it_is_an_error_and_nothing_stays_open() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fd = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match=r"Invalid argument|Too many open files"):
            descriptors.above(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(0)


DENIED = """
import errno, os, sys
from headway.system import descriptors
from tests.faults.places import deny
closed, opened = (os.open(f"{sys.argv[1]}/{mode:o}", os.O_RDWR | os.O_CREAT, mode) for mode in (0o600, 0o640))
deny((("fchmod", errno.EPERM), ("fsync", errno.EINVAL)))
descriptors.close_to_others(closed, "closed")
descriptors.to_disk(closed)
try:
    descriptors.close_to_others(opened, "opened")
except PermissionError as error:
    print(error.filename)
"""


def test_a_file_system_without_modes_and_without_fsync_is_done_without_or_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DENIED, str(tmp_path)]
    root = Path(__file__).parents[3]
    assert subprocess.check_output(command, cwd=root, text=True, timeout=60, umask=0o022) == "opened\n"
