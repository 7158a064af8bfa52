"""The errors: one family, caught by what they are, readable, and able to cross processes."""

from __future__ import annotations

import errno
import inspect
import pickle

import pytest

from headway import errors

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
