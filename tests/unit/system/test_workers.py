"""Which library started this process as a worker, and what it is called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from headway.system import workers

if TYPE_CHECKING:
    import pytest

    from tests.conftest import RunPython


def test_a_program_is_no_worker_whatever_it_imported() -> None:
    import billiard
    import multiprocess

    assert [module.__name__ for module in workers.loaded()] == [f"{name}.process" for name in workers.LIBRARIES]
    assert workers.library() is None
    assert multiprocess.current_process().name == billiard.current_process().name == "MainProcess"


def test_a_worker_has_its_own_name_and_a_program_that_of_its_script(
    monkeypatch: pytest.MonkeyPatch, run_python: RunPython
) -> None:
    for argv, name in ((["/a/b.py"], "b.py"), ([""], "python"), ([], "python"), ([7], "python")):
        monkeypatch.setattr(sys, "argv", argv)
        assert workers.process_name() == name
    script = """
import multiprocessing
from headway.system.workers import process_name
process = multiprocessing.get_context("fork").Process(target=lambda: print(process_name(), flush=True), name="seventh")
process.start()
process.join()
"""
    assert run_python(script).stdout.split() == ["seventh"]
