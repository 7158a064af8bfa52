"""What clients are told of an error."""

from __future__ import annotations

import errno

from headway import errors
from headway.dashboard.state.faults import code_of, detail_of


def test_an_error_has_the_code_of_its_kind() -> None:
    assert code_of(errors.LockTimeout("x")) == "busy"
    assert code_of(OSError("x")) == "unreadable"


def test_an_error_of_the_system_names_the_file_and_the_reason_without_its_number() -> None:
    assert detail_of(PermissionError(errno.EACCES, "Permission denied", "/a/b")) == "/a/b: Permission denied"
    assert detail_of(OSError("x")) == "x"
    assert detail_of(errors.LockTimeout("busy for 5 s")) == "busy for 5 s"
