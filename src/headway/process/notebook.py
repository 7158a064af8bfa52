"""An output of a notebook's cell that is replaced while the cell runs.

A Jupyter kernel has a thread that sends what cells print. The event loop of this thread also watches the socket on
which the drawing helper sends finished outputs. So bars move however busy the cell is, without an additional thread.
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

MESSAGE_MOST = 1 << 18  # bytes; more than Linux allows for one message of a socket


def is_notebook() -> bool:
    """Does this code run in a notebook's kernel itself, not in a child that it forked?"""
    return _loop() is not None


def _loop() -> Any:
    """The event loop of the kernel's thread that sends outputs; None outside a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    sender = getattr(getattr(shell, "kernel", None), "iopub_thread", None)
    thread = getattr(sender, "thread", None)
    return getattr(sender, "io_loop", None) if thread is not None and thread.is_alive() else None


class Output:
    """One output of a cell. bundle: what it shows, a text for each media type."""

    def __init__(self, bundle: dict[str, str]) -> None:
        self._id = os.urandom(8).hex()
        self._last = b""
        self._closed = threading.Event()
        self._publish(bundle, update=False)

    def show(self, bundle: dict[str, str]) -> None:
        """Replace the output."""
        self._publish(bundle, update=True)

    def follow(self, messages: socket.socket) -> None:
        """Show each bundle, as JSON, that comes on a socket, until its other end is closed; then close this end."""
        loop = _loop()

        def take(_socket: socket.socket, _events: int) -> None:
            try:
                message = messages.recv(MESSAGE_MOST)
            except ConnectionResetError:  # the sender was killed: earlier messages can still be read
                return
            if message.startswith(b"{"):
                self._publish(json.loads(message), update=True)
            elif not message:
                loop.remove_handler(messages)
                messages.close()
                self._closed.set()
            self._last = message or self._last

        # add_callback keeps the context of this cell, which decides to which cell an output belongs.
        loop.add_callback(loop.add_handler, messages, take, loop.READ)

    def last(self, timeout_s: float) -> bytes:
        """Wait until the other end is closed. Returns the last message; b"" if it is not closed in time."""
        return self._last if self._closed.wait(timeout_s) else b""

    def _publish(self, bundle: dict[str, str], *, update: bool) -> None:
        sys.modules["IPython"].display.publish_display_data(bundle, transient={"display_id": self._id}, update=update)
