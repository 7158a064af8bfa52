"""The errors: one family, caught by what they are, readable, and able to cross processes."""

from __future__ import annotations

import errno
import inspect
import pickle
import warnings
from typing import TYPE_CHECKING

import pytest

from headway import errors

if TYPE_CHECKING:
    from tests.conftest import RunPython

NAMES = [name for name in errors.__all__ if name != "StaleTaskWarning"]


def test_all_names_every_error_of_the_module() -> None:
    defined = {name for name, _ in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_a_headway_error_and_says_its_message(name: str) -> None:
    error = getattr(errors, name)("board 'x' is wrong: do this")
    assert isinstance(error, errors.HeadwayError)
    assert str(error) == "board 'x' is wrong: do this"


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_crosses_a_process_border_whole(name: str) -> None:
    error = getattr(errors, name)("board 'x' is wrong: do this")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("UnknownTask", KeyError),
        ("UnknownBoard", KeyError),
        ("LockTimeout", TimeoutError),
        ("ResultTooLarge", ValueError),
        ("NoSpace", OSError),
        ("Unsupported", OSError),
        ("UnusableDirectory", OSError),
        ("InvalidVariable", ValueError),
    ],
)
def test_an_error_is_caught_by_the_builtin_that_it_is(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_no_space_keeps_number_and_file_across_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(errors.NoSpace(errno.ENOSPC, "no room: free some", "/x/snapshot.npz")))
    assert (error.errno, error.strerror, error.filename) == (errno.ENOSPC, "no room: free some", "/x/snapshot.npz")


def test_a_stale_update_is_a_warning_and_no_error() -> None:
    assert issubclass(errors.StaleTaskWarning, UserWarning)
    assert not issubclass(errors.StaleTaskWarning, errors.HeadwayError)


# ----------------------------------------------------------------------------------------------------------- warnings


def test_a_warning_points_at_the_code_outside_the_package() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        errors.tell("careful", errors.StaleTaskWarning)
    assert [(str(one.message), one.category, one.filename) for one in seen] == [
        ("careful", errors.StaleTaskWarning, __file__)
    ]


def test_where_warnings_are_errors_one_is_shown_once_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_told", set())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        for _ in range(3):
            errors.tell("careful")
            errors.tell("careful", errors.StaleTaskWarning)
    assert [(str(one.message), one.category, one.filename) for one in seen] == [
        ("careful", RuntimeWarning, __file__),
        ("careful", errors.StaleTaskWarning, __file__),
    ]


@pytest.mark.parametrize("action", ["error", "always"])
@pytest.mark.parametrize("broken", ["sys.stderr.close()", "sys.stderr = None", "warnings.showwarning = None"])
def test_a_warning_that_cannot_be_shown_does_not_raise(action: str, broken: str, run_python: RunPython) -> None:
    script = f"import sys, warnings\nfrom headway import errors\n{broken}\nerrors.tell('careful')\nprint('went on')"
    assert run_python(script, options=("-W", action), env={"PYTHONWARNINGS": None}).stdout == "went on\n"


def test_what_is_told_in_the_middle_of_a_programs_work_never_raises_whatever_its_code_calls_itself() -> None:
    class Unnamed:
        def __str__(self) -> str:
            raise KeyError("no name")

    exec("errors.tell('anything')", {"errors": errors, "__name__": Unnamed()})
