"""The page of analyses, served in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

APP = Path(__file__).resolve().parents[2] / "examples" / "web_dashboard" / "app.py"
WAIT_S = 30.0


class Served(NamedTuple):
    """A server that runs."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextlib.contextmanager
def serving(kind: str, directory: Path) -> Iterator[Served]:
    """Serve what a tracker of this kind has in a directory. The server must say nothing but its address."""
    command = [sys.executable, str(APP), "--tracker", kind, "--dir", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = urlsplit(server.stdout.readline().strip())
            assert url.hostname == "127.0.0.1"
            assert url.port
            yield Served(server.pid, url.port)
        finally:
            server.terminate()
            _, said = server.communicate(timeout=WAIT_S)
    assert said == ""
