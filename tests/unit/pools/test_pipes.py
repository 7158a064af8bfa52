"""`pools/pipes.py`: whole messages over pipes, of which the program's ends never wait."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from headway.pools import pipes

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = os.urandom(1 << 20)  # many times what a pipe takes


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe: to read from, to write to."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:  # the test has closed it
            continue


def test_messages_arrive_whole_whatever_the_pieces(pipe: tuple[int, int]) -> None:
    inbox = pipes.Inbox(pipe[0])
    pipes.write(pipe[1], b"one")
    pipes.write(pipe[1], b"")
    os.write(pipe[1], (5).to_bytes(8, "little") + b"th")
    assert inbox.receive()
    assert list(inbox.messages()) == [b"one", b""]
    os.write(pipe[1], b"ree")
    assert inbox.receive()
    assert list(inbox.messages()) == [b"three"]


def test_a_writer_that_is_gone_is_noticed_and_what_it_wrote_in_part_is_no_message(pipe: tuple[int, int]) -> None:
    inbox = pipes.Inbox(pipe[0])
    pipes.write(pipe[1], b"one")
    os.write(pipe[1], (500).to_bytes(8, "little") + b"half")
    os.close(pipe[1])
    assert not inbox.receive()
    assert list(inbox.messages()) == [b"one"]


def test_a_reader_that_does_not_read_holds_up_nobody(pipe: tuple[int, int]) -> None:
    outbox = pipes.Outbox(pipe[1])
    assert not outbox.put(LARGE)
    inbox = pipes.Inbox(pipe[0])
    done = False
    while not done:
        assert inbox.receive()
        done = outbox.flush()
    assert inbox.receive()
    assert list(inbox.messages()) == [LARGE]


def test_a_reader_that_is_gone_is_an_error(pipe: tuple[int, int]) -> None:
    outbox = pipes.Outbox(pipe[1])
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        outbox.put(b"one")


def test_a_worker_reads_what_was_written_and_then_the_end(pipe: tuple[int, int]) -> None:
    pipes.write(pipe[1], b"one")
    os.close(pipe[1])
    assert pipes.read(pipe[0]) == b"one"
    assert pipes.read(pipe[0]) is None
