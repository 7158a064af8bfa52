"""Where a recorder hears of boards: its end of the address (see `headway.process.address`).

A recorder without the name (another one has it, or it was started for a board that the other one did not take up) tries
for it now and then: so whoever works longest is told of the boards that come.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

from headway.process import address

__all__ = ["Desk"]

SPEAK_S = 1.0  # so long a process may take from connecting to its message
TRY_S = 1.0
AT_ONCE = 64  # connections that are taken in one turn
SHORT_S = 0.1  # so long it waits where a connection cannot be taken
SHORT_NAP_S = 0.01
FOREIGN_S = 0.005  # who is of another user is not listened to, and costs little however often it comes


class Desk:
    """The recorder's hold on an address. For one thread. Nothing here waits longer than it is told to."""

    def __init__(self, name: bytes, taken: address.Taken | None) -> None:
        self._name = name
        self._listening: socket.socket | None = None
        self._speaking: dict[int, tuple[socket.socket, float]] = {}  # by descriptor: who has connected, and until when
        self._try_at = 0.0
        self._short = False
        self._poll = select.poll()
        if taken is not None:
            self._listen(taken)

    @property
    def listens(self) -> bool:
        """Does this process have the name?"""
        return self._listening is not None

    @property
    def short(self) -> bool:
        """Could a connection not be taken, as there is no descriptor left, say?"""
        return self._short

    def hear(self, wait_s: float) -> list[address.Wish]:
        """What programs want, as soon as there is any; after `wait_s` without, nothing."""
        if self._listening is None and time.monotonic() >= self._try_at:
            self._try()
        ready = {fd for fd, _ in self._poll.poll(wait_s * 1000)}
        if self._listening is not None and self._listening.fileno() in ready:
            self._accept(self._listening)
            if self._short:  # it is ready still: this would not wait at all
                time.sleep(min(wait_s, SHORT_S))
        return self._read()

    def leave(self, *, for_good: bool = False) -> list[address.Wish]:
        """Give up the name. Returns what was told until then: who comes later is refused, and takes the name.

        It is refused from the shutdown on; so what was told before lies in the socket, and is read, before it closes.
        for_good: this process does not try for the name again.
        """
        # Else, who stays for what was told takes it again, if nobody has by now.
        self._try_at = float("inf") if for_good else 0.0
        listening, self._listening = self._listening, None
        if listening is None:
            return []
        self._poll.unregister(listening.fileno())
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RD)
        heard: list[address.Wish] = []
        until = time.monotonic() + SPEAK_S
        while True:
            self._short = False
            if not self._accept(listening) and (not self._short or time.monotonic() >= until):
                break
            heard += self._read()
            if self._short:  # until a descriptor is free; what cannot be read in time, its programs ask for again
                time.sleep(SHORT_NAP_S)
        until = time.monotonic() + SPEAK_S
        while self._speaking and time.monotonic() < until:
            self._poll.poll(50)
            heard += self._read()
        listening.close()
        return heard

    def close(self) -> None:
        """Give up the name, whatever was told there: to a process that is being stopped."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for fd in list(self._speaking):
            self._hang_up(fd)

    def _try(self) -> None:
        self._try_at = time.monotonic() + TRY_S
        with suppress(OSError):
            taken = address.take(self._name)
            if taken is not None:
                self._listen(taken)

    def _listen(self, taken: address.Taken) -> None:
        self._listening = socket.socket(fileno=taken.detach())
        address.release(taken)
        self._poll.register(self._listening.fileno(), select.POLLIN)

    def _accept(self, listening: socket.socket) -> bool:
        """Take connections. Returns whether there were any."""
        found = False
        for _ in range(AT_ONCE):
            try:
                speaker, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):  # none is left; or this one has gone again
                break
            except OSError:
                self._short = True
                break
            found = True
            speaker.setblocking(False)
            if not address.is_ours(speaker):
                speaker.close()
                time.sleep(FOREIGN_S)
                continue
            self._speaking[speaker.fileno()] = speaker, time.monotonic() + SPEAK_S
            self._poll.register(speaker.fileno(), select.POLLIN)
        return found

    def _read(self) -> list[address.Wish]:
        heard, now = [], time.monotonic()
        for fd, (speaker, until) in list(self._speaking.items()):
            try:
                message = speaker.recv(address.MESSAGE_MOST)
            except BlockingIOError:
                if now >= until:
                    self._hang_up(fd)
                continue
            except OSError:
                message = b""
            with suppress(ValueError):
                heard.append(address.Wish.decoded(message))
            self._hang_up(fd)
        return heard

    def _hang_up(self, fd: int) -> None:
        speaker, _ = self._speaking.pop(fd)
        self._poll.unregister(fd)
        speaker.close()
