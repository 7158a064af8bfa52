"""Whether there can be boards here, and the one warning where there cannot."""

from __future__ import annotations

import sys
import warnings

import pytest

from headway.system import support


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_the_off_switch_is_any_value_but_0(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", value)
    assert support.disabled() is expected


def test_here_boards_can_be() -> None:
    assert support.unusable() is None


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("SHM", "/nowhere/shm", "there is no /nowhere/shm: mount a tmpfs there"),
        ("SHM", "/proc/self", "/proc/self cannot be written"),
        ("DESCRIPTORS", "/nowhere/fd", "there is no /nowhere/fd: mount /proc"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    attribute: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, attribute, value)
    if reason.endswith("written"):
        monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    assert (support.unusable() or "").startswith(reason)


def test_another_platform_and_a_missing_module_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert "this is darwin" in (support.unusable() or "")
    monkeypatch.setitem(sys.modules, "posix_ipc", None)
    assert "a native module is missing" in (support.unusable() or "")


def test_a_process_is_warned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "_warned", False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            support.warn_once("no room")
    assert [str(one.message) for one in seen] == ["Headway counts in this process only, nobody else sees it: no room"]
