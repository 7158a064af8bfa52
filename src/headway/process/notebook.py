"""An output of a notebook's cell that is replaced while the cell runs.

A kernel has a thread of its own that sends what cells print. Its event loop is asked to watch one more descriptor: the
socket on which the drawing helper sends outputs, ready to be shown. So bars move however busy the cell is, and the
program has not one thread more than before.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

__all__ = ["Output", "is_notebook"]

MESSAGE_MOST = 1 << 18  # bytes; the kernel's limit for one message of a socket is below it


def is_notebook() -> bool:
    """Does this code run in a cell, in the kernel itself and not in a child that it forked?"""
    return _loop() is not None


def _loop() -> Any:
    """The event loop of the thread that sends outputs; None where there is no such thing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    sender = getattr(getattr(shell, "kernel", None), "iopub_thread", None)
    thread = getattr(sender, "thread", None)
    return getattr(sender, "io_loop", None) if thread is not None and thread.is_alive() else None


class Output:
    """One output of a cell. bundle: what it shows, one text a media type."""

    def __init__(self, bundle: dict[str, str]) -> None:
        self._id = os.urandom(8).hex()
        self._last = b""
        self._closed = threading.Event()
        self._publish(bundle, update=False)

    def show(self, bundle: dict[str, str]) -> None:
        """Replace it."""
        self._publish(bundle, update=True)

    def follow(self, messages: socket.socket) -> None:
        """Show each message of a socket that is a bundle in JSON, until its other end is closed; then this end, too."""
        loop = _loop()

        def take(_socket: socket.socket, _events: int) -> None:
            try:
                message = messages.recv(MESSAGE_MOST)
            except ConnectionResetError:  # who sends was killed: what it sent before is still to come
                return
            if message.startswith(b"{"):
                self._publish(json.loads(message), update=True)
            elif not message:
                loop.remove_handler(messages)
                messages.close()
                self._closed.set()
            self._last = message or self._last

        # In the context of this cell, by which outputs are told apart.
        loop.add_callback(loop.add_handler, messages, take, loop.READ)

    def last(self, timeout_s: float) -> bytes:
        """Wait until the other end was closed. Returns what came last; nothing if it was not."""
        return self._last if self._closed.wait(timeout_s) else b""

    def _publish(self, bundle: dict[str, str], *, update: bool) -> None:
        sys.modules["IPython"].display.publish_display_data(bundle, transient={"display_id": self._id}, update=update)
