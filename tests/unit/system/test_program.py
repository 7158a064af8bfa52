"""What a program's board is called where nobody names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from headway.system import paths
from headway.system.program import program_name

KERNEL = "/usr/lib/python3/dist-packages/ipykernel_launcher.py"
FILE = "/run/user/1000/jupyter/kernel-3f2a91c0-4b7e-4f7e-9d0b-1c2d3e4f5a6b.json"
PRINTS = "from headway.system.program import program_name; print(program_name())"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in the place of `__main__`, as a kernel has one."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys, "argv", [KERNEL, "-f", FILE])
    return module


def test_a_notebook_in_vs_code_is_called_after_its_file(main: ModuleType) -> None:
    main.__vsc_ipynb_file__ = "/home/ada/Price study.ipynb"  # type: ignore[attr-defined]
    assert program_name() == "Price-study"


def test_a_notebook_in_jupyter_is_called_after_its_file(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/studies/prices.ipynb")
    assert program_name() == "prices"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-f", FILE], "notebook-3f2a91c0"),
        ([f"--f={FILE}"], "notebook-3f2a91c0"),
        (["--f=/run/kernel-v2-10421bQ7x.json"], "notebook-10421bQ7"),
        (["-f"], "notebook"),
        ([], "notebook"),
    ],
)
def test_notebooks_without_a_known_file_are_told_apart_by_their_kernels(
    arguments: list[str], name: str, main: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [KERNEL, *arguments])
    assert program_name() == name
    assert paths.check_name(name) == name


def test_a_program_that_a_notebook_starts_is_not_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "prices.ipynb")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert program_name() == "train"


def test_a_module_that_is_run_is_called_by_its_whole_name(tmp_path: Path) -> None:
    package = tmp_path / "study"
    package.mkdir()
    for name in ("__init__", "__main__", "prices"):
        (package / f"{name}.py").write_text("" if name == "__init__" else PRINTS)

    def printed(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert printed("-m", "study.prices") == "study.prices"
    assert printed("-m", "study") == "study"
    assert printed("study/prices.py") == "prices"
    assert printed("-c", PRINTS) == "python-c"
