"""What runs at a fork, at the end of a process and at a signal: all of it is on one page, and the page is true."""

from __future__ import annotations

import re

from tests.rooms import PACKAGE, ROOT

# How a handler or a lock shows in a source. The name is the one that the page has.
MECHANISMS = {
    "register_at_fork": r"\bregister_at_fork\(",
    "pthread_atfork": r"\bpthread_atfork\(",
    "MADV_WIPEONFORK": r"\bmadvise\(.*MADV_WIPEONFORK",
    "atexit.register": r"\batexit\.register\(|\bfrom atexit import|\bthreading\._register_atexit\(",
    "at_exit": r"(?<!def )\bat_exit\(",
    "Finalize": r"\bFinalize\(|\bweakref\.finalize\(",
    "signal.signal": r"\bsignal\.signal\(|\badd_signal_handler\(|\bset_wakeup_fd\(",
    "sigaction": r"\bsigaction\(",
    "Lock": r"\bthreading\.(R?Lock|Condition|Semaphore)\(",
    "Event": r"\bthreading\.(Event|Barrier)\(",
    "Thread": r"\bthreading\.(Thread|Timer)\(|\bThreadPoolExecutor\(",
}
SUFFIXES = (".py", ".pyx", ".pxi", ".pxd", ".h")


def used_in(source: str) -> set[str]:
    return {name for name, pattern in MECHANISMS.items() if re.search(pattern, source)}


def sources() -> dict[str, str]:
    """Each source below the package, under its path without the suffix."""
    return {
        str(path.relative_to(PACKAGE).with_suffix("")): path.read_text()
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in SUFFIXES
    }


def listed() -> set[tuple[str, str]]:
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## What happens on fork\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([\w/]+)` \| `([\w.]+)` \|", section, re.MULTILINE))


def test_every_handler_and_lock_is_on_the_page_and_all_that_is_there_exists() -> None:
    used = {(module, name) for module, source in sources().items() for name in used_in(source)}
    assert used - listed() == set(), "add these to ARCHITECTURE.md, What happens on fork"
    assert listed() - used == set(), "these are not in the sources any more"


def test_the_mechanisms_that_are_looked_for_are_those_of_the_page() -> None:
    assert {name for _, name in listed()} == set(MECHANISMS)


def test_no_handler_is_overlooked() -> None:
    for source, name in (
        ("os.register_at_fork(after_in_child=f)", "register_at_fork"),
        ("if (pthread_atfork(NULL, NULL, child) != 0)", "pthread_atfork"),
        ("madvise(page, 4096, MADV_WIPEONFORK)", "MADV_WIPEONFORK"),
        ("atexit.register(f)", "atexit.register"),
        ("leaving.at_exit(f)", "at_exit"),
        ("Finalize(None, f)", "Finalize"),
        ("signal.signal(number, f)", "signal.signal"),
        ("loop.add_signal_handler(number, f)", "signal.signal"),
        ("sigaction(number, &action, NULL);", "sigaction"),
        ("_guard = threading.RLock()", "Lock"),
        ("self._closed = threading.Event()", "Event"),
        ("threading.Thread(target=f).start()", "Thread"),
    ):
        assert used_in(source) == {name}
    assert (
        used_in("def at_exit(callback): ...  # children of multiprocessing skip atexit (before Python 3.13)") == set()
    )


def test_a_lock_that_crosses_a_fork_is_renewed_in_the_child() -> None:
    """A module that holds a lock also has a handler for the child, where another thread of the parent may hold it."""
    page = listed()
    assert {module for module, name in page if name == "Lock"} <= {
        module for module, name in page if name == "register_at_fork"
    }
