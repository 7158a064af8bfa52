"""Takes the pictures of the dashboard, of the report and of a notebook: real runs, seen in Chromium.

ci/screenshots runs it. Pages take the fonts of the system; they look best where Inter is installed.
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

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from headway.upkeep import removal

HERE = Path(__file__).resolve().parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LIMIT_MS = 240_000.0
PHONE = (390, 844)
DESKTOP = (1280, 800)
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


def opened(browser: Browser, url: str, scheme: Literal["light", "dark"], size: tuple[int, int] = DESKTOP) -> Page:
    """A page on a screen of one pixel and a half a dot."""
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=1.5, color_scheme=scheme, locale="en-GB"
    )
    page.set_default_timeout(LIMIT_MS)
    page.goto(url)
    return page


def save(page: Page, name: str) -> None:
    """Take the picture, in as many colours as it needs; photographs there are none."""
    path = HERE / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)


def take(browser: Browser, url: str) -> None:
    """The board when the dead worker has been told and the others have gone on for a while; then one task."""
    light = opened(browser, f"{url}#/{BOARD}", "light")
    dark = opened(browser, f"{url}#/{BOARD}", "dark")
    phone = opened(browser, f"{url}#/{BOARD}", "dark", PHONE)
    light.locator(".alarm").wait_for()
    light.wait_for_timeout(6000)
    for page, name in ((light, "dashboard"), (dark, "dashboard-dark"), (phone, "dashboard-phone")):
        page.locator(".throughput canvas").wait_for()
        save(page, name)
    light.locator(".line.is-running .cell-name a").last.click()
    light.locator(".metrics canvas").nth(1).wait_for()
    light.wait_for_timeout(1000)
    save(light, "dashboard-task")


def report(browser: Browser, folder: Path) -> None:
    """What `headway report` made of the run."""
    path = folder / "report.html"
    subprocess.run([sys.executable, "-m", "headway", "report", BOARD, "-o", str(path)], check=True)
    save(opened(browser, path.as_uri(), "light", (1280, 900)), "report")


def notebook(browser: Browser, folder: Path) -> None:
    """Live bars in a notebook, as nbconvert shows it; what that would fetch from elsewhere is left out."""
    path = folder / "notebook.html"
    subprocess.run([sys.executable, str(HERE / "notebook.py"), str(path)], check=True)
    page = browser.new_page(viewport={"width": 1000, "height": 455}, device_scale_factor=1.5)
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(path.as_uri())
    save(page, "notebook")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["HEADWAY_DIR"] = directory
        try:
            with (
                running("-m", "headway", "serve", "--no-token", "--json", "--port", "0") as server,
                running(str(HERE / "nightly.py"), BOARD) as program,
                sync_playwright() as playwright,
            ):
                assert server.stdout is not None
                url = json.loads(server.stdout.readline())["url"]
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                take(browser, url)
                program.wait(LIMIT_MS / 1000)
                report(browser, Path(directory))
                notebook(browser, Path(directory))
                browser.close()
        finally:
            for name in (BOARD, "notebook"):
                with contextlib.suppress(KeyError):
                    removal.remove(name, force=True)
    for picture in sorted(HERE.glob("*.png")):
        print(f"{picture.relative_to(HERE.parent)}: {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
