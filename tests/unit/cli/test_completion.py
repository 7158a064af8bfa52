"""What `headway completion` prints, run in the shell that it is for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headway.cli.completion import SHELLS
from headway.cli.main import COMMANDS, main

# Calls the function that bash calls when tab is pressed after the last word.
PRESS_TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_headway headway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "headway.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("s",), {"show", "serve"}),
        (("watch", "--in"), {"--interval"}),
        (("export", "--format", "n"), {"ndjson", "npz"}),
        (("completion", ""), set(SHELLS)),
        (("show", "ni"), {"nightly"}),
        (("rm", "nightly", "we"), {"weekly"}),
        (("gc", ""), {"nightly", "weekly"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bash_completes_commands_options_and_boards(
    words: tuple[str, ...],
    expected: set[str],
    script: Path,
    headway_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("nightly", "weekly"):
        (headway_dir / name).mkdir(parents=True)
        (headway_dir / name / "snapshot.npz").touch()
    command = tmp_path / "bin" / "headway"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m headway "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    done = subprocess.run(
        ["bash", "--norc", "-c", PRESS_TAB, "bash", str(script), "headway", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert expected <= set(done.stdout.split())
    if words[-1]:
        assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_has_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "headway ls --names" in script
    if shutil.which(shell):  # bash always; the others where they are installed
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, timeout=60, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_without_shtab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'headway[completion]'" in capsys.readouterr().err
