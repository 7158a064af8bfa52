"""tqdm's own tests pass with its bars mirrored: those of the newest release, which PyPI is asked for.

Slow, and in need of a network: run it with `ci/test -m slow tests/integration/test_tqdm_suite.py`. Where PyPI cannot be
reached it fails and says so; a newer tqdm that fails it is a reason to look, not a defect of this version.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PLUGINS = {
    "tqdm_alone": "",
    "in_place": "from headway.integrations import tqdm\ntqdm.install()\n",
    "as_subclass": (
        "import tqdm\nfrom headway.integrations import tqdm as ours\ntqdm.tqdm, tqdm.trange = ours.tqdm, ours.trange\n"
    ),
}
# They delete attributes of the class tqdm, which a subclass merely inherits.
OF_THE_CLASS = ("test_external_write", "test_monitor_thread", "test_monitoring_and_cleanup", "test_monitoring_multi")
PIP_S, SUITE_S = 300, 500


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, timeout=PIP_S, check=False
    )
    if done.returncode:
        pytest.fail(f"the newest tqdm could not be had, so nothing is known of it: pip {arguments[0]}: {done.stderr}")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the newest tqdm, with what its tests need besides."""
    folder = tmp_path_factory.mktemp("tqdm")
    pip("download", "-q", "--no-deps", "--no-binary", "tqdm", "-d", str(folder), "tqdm")
    (archive,) = folder.glob("tqdm-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    version = archive.name.removeprefix("tqdm-").removesuffix(".tar.gz")
    pip("install", "-q", "--no-deps", "--target", str(folder / "packages"), "pytest-asyncio", f"tqdm=={version}")
    for name, text in PLUGINS.items():
        (folder / "packages" / f"{name}.py").write_text(text)
    return folder / f"tqdm-{version}"


def failing(source: Path, plugin: str, *chosen: str, without: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """The tests that fail, and how the run ended."""
    left_out = " and ".join(f"not {name}" for name in ("perf", *without))
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-q", "-rfE", "-p", "no:cacheprovider", "--tb=line"]
    done = subprocess.run(
        [*command, "-p", "pytest_asyncio", "-p", plugin, "-W", "error", "-k", left_out, *(chosen or ("tests",))],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source.parent / "packages"), "HEADWAY_BOARD": os.environ["HEADWAY_BOARD"]},
        capture_output=True,
        text=True,
        timeout=SUITE_S,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE), done.stdout.rstrip().rpartition("\n")[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("plugin", "without"), [("in_place", ()), ("as_subclass", OF_THE_CLASS)])
def test_its_own_tests_pass(
    source: Path, plugin: str, without: tuple[str, ...], board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    wrong, summary = failing(source, plugin, without=without)
    print(f"{source.name}, {plugin}: {summary}")
    if wrong:  # some of them measure time, which a busy machine fails: what fails without a mirror as well is not ours
        wrong, _ = failing(source, plugin, *wrong)
    if wrong:
        alone, _ = failing(source, "tqdm_alone", *wrong)
        wrong = sorted(set(wrong) - set(alone))
    assert not wrong, f"{source.name} behaves in another way where its bars are mirrored"
