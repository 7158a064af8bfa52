"""Real proxies in front of a dashboard, as docs/dashboard.md configures them: HTTPS, an odd port, and a path."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.rooms import ROOT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MISSING", "NAME", "Proxy", "free_port"]

NAME = "progress.example.com"
WAIT_S = 20.0
MISSING = {  # why a test is skipped
    kind: f"{kind} is not installed (Debian: apt-get install {package}, or ci/tools)"
    for kind, package in {"nginx": "nginx-light", "caddy": "caddy"}.items()
    if shutil.which(kind) is None
}

# What the example of the page stands in, and a port without TLS for tests that speak HTTP by hand.
_NGINX = """
daemon off; pid {folder}/pid; worker_processes 1;
events {{ worker_connections 64; }}
http {{
access_log off;
client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
{example}
}}
"""
_CADDY = """
{{
    admin off
    auto_https disable_redirects
    storage file_system {folder}
}}
{example}
"""


def free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def documented(kind: str) -> str:
    """The example of docs/dashboard.md, as it stands there."""
    text = (ROOT / "docs" / "dashboard.md").read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/dashboard.md has {len(found)} examples for {kind}"
    return str(found[0])


def _put(text: str, *changes: tuple[str, str]) -> str:
    """The example with what belongs to this machine."""
    for old, new in changes:
        assert old in text, f"the example has no {old!r}"
        text = text.replace(old, new)
    return text


class Proxy:
    """One of them, for a block. port: with TLS; plain_port: of nginx, without; url: the page's address."""

    def __init__(self, kind: str, folder: Path, port: int, server_port: int) -> None:
        self.port, self.plain_port = port, free_port()
        self.url = f"https://{NAME}:{port}/headway/"
        folder.mkdir()
        file = folder / "configuration"
        own = (
            ("127.0.0.1:8765", f"127.0.0.1:{server_port}"),
            ("/etc/ssl/progress.pem", str(folder / "certificate.pem")),
            ("/etc/ssl/progress.key", str(folder / "key.pem")),
        )
        _certify(folder)
        if kind == "nginx":
            listens = f"listen 127.0.0.1:{port} ssl; listen 127.0.0.1:{self.plain_port};"
            example = _put(documented(kind), ("listen 8443 ssl;", listens), *own)
            file.write_text(_NGINX.format(folder=folder, example=example))
            command = ["nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]
        else:
            example = _put(documented(kind), (f"{NAME}:8443 {{", f"{NAME}:{port} {{\n    bind 127.0.0.1"), *own)
            file.write_text(_CADDY.format(folder=folder, example=example))
            command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        self._log = folder / "said"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **home})

    def __enter__(self) -> Proxy:
        until = time.monotonic() + WAIT_S
        try:
            while not self._is_up():
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until, f"it does not listen: {self._log.read_text()}"
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, its workers too."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(WAIT_S)
        finally:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def _certify(folder: Path) -> None:
    """A certificate that is signed by itself, for a day."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
