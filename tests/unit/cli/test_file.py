"""The output file of a command appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway import errors
from headway.cli._file import put


def hello(folder: Path) -> Path:
    (folder / "made").write_text("hello")
    return folder / "made"


def failing(folder: Path) -> Path:
    (folder / "made").write_text("half")
    raise RuntimeError


def test_a_file_is_replaced_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    output = tmp_path / "out"
    put(output, hello)
    assert output.read_text() == "hello"
    with pytest.raises(RuntimeError):
        put(output, failing)
    assert output.read_text() == "hello"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    put(tmp_path / "link", hello)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "hello"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    put(Path(os.devnull), hello)
    assert Path(os.devnull).is_char_device()


def test_what_cannot_be_written_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    with pytest.raises(errors.HeadwayError, match=f"{tmp_path} is a directory: name a file in it"):
        put(tmp_path, hello)
    with pytest.raises(FileNotFoundError) as raised:
        put(tmp_path / "no" / "such", hello)
    assert raised.value.filename == str(tmp_path / "no" / "such")
