"""Makes the pictures of the dashboard: a real run of nightly.py, seen in Chromium, a moment after a worker was killed.

ci/screenshots runs it. The page takes the fonts of the system; it looks best where Inter is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from headway import maintenance

HERE = Path(__file__).resolve().parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LIMIT_MS = 240_000.0
BOARD = "nightly"


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that is ended with all its processes."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def take(browser: Browser, url: str) -> None:
    """The board when the dead worker has been told and the others have gone on for a while; then one task."""
    schemes: dict[str, Literal["light", "dark"]] = {"dashboard": "light", "dashboard-dark": "dark"}
    for name, scheme in schemes.items():
        page = browser.new_page(
            viewport={"width": 1280, "height": 800}, device_scale_factor=1.5, color_scheme=scheme, locale="en-GB"
        )
        page.set_default_timeout(LIMIT_MS)
        page.goto(f"{url}#/{BOARD}")
        page.locator(".deaths").wait_for()
        page.locator(".throughput canvas").wait_for()
        page.wait_for_timeout(4000)
        page.screenshot(path=HERE / f"{name}.png")
        if scheme == "light":
            page.locator(".line.is-running .cell-name a").last.click()
            page.locator(".metrics canvas").nth(1).wait_for()
            page.wait_for_timeout(5000)
            page.screenshot(path=HERE / "dashboard-task.png")
        page.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["HEADWAY_DIR"] = directory
        try:
            with (
                running("-m", "headway", "serve", "--json", "--port", "0") as server,
                running(str(HERE / "nightly.py"), BOARD),
                sync_playwright() as playwright,
            ):
                assert server.stdout is not None
                url = json.loads(server.stdout.readline())["url"]
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                take(browser, url)
                browser.close()
        finally:
            maintenance.remove(BOARD, force=True)
    for picture in sorted(HERE.glob("dashboard*.png")):
        print(f"{picture.relative_to(HERE.parent)}: {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
