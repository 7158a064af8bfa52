"""The page of analyses, served in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

APP = Path(__file__).resolve().parents[2] / "examples" / "web_dashboard" / "app.py"
WAIT_S = 30.0


@contextlib.contextmanager
def serving(kind: str, directory: Path, port: int = 0) -> Iterator[int]:
    """Serve what a tracker of this kind has in a directory; yields the port. It must say nothing but its address."""
    command = [sys.executable, str(APP), "--tracker", kind, "--dir", str(directory), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = urlsplit(server.stdout.readline().strip())
            assert url.hostname == "127.0.0.1"
            assert url.port
            yield url.port
        finally:
            server.terminate()
            _, said = server.communicate(timeout=WAIT_S)
    assert said == ""
