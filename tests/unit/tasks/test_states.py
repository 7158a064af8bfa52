"""The states of a task and the groups of them fit together. The native numbers: tests/unit/native/test_states.py."""

from __future__ import annotations

from headway.tasks import states


def test_groups_are_made_of_states_and_every_state_has_an_urgency() -> None:
    assert set(states.LIVE_STATES) | set(states.FINAL_STATES) == set(states.STATES)
    assert not set(states.LIVE_STATES) & set(states.FINAL_STATES)
    assert set(states.FINAL_STATES) - set(states.ENDED_STATES) == {"lost"}
    assert set(states.OPEN_STATES) == {*states.LIVE_STATES, "lost"}
    assert set(states.RESUMABLE_STATES) | set(states.WRONG_STATES) < set(states.FINAL_STATES)
    assert sorted(states.URGENCY) == sorted(states.STATES)


def test_what_runs_is_the_most_urgent_then_what_went_wrong_and_what_went_well_is_the_least() -> None:
    first, *others = states.URGENCY
    assert first == "running"
    assert others[: len(states.WRONG_STATES)] == list(states.WRONG_STATES)
    assert others[-1] == "success"
