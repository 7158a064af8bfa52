"""Who is told of a board at the address of a directory, and who gets the name."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.process import address
from headway.process.address import Wish

UUID = "0123456789abcdef" * 2


@pytest.fixture
def name(tmp_path: Path) -> bytes:
    """An address that nobody else has."""
    return address.of(str(tmp_path))


@pytest.fixture
def listening(name: bytes) -> Iterator[object]:
    taken = address.take(name)
    assert taken is not None
    yield taken
    address.release(taken)


def read(listening: object) -> Wish:
    fd, _ = listening._accept()  # type: ignore[attr-defined]
    try:
        return Wish.decoded(os.read(fd, address.MESSAGE_MOST))
    finally:
        os.close(fd)


def test_a_wish_crosses_as_it_was_said(name: bytes, listening: object) -> None:
    wish = Wish("nightly", UUID, "0.5", "inf")
    assert address.tell(name, wish)
    assert read(listening) == wish


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"nightly",
        b"nightly\0" + UUID.encode()[:-1],
        b"nightly\0" + UUID.upper().encode(),
        b"../x\0" + UUID.encode(),
        b"nightly\0" + UUID.encode() + b"\0\0\0more",
        b"\xff\0" + UUID.encode(),
    ],
)
def test_a_message_of_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message of whichever check it was
        Wish.decoded(message)


def test_nobody_is_told_where_nobody_listens(name: bytes) -> None:
    assert not address.tell(name, Wish("nightly", UUID))


def test_one_process_gets_the_name_and_the_others_tell_it(name: bytes) -> None:
    wish = Wish("nightly", UUID)
    first = address.ask(name, wish)
    assert first is not None
    try:
        assert address.take(name) is None
        assert address.ask(name, wish) is None
        assert read(first) == wish
    finally:
        address.release(first)
    again = address.ask(name, wish)
    assert again is not None, "the name is free once its holder has gone"
    address.release(again)


def test_who_has_the_name_and_takes_nothing_any_more_keeps_nobody_waiting(name: bytes, listening: object) -> None:
    listening.shutdown(0)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="in use") as raised:
        address.ask(name, Wish("nightly", UUID))
    assert raised.value.errno == errno.EADDRINUSE


def test_so_many_that_wait_there_are_too_many_and_no_call_waits(name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "BACKLOG", 1)
    taken = address.take(name)
    assert taken is not None
    try:
        refused = 0
        for _ in range(10):
            try:
                address.tell(name, Wish("nightly", UUID))
            except BlockingIOError:
                refused += 1
        assert 0 < refused < 10
    finally:
        address.release(taken)


def test_who_cannot_be_told_as_too_many_wait_there_hears_so_at_once(
    name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its board has a recorder for itself: to say that it was told would have it wait for seconds."""
    monkeypatch.setattr(address, "BACKLOG", 1)
    taken = address.take(name)
    assert taken is not None
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                address.tell(name, Wish("nightly", UUID))
        with pytest.raises(OSError, match="in use") as raised:
            address.ask(name, Wish("nightly", UUID))
        assert raised.value.errno == errno.EADDRINUSE
    finally:
        address.release(taken)


def test_ctrl_c_while_the_name_is_taken_leaves_it_free(name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(address.Taken):
        def listen(self, backlog: int = 0, /) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(address, "_new", lambda: Interrupted(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        with pytest.raises(KeyboardInterrupt):
            address.take(name)
    again = address.take(name)
    assert again is not None
    address.release(again)


def test_directories_versions_layouts_and_niceness_have_addresses_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headway
    from headway.native import core

    seen = {address.of(str(tmp_path)), address.of(f"{tmp_path}/other")}
    assert address.of(str(tmp_path)) in seen
    with monkeypatch.context() as patch:
        patch.setattr(headway, "__version__", "99.0")
        seen.add(address.of(str(tmp_path)))
    with monkeypatch.context() as patch:
        patch.setattr(core, "LAYOUT_VERSION", 99)
        seen.add(address.of(str(tmp_path)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpriority", lambda *_: 19)
        seen.add(address.of(str(tmp_path)))
    assert len(seen) == 5
    assert all(len(name) <= 107 for name in seen), "what the kernel takes"


FORKED = """
import os, sys, time
from headway.process import address

name = address.of(sys.argv[1])
taken = address.take(name)
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, b"!")
    time.sleep(60)
os.read(reading, 1)
address.release(taken)
again = address.take(name)
os.kill(child, 9)
print(again is not None)
"""


def test_a_forked_child_does_not_keep_the_name(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


FOREIGN = """
import os, sys
from headway.process import address

taken = address.take(address.of(sys.argv[1]).replace(b"headway-0-", b"headway-65534-"))
print("there", flush=True)
sys.stdin.read()
"""
ASKING = """
import os, sys
from headway import errors
from headway.process import address

os.setgid(65534)
os.setuid(65534)
try:
    print(address.ask(address.of(sys.argv[1]), address.Wish("nightly", "0" * 32)))
except errors.NotOwner as error:
    print("refused:", "another user listens" in str(error))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_another_user_who_took_the_name_first_is_told_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOREIGN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as foreign:
        assert foreign.stdout is not None
        assert foreign.stdout.readline() == "there\n"
        command = [sys.executable, "-c", ASKING, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        foreign.communicate("", timeout=60)
    assert done.stdout == "refused: True\n", done.stderr


def test_a_socket_of_another_version_is_not_held_where_nobody_reads(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headway

    monkeypatch.setattr(headway, "__version__", "99.0")
    taken = address.take(address.of(str(tmp_path)))
    assert taken is not None
    fd = taken.detach()
    address.release(taken)
    assert address.inherited(name, fd) is None
    assert not address.tell(address.of(str(tmp_path)), Wish("nightly", UUID))


def test_what_is_no_socket_of_the_name_is_not_taken_for_one(name: bytes) -> None:
    reading, writing = os.pipe()
    listening = address.take(b"\0" + os.urandom(8).hex().encode())
    try:
        assert address.inherited(name, reading) is None
        assert listening is not None
        assert address.inherited(name, listening.fileno()) is None
        os.fstat(reading)
        os.fstat(listening.fileno())
    finally:
        if listening is not None:
            address.release(listening)
        os.close(reading)
        os.close(writing)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(reading)
    assert address.inherited(name, reading) is None
