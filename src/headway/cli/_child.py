"""A command as a child of this process, as a shell would have it: its group, its signals, its exit status.

The command is in this process's group, so what the terminal sends reaches both: this process waits on. What another
process sends to this one alone, by `kill`, is passed on. Stopping (Ctrl-Z) and going on are left to the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import threading
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from headway.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CANNOT_RUN", "NOT_FOUND", "Child", "Ended", "Refused", "become", "die_by"]

CANNOT_RUN, NOT_FOUND = 126, 127  # the exit statuses of shells
BY_SIGNAL = 128  # and the number of the signal
# Python ignores these two from its start; the command shall not.
PYTHONS = tuple(number for number in (signal.SIGPIPE, signal.SIGXFSZ) if signal.getsignal(number) is signal.SIG_IGN)
# What stops and continues a group, mistakes of this process itself, and what ends nobody.
_LEFT_ALONE = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS,
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGURG,
}  # fmt: skip
_WATCHED = signal.valid_signals() - _LEFT_ALONE
# A process that one of these ended ends its wrapper the same way, so that a script that Ctrl-C was meant for ends, too.
_DIED_BY = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM}


class Refused(Exception):
    """The command cannot be run. status: what a shell would exit with."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Ended(NamedTuple):
    """How the command ended: with an exit status, or by a signal."""

    status: int
    signal: int | None = None

    @property
    def text(self) -> str:
        """In words: "exit code 3", "killed by SIGKILL"."""
        if self.signal is None:
            return f"exit code {self.status}"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class Child:
    """The running command. resized: called when the terminal has another size. Raises Refused.

    streams: by the descriptor that the command has, that of this process; all that this process was given itself, the
    command has, too, as a jobserver's.
    """

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        streams: Mapping[int, int],
        resized: Callable[[], object],
    ) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nobody learns how a child ended
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        """The signals that are blocked in it, as they were here."""
        self.ended: Ended | None = None
        self._resized = resized
        self.over, self._over = descriptors.pipe()
        """Readable once it has ended."""
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in streams.items()]

        def spawn(path: str, words: list[str]) -> int:
            return os.posix_spawnp(
                path, words, environment, file_actions=actions, setsigmask=self.mask, setsigdef=PYTHONS
            )

        self.pid = _tried(spawn, command)
        # Signals are blocked in all threads: they come here one at a time, each with who sent it.
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def wait(self) -> Ended:
        """Wait until it has ended, and return how."""
        self._watcher.join()
        assert self.ended is not None
        return self.ended

    def _watch(self) -> None:
        while True:
            sent = signal.sigwaitinfo(_WATCHED)
            if sent.si_signo == signal.SIGCHLD:
                found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG)
                if found is not None:
                    killed = found.si_code != os.CLD_EXITED
                    by = found.si_status if killed else None
                    self.ended = Ended(BY_SIGNAL + found.si_status if killed else found.si_status, by)
                    os.close(self._over)
                    return
            elif sent.si_signo == signal.SIGWINCH:
                self._resized()
            elif sent.si_code <= 0 and sent.si_pid != self.pid:  # sent by a process, and not to the whole terminal
                with contextlib.suppress(PermissionError):  # it is another user's by now, as sudo's
                    os.kill(self.pid, sent.si_signo)


def _tried(run: Callable[[str, list[str]], int], command: list[str]) -> int:
    """Run a command by this function; a script without a first line that says by what, by the shell. Raises Refused."""
    name = command[0]
    try:
        try:
            return run(name, command)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            script = shutil.which(name) or name
            return run("/bin/sh", ["/bin/sh", script, *command[1:]])
    except OSError as error:
        found = name if os.sep in name else shutil.which(name)
        if error.errno == errno.ENOENT and not (found and os.path.lexists(found)):
            where = "" if os.sep in name else " in PATH"
            raise Refused(NOT_FOUND, f"there is no command {name!r}{where}: check how it is spelled") from None
        if error.errno == errno.ENOENT:
            why = "the program that its first line names is missing"
        elif found and os.path.isdir(found):
            why = "it is a folder"
        elif error.errno == errno.EACCES:
            why = f"it is not executable: chmod +x {name}"
        else:
            why = error.strerror or str(error)
        raise Refused(CANNOT_RUN, f"{name!r} cannot be run: {why}") from None


def become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Run the command in the place of this process. Raises Refused."""
    for number in PYTHONS:
        signal.signal(number, signal.SIG_DFL)

    def replace(path: str, words: list[str]) -> int:
        os.execvpe(path, words, environment)

    _tried(replace, command)
    raise AssertionError("exec returned")


def die_by(number: int) -> None:
    """End this process by a signal, if that is what wrappers do; without a second core file."""
    if number not in _DIED_BY:
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
