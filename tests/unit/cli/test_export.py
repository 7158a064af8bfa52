"""Which format `headway export` writes, and what it says where it cannot."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway.cli.main import main

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython


@pytest.fixture
def filled(board: Board) -> Board:
    board.task("one", total=3).update(2)
    return board


def test_the_ending_of_the_file_chooses_the_format(filled: Board, tmp_path: Path) -> None:
    for name in ("a.json", "a.ndjson", "a.jsonl", "a.csv", "a.CSV", "a.npz", "plain"):
        assert main(["export", filled.name, "-o", str(tmp_path / name)]) == 0
    for name in ("a.json", "plain"):
        assert json.loads((tmp_path / name).read_text())["tasks"][0]["count"] == 2
    for name in ("a.ndjson", "a.jsonl"):
        assert json.loads((tmp_path / name).read_text())["count"] == 2
    for name in ("a.csv", "a.CSV"):
        assert next(csv.DictReader((tmp_path / name).read_text().splitlines()))["count"] == "2"
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["tasks"]["count"].tolist() == [2]


def test_an_ending_of_no_format_is_refused_with_those_that_there_are(
    filled: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tasks.xlsx"
    assert main(["export", filled.name, "-o", str(output)]) == 1
    assert capsys.readouterr().err == (
        f"headway: {output}: .xlsx is not the ending of a format: "
        "use one of .json, .ndjson, .jsonl, .csv, .npz, .parquet, or choose with --format\n"
    )
    assert not output.exists()
    assert main(["export", filled.name, "-o", str(output), "--format", "csv"]) == 0
    assert output.read_text().startswith('"board","id",')


def test_a_missing_folder_is_told_by_the_path_that_the_user_gave(
    filled: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "no" / "such.json"
    assert main(["export", filled.name, "-o", str(output)]) == 1
    assert capsys.readouterr().err == f"headway: {output}: No such file or directory\n"


def test_a_device_takes_any_ending(filled: Board, tmp_path: Path) -> None:
    link = tmp_path / "out.dev"
    link.symlink_to(os.devnull)
    assert main(["export", filled.name, "-o", str(link)]) == 0
    assert link.is_symlink()


def test_a_dash_is_standard_output_in_every_format(
    filled: Board, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for form in ("json", "ndjson", "csv", "npz"):
        assert main(["export", filled.name, "-o", "-", "--format", form]) == 0
        found[form] = capfdbinary.readouterr().out
    assert json.loads(found["json"])["tasks"][0]["count"] == json.loads(found["ndjson"])["count"] == 2
    assert found["csv"].startswith(b'"board",')
    with np.load(io.BytesIO(found["npz"])) as arrays:
        assert arrays["tasks"]["count"].tolist() == [2]
    assert main(["export", filled.name, "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["name"] == filled.name
    assert not (tmp_path / "-").exists()


def test_what_is_no_text_is_written_to_no_terminal(
    filled: Board, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for arguments in (("--format", "parquet"), ("--format", "parquet", "-o", "-"), ("--format", "npz", "-o", "-")):
        assert main(["export", filled.name, *arguments]) == 1
        told = capfdbinary.readouterr()
        assert told.out == b""
        assert b"name a file with -o" in told.err


def test_parquet_without_a_file_goes_to_a_pipe(filled: Board, run_python: RunPython) -> None:
    run_python(f"""
import subprocess, sys
command = [sys.executable, "-m", "headway", "export", {filled.name!r}, "--format", "parquet"]
written = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
assert written[:4] == written[-4:] == b"PAR1", written[:80]
""")


def test_without_pyarrow_a_parquet_file_is_refused_with_the_extra_and_nothing_is_written(
    filled: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", filled.name, "-o", str(tmp_path / "tasks.parquet")]) == 1
    assert "pip install 'headway[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "tasks.parquet").exists()


def test_what_a_shell_exports_as_parquet_others_read(filled: Board, tmp_path: Path, run_python: RunPython) -> None:
    path = tmp_path / "tasks.parquet"
    script = f"""
import duckdb
from headway.cli.main import main
assert main(["export", {filled.name!r}, "-o", {str(path)!r}]) == 0
print(duckdb.sql("SELECT id, count FROM read_parquet({str(path)!r})").fetchall())
"""
    assert run_python(script).stdout == "[('one', 2)]\n"
