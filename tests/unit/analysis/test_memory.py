"""The tracker within one process: one instance, and places with analyses of their own."""

from __future__ import annotations

import os
import uuid

from headway.analysis import AnalysisProgressTracker, memory


def test_there_is_one_instance_and_strictness_is_its_own() -> None:
    one = AnalysisProgressTracker()
    try:
        assert AnalysisProgressTracker(strict=True) is one is memory.progress_tracker
        assert one.strict is True
        assert AnalysisProgressTracker().strict is True, "a call without the argument changes nothing"
    finally:
        AnalysisProgressTracker(strict=False)


def test_places_have_analyses_of_their_own() -> None:
    here, there = f"/{uuid.uuid4()}", f"/{uuid.uuid4()}"
    assert memory.entries_of(here) is memory.entries_of(here)
    assert memory.entries_of(here) is not memory.entries_of(there)


def test_a_child_that_was_forked_while_a_lock_was_held_can_change_an_analysis() -> None:
    tracker, id = AnalysisProgressTracker(), str(uuid.uuid4())
    tracker.start_analysis("BTC", id)
    held = memory._lock
    with held:
        child = os.fork()
        if child == 0:
            free = memory._lock is not held and tracker.update_stage(id, "data_fetch")
            os._exit(0 if free else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tracker.start_analysis("BTC", id)
    tracker.complete_analysis(id, "no_signal")
