"""How commands print: whole tables, safe texts, plain JSON."""

from __future__ import annotations

import json

import pytest

from headway.cli import _output


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() -> None:
    rows = [("NAME", "N"), ("a", "10"), ("全部", "5")]
    assert _output.table(rows, right=(1,)) == ["NAME   N", "a     10", "全部   5"]


def test_control_characters_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    _output.say("red \x1b[31m bell \x07")
    _output.complain("no \x1b[2J")
    told = capsys.readouterr()
    assert told.out == "red \\x1b[31m bell \\x07\n"
    assert told.err == "headway: no \\x1b[2J\n"


def test_a_line_is_cut_to_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _output.say("0123456789", 5)
    assert len(capsys.readouterr().out) == 6


def test_json_is_ascii_and_on_one_line_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    _output.print_json({"label": "é\x1b"}, indent=None)
    line = capsys.readouterr().out
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {"label": "é\x1b"}
    with pytest.raises(ValueError, match="JSON"):
        _output.print_json(float("nan"))


@pytest.mark.parametrize(("columns", "expected"), [("", 120), ("0", 120), ("x", 120), ("81", 80), ("5", 20)])
def test_the_width_of_a_file_is_that_of_the_environment_or_120(
    columns: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert _output.columns() == expected
