"""A real Chromium, the real server, and programs on real boards. The page is built from its sources before.

Whatever a test does, its page may say nothing on the console, ask nobody but its server, and break no rule of its
Content-Security-Policy.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

from tests.proxies import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
# Nothing of the browser's own that speaks to the network, and no sandbox, which needs more than a container gives.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
]
WAIT_S = 20.0
expect.set_options(timeout=WAIT_S * 1000)
DESKTOP = (1360, 900)
PHONE = (390, 844)
TOKEN = "correct-horse+battery/staple"


def _end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


# --- the browser


@pytest.fixture(scope="session")
def built_page() -> None:
    """The page, built from the sources of this tree."""
    built = subprocess.run([ROOT / "ci" / "web"], capture_output=True, text=True, check=False, timeout=600)
    assert built.returncode == 0, f"ci/web failed:\n{built.stdout}{built.stderr}"


@pytest.fixture(scope="module")  # a test that times out takes the connection to the browser along
def chromium() -> Iterator[Browser]:
    assert CHROMIUM.exists(), (
        f"no browser at {CHROMIUM}: install it (Debian: apt-get install chromium), or set CHROMIUM"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """A page, and all that it says and asks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        self.allowed: tuple[str, ...] = ()  # parts of messages that a test provokes
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        page.on("dialog", self._refuse)
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));"
        )

    def _refuse(self, dialog: Dialog) -> None:
        self.console.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(self, origins: set[str]) -> None:
        assert not [said for said in self.console if not any(one in said for one in self.allowed)]
        foreign = [url for url in self.requests if "/".join(url.split("/")[:3]) not in origins]
        assert not foreign


class Open(Protocol):
    """Opens a page, at a fragment such as `nightly?state=lost`."""

    def __call__(
        self, place: str = "", *, size: tuple[int, int] = DESKTOP, dark: bool = False, root: str | None = None
    ) -> Watched: ...


@pytest.fixture
def open_page(chromium: Browser, built_page: None, server: Server, stages: list[Stage]) -> Iterator[Open]:
    """Opens pages, which are closed before the server and the programs end."""
    contexts: list[BrowserContext] = []
    pages: list[Watched] = []
    origins = set()

    def open_page(
        place: str = "", *, size: tuple[int, int] = DESKTOP, dark: bool = False, root: str | None = None
    ) -> Watched:
        width, height = size
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            ignore_https_errors=True,  # tests sign their certificates themselves
        )
        context.set_default_timeout(WAIT_S * 1000)
        contexts.append(context)
        watched = Watched(context.new_page())
        pages.append(watched)
        link = root or server.link
        url = link.partition("#")[0]
        origins.add("/".join(url.split("/")[:3]))
        watched.page.goto(link)
        if place:
            watched.page.goto(f"{url}#/{place}")
        return watched

    yield open_page
    try:
        for watched in pages:
            watched.check(origins)
    finally:
        for context in contexts:
            context.close()


# --- the server


class Server:
    """`headway serve`, which can be stopped and started anew at the same address. link: its page, with the token."""

    def __init__(self, port: int = 0, arguments: tuple[str, ...] = ()) -> None:
        self._arguments = arguments
        self.token = TOKEN
        self._process: subprocess.Popen[str] | None = None
        self.url = self.link = ""
        self.start(port)

    def start(self, port: int | None = None) -> None:
        at = int(self.url.rstrip("/").rpartition(":")[2]) if port is None else port
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headway", "serve", "--json", "--port", str(at), *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HEADWAY_TOKEN": self.token},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.url, self.link = told["url"], f"{told['url']}#token={quote(self.token, safe='')}"

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            _end(self._process, number)
            self._process = None


@pytest.fixture(scope="session")
def boards_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the boards of all tests, and one server over it; each test has boards of its own."""
    return tmp_path_factory.mktemp("boards")


@pytest.fixture
def shared_dir(_no_leak: None, boards_dir: Path, board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That directory as the one of this test's programs, without what the test left in it."""
    for name in ("HEADWAY_BOARD", "HEADWAY_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWAY_DIR", str(boards_dir))
    monkeypatch.setenv("HEADWAY_RECORD", "0")
    yield boards_dir
    shutil.rmtree(boards_dir / board_name, ignore_errors=True)


@pytest.fixture(scope="session")
def server(boards_dir: Path) -> Iterator[Server]:
    server = Server(arguments=("--dir", str(boards_dir)))
    yield server
    server.stop()


@pytest.fixture
def own_server(boards_dir: Path) -> Iterator[Server]:
    """One that the test may end and start."""
    server = Server(arguments=("--dir", str(boards_dir)))
    yield server
    server.stop()


# --- programs


class Stage:
    """A program on a board of its own, see stage.py: `do("task('a').update(5)")`."""

    def __init__(self, board: str, capacity: int) -> None:
        self.board = board
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("stage.py")), board, str(capacity)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def do(self, *lines: str) -> Any:
        """Have it evaluate these expressions; the value of the last one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = ""
        for line in lines:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, f"the program ended at {line!r}"
        return json.loads(answer or "null")

    def signal(self, number: signal.Signals) -> None:
        """Stop it, continue it: the process that writes the snapshots, not its workers."""
        os.kill(self.pid, number)

    def end(self) -> None:
        """Have it remove its board and leave."""
        self.signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(20) == 0
        finally:
            _end(self._process)


@pytest.fixture
def stages(headway_dir: Path) -> Iterator[list[Stage]]:
    """Those that end with the test."""
    stages: list[Stage] = []
    yield stages
    for stage in stages:
        stage.end()


@pytest.fixture
def stage(stages: list[Stage], board_name: str) -> Stage:
    stages.append(Stage(board_name, 64))
    return stages[-1]


@pytest.fixture
def big_stage(stages: list[Stage], board_name: str) -> Stage:
    stages.append(Stage(board_name, 10_100))
    return stages[-1]
