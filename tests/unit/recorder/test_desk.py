"""What is told at the address of a directory is heard, once, also by a recorder that is about to leave."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.process import address
from headway.process.address import Wish
from headway.recorder import desk as module
from headway.recorder.desk import Desk

PATIENCE_S = 30.0
WISHES = [Wish(f"board-{number}", f"{number:032x}", "1", "") for number in range(5)]


@pytest.fixture
def name(tmp_path: Path) -> bytes:
    return address.of(str(tmp_path))


@pytest.fixture
def desk(name: bytes) -> Iterator[Desk]:
    desk = Desk(name, address.take(name))
    assert desk.listens
    yield desk
    desk.close()


def heard(desk: Desk, least: int) -> list[Wish]:
    found: list[Wish] = []
    until = time.monotonic() + PATIENCE_S
    while len(found) < least:
        assert time.monotonic() < until, found
        found += desk.hear(0.05)
    return found


def test_each_wish_is_heard_once(name: bytes, desk: Desk) -> None:
    for wish in WISHES:
        assert address.tell(name, wish)
    assert heard(desk, len(WISHES)) == WISHES
    assert desk.hear(0.0) == []


def test_what_is_told_before_it_leaves_is_heard_and_what_comes_after_is_refused(name: bytes, desk: Desk) -> None:
    for wish in WISHES:
        assert address.tell(name, wish)
    assert desk.leave() == WISHES
    assert not desk.listens
    assert not address.tell(name, WISHES[0])
    taken = address.take(name)
    assert taken is not None, "the name is free"
    address.release(taken)


SLOW = """
import _socket, sys, time
from headway.process import address

name, wish = address.of(sys.argv[1]), address.Wish("board-0", "0" * 32)
telling = address._new()
telling.connect(name)
print("connected", flush=True)
time.sleep(0.3)
telling.send(wish.encoded())
"""


def test_who_has_connected_is_waited_for_a_moment(name: bytes, desk: Desk, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE, text=True) as slow:
        assert slow.stdout is not None
        assert slow.stdout.readline() == "connected\n"
        assert desk.leave() == [Wish("board-0", "0" * 32)]


def test_who_says_nothing_is_not_waited_for_for_long(name: bytes, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPEAK_S", 0.05)
    silent = address._new()
    silent.connect(name)
    assert address.tell(name, WISHES[0])
    assert heard(desk, 1) == WISHES[:1]
    until = time.monotonic() + PATIENCE_S
    while desk._speaking:
        assert time.monotonic() < until
        desk.hear(0.01)
    silent.close()


def test_nonsense_is_passed_over(name: bytes, desk: Desk) -> None:
    for message in (b"nonsense", b"\0" * 900, b"x" * 5000):
        talking = address._new()
        talking.connect(name)
        talking.send(message)
        talking.close()
    assert address.tell(name, WISHES[1])
    assert heard(desk, 1) == [WISHES[1]]


def test_without_a_descriptor_it_says_so_and_gives_the_name_up_for_good(
    name: bytes, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_S", 0.0)
    for wish in WISHES:
        assert address.tell(name, wish)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        assert desk.hear(0.0) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert desk.short
    assert desk.leave(for_good=True) == WISHES
    assert desk.hear(0.0) == []
    assert not desk.listens, "else it would stand in the way of one that can take boards up"
    taken = address.take(name)
    assert taken is not None
    address.release(taken)


FOREIGN = """
import os, sys
from headway.process import address

name = address.of(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
telling = address._new()
telling.connect(name)
telling.send(address.Wish("board-9", "9" * 32).encoded())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_what_another_user_says_is_passed_over(name: bytes, desk: Desk, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FOREIGN, str(tmp_path)], check=True, timeout=60)
    assert address.tell(name, WISHES[1])
    assert heard(desk, 1) == [WISHES[1]]


def test_a_recorder_without_the_name_takes_it_once_it_is_free(
    name: bytes, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRY_S", 0.01)
    other = Desk(name, None)
    other.hear(0.02)
    assert address.tell(name, WISHES[0]), "it is the other one's still"
    assert desk.leave() == WISHES[:1]
    until = time.monotonic() + PATIENCE_S
    while not other.listens:
        assert time.monotonic() < until
        other.hear(0.01)
    assert address.tell(name, WISHES[2])
    assert heard(other, 1) == [WISHES[2]]
    other.close()
