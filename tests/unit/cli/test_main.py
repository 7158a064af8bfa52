"""The command line by itself: what it imports, what it says of itself, how it fails."""

from __future__ import annotations

import contextlib
import json
import shlex
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headway
from headway.cli.main import COMMANDS, main
from headway.files import history
from tests.unit.conftest import add, ended

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython

SHORT_OF_MEMORY = """
import resource, sys
from headway.cli import history
from headway.cli.main import main
from headway.files import query
has = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize:")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (has + (8 << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))
sys.exit(main(sys.argv[1:]))
"""

LOADED = """
import json, sys
from headway.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""


def loaded(run_python: RunPython, *arguments: str) -> set[str]:
    return set(json.loads(run_python(LOADED, *arguments).stdout.splitlines()[-1]))


def test_the_version_loads_nothing_heavy(run_python: RunPython) -> None:
    modules = loaded(run_python, "--version")
    assert not modules & {
        "numpy",
        "multiprocessing",
        "concurrent.futures",
        "posix_ipc",
        "headway.engine.board",
        "headway.terminal",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_only_the_chosen_command_is_loaded(command: str, run_python: RunPython) -> None:
    modules = loaded(run_python, command, "--help")
    assert {name.rpartition(".")[2] for name in modules if name.startswith("headway.cli.")} & set(COMMANDS) == {command}
    assert not modules & {"numpy", "sqlite3", "multiprocessing", "rich", "starlette"}
    if command != "history":  # who asks how a command is used does not wait for the engine
        assert not modules & {"headway.native.core", "headway.engine.board", "headway.files.snapshot", "posix_ipc"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_how_it_is_used(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: headway {command}")
    assert f"\n  headway {command}" in told.partition("examples:")[2]


def test_without_a_command_all_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for command, what in COMMANDS.items():
        assert f"  {command} " in told
        assert what in told


@pytest.mark.parametrize(
    ("called", "hint"),
    [("shwo", "did you mean 'show'?"), ("wach", "did you mean 'watch'?"), ("xyz", "use one of demo, ls, show")],
)
def test_a_mistyped_command_is_answered_with_those_that_are_most_like_it(
    called: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([called])
    assert ended.value.code == 2
    assert f"there is no command {called!r}: {hint}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "history", "export", "report", "rm", "gc", "watch"])
def test_a_mistyped_board_is_answered_with_those_that_are_most_like_it(
    command: str, headway_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("nightly", "weekly"):
        (headway_dir / name).mkdir(parents=True)
        (headway_dir / name / "snapshot.npz").touch()
    assert main([command, "nigthly"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"headway: there is no board 'nigthly' in {headway_dir}: did you mean 'nightly'?\n"


def test_help_says_where_the_files_of_the_boards_are(headway_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"boards: their files are in {headway_dir}\n" in capsys.readouterr().out


def test_each_command_is_a_module_and_each_module_a_command() -> None:
    files = {path.stem for path in Path(headway.__file__).parent.joinpath("cli").glob("[!_]*.py")}
    assert files - {"main"} == set(COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"headway {headway.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["--nope"],
        ["ls", "--nope"],
        ["show", "a b"],
        ["show", ".."],
        ["rm"],
        ["rm", "../x"],
        ["rm", "--older", "30"],
        ["rm", "--older", "-1d"],
        ["rm", "--older", "30d", "--force"],
        ["ls", "--names", "--json"],
        ["completion", "powershell"],
        ["watch", "x", "--interval", "0"],
        ["watch", "x", "--interval", "nan"],
        ["export", "x", "--format", "xml"],
        ["history", "x", "--hours", "0"],
        ["history", "x", "--hours", "nan"],
        ["history", "x", "--limit", "0"],
        ["history", "x", "--limit", "-1"],
        ["history", "x", "--state", "running"],
        ["history", "no/such.npz"],
        ["demo", "--workers", "0"],
        ["demo", "--repeat", "x"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: headway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["show"], "there is no board: start a program"),
        (["show", "nope"], "there is no board 'nope' in "),
        (["show", "no/such.npz"], "there is no file no/such.npz"),
        (["watch", "nope"], "there is no board 'nope'"),
        (["export", "nope"], "there is no board 'nope'"),
        (["history", "nope"], "there is no board 'nope'"),
        (["rm", "nope"], "there is no board 'nope'"),
        (["gc", "nope"], "there is no board 'nope'"),
        (["demo", "--source", "/nowhere/at/all"], "/nowhere/at/all is not a folder: name one with --source"),
    ],
)
def test_what_cannot_be_done_is_status_1_and_one_sentence(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"headway: {why}")
    assert told.err.count("\n") == 1


def test_a_wrong_name_in_the_environment_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", "a b")
    assert main(["show"]) == 1
    assert "HEADWAY_BOARD is wrong: board name 'a b' is not legal" in capsys.readouterr().err


def test_no_boards_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    assert "there is no board" in capsys.readouterr().out
    assert main(["ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("/no such/place/headway", "'/no such/place/headway'"),
        ("/usr/lib/headway/__main__.py", f"{shlex.quote(sys.executable)} -m headway"),
    ],
)
def test_the_demo_tells_how_it_is_called_from_another_shell(
    called: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headway.cli import demo

    monkeypatch.setattr(sys, "argv", [called])
    assert demo._command() == told


def test_a_command_that_has_too_little_memory_ends_with_a_sentence(board: Board, run_python: RunPython) -> None:
    add(board.directory, ended(1, at=time.time()))
    with contextlib.closing(sqlite3.connect(board.directory / history.HISTORY)) as connection, connection:
        connection.execute("UPDATE runs SET result = ?", [json.dumps("x" * (15 << 20))])
    ran = run_python(SHORT_OF_MEMORY, "history", board.name, "--json", "--hours", "inf", check=False)
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)
    assert "headway: there is too little memory for this: ask for less of it" in ran.stderr
