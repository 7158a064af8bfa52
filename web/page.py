"""Builds the dashboard's page into the package if it is missing or older than its sources: python web/page.py

It needs Node.js with npm, and what web/package-lock.json names from the npm registry. The package's build calls this
(see backend.py), and so does ci/web. It uses only Python's standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["STATIC", "NotBuilt", "build", "is_current", "node_is_missing"]

WEB = Path(__file__).resolve().parent
STATIC = WEB.parent / "src" / "headway" / "dashboard" / "static"
STAMP = STATIC / ".sources"  # the fingerprint of what the page in STATIC was built from; Vite empties the folder first
MADE_FROM = ("index.html", "package.json", "package-lock.json", "public", "src", "tsconfig.json", "vite.config.ts")
INSTALL = ("npm", "ci", "--no-fund", "--no-audit", "--loglevel=error")
OFFLINE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000")  # without a network it fails within seconds
BUILD = ("npm", "run", "--silent", "build", "--", "--logLevel", "warn")
BOUND_S = 900.0


class NotBuilt(Exception):
    """The page could not be built; the message has the reason and the remedy."""


def fingerprint() -> str:
    """The fingerprint of the page's sources: a line that changes with them."""
    digest = hashlib.sha256()
    for name in MADE_FROM:
        for path in sorted((WEB / name).rglob("*")) if (WEB / name).is_dir() else [WEB / name]:
            if path.is_file():
                digest.update(f"{path.relative_to(WEB)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the page is in the package, built from the sources that lie here."""
    try:
        return (STATIC / "index.html").is_file() and STAMP.read_text().strip() == fingerprint()
    except FileNotFoundError:
        return False


def environment() -> dict[str, str]:
    """The environment for npm: commands are searched on the PATH, then beside this Python, where pip puts them."""
    folders = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    return {**os.environ, "PATH": os.pathsep.join(folders)}


def node_is_missing() -> str:
    """Why the page cannot be built with the Node.js of this machine; "" if it can."""
    path = environment()["PATH"]
    wanted = json.loads((WEB / "package.json").read_text())["engines"]["node"].removeprefix(">=")
    node, npm = (shutil.which(name, path=path) for name in ("node", "npm"))
    if node is None or npm is None:
        return f"Node.js with npm is not on the PATH: install Node.js {wanted} or newer"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, env=environment()).stdout
    found = [int(number) for number in re.findall(r"\d+", said)[:2]]
    if found < [int(number) for number in wanted.split(".")]:
        return f"{node} is {said.strip() or 'broken'}: install Node.js {wanted} or newer"
    return ""


def install() -> None:
    """Install the tools that build the page, if they are missing or of another version."""
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".headway-lock"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        _run(*INSTALL, *OFFLINE)
        installed.write_bytes(lock.read_bytes())


def build() -> None:
    """Build the page. Raises NotBuilt."""
    if missing := node_is_missing():
        raise NotBuilt(missing)
    now = fingerprint()
    try:
        install()
        _run(*BUILD)
        if not (STATIC / "index.html").is_file():
            raise NotBuilt(f"the build left no {STATIC / 'index.html'}")
        STAMP.write_text(f"{now}\n")
    except OSError as error:
        raise NotBuilt(str(error)) from error


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=WEB,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BOUND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotBuilt(f"`{' '.join(command)}` was not done after {BOUND_S:.0f} s") from None
    if done.returncode:
        raise NotBuilt(f"`{' '.join(command)}` failed:\n{done.stdout}")


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--install"]:
            install()
        elif not is_current():
            build()
    except NotBuilt as error:
        sys.exit(f"The dashboard's page is not built: {error}")
