"""Run a command of any kind, unchanged, as a task. Its exit status ends the task, and is that of headway exec.

The command may tell how far it is, a line at a time, on the descriptor whose number is in HEADWAY_FD: 12/500, 12, +1,
45%, each with a message after it, or: total 500, stage fit, message text. Whatever else a line says is ignored.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from headway import errors
from headway.cli import _child
from headway.cli._output import complain
from headway.cli._source import board_name
from headway.integrations import recognisers
from headway.system import descriptors, support
from headway.tasks import checks
from headway.tasks import current as context

if TYPE_CHECKING:
    from headway.cli._child import Ended
    from headway.cli._task import CommandTask
    from headway.integrations.told import Told

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
The command keeps its streams, its terminal, its signals and what it inherits, as a jobserver of make. Within it,
'headway exec' and Headway in Python make parts of its task. --parse reads along what a tool prints, which goes its way
unchanged. On a terminal a bar stands below all that is printed, once something was told on HEADWAY_FD; with --parse
there is none, as the tool has its own. Where no board can be had, and with HEADWAY_DISABLE=1, it runs all the same.

examples:
  headway exec -- ./backup.sh /home                      with 'echo 12/500 >&$HEADWAY_FD' in it
  headway exec --board nightly --label build -- make -j8
  headway exec --parse rsync -- rsync -a --info=progress2 src/ dst/
  headway exec --parse auto -- curl -O https://example.org/file
  headway exec --parse pv -- sh -c 'pv -n image 2>&$HEADWAY_FD | gzip > image.gz'
"""
VARIABLE = "HEADWAY_FD"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [option ...] [--] COMMAND [ARGUMENT ...]"
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--board",
        type=board_name,
        metavar="BOARD",
        help="a board's name; default: that of the task it is a part of, else HEADWAY_BOARD, else the command's name",
    )
    parser.add_argument("--label", metavar="TEXT", help="what people see; default: the id")
    parser.add_argument(
        "--id", type=_id, metavar="ID", help="the task's id; default: the label, else the command's name"
    )
    parser.add_argument("--total", type=_total, metavar="N", help="how many items there are, if that is known before")
    parser.add_argument("--unit", metavar="UNIT", help="the name of an item; default: it, or as --parse has it")
    parser.add_argument(
        "--parse",
        type=_kind,
        choices=["auto", *recognisers.KINDS],
        default="none",
        metavar="KIND",
        help=f"read along what it prints: auto (by the command's name), {', '.join(recognisers.KINDS)}; default: none",
    )
    parser.add_argument("--no-parse", dest="parse", action="store_const", const="none", help="the same as --parse none")
    parser.add_argument("command", metavar="COMMAND", nargs="...", help="the command, with its arguments")


def _id(text: str) -> str:
    try:
        return checks.check_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _total(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= checks.TOTAL_MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {checks.TOTAL_MOST}")
    return int(text)


def _kind(text: str) -> str:
    if text in ("auto", *recognisers.KINDS):
        return text
    import difflib

    close = difflib.get_close_matches(text, ("auto", *recognisers.KINDS), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"use one of auto, {', '.join(recognisers.KINDS)}"
    raise argparse.ArgumentTypeError(f"nothing is known of {text!r}: {hint}")


def run(options: argparse.Namespace) -> int:
    command = options.command[options.command[:1] == ["--"] :]
    if not command:
        options.refuse("which command? name one: headway exec -- make -j8")
    try:
        return _seen(options, command)
    except _child.Refused as refused:
        complain(str(refused))
        return refused.status


def _unseen(command: list[str], reason: str | None = None) -> int:
    """Run the command in the place of this process: there is no board."""
    if reason is not None:
        complain(f"{command[0]} runs, and nobody sees its progress: {reason}")
    nowhere = descriptors.open_file(os.devnull, os.O_WRONLY)
    os.set_inheritable(nowhere, True)  # where the command tells its progress all the same
    _child.become(command, {**_environment(), VARIABLE: str(nowhere)})


def _environment() -> dict[str, str]:
    """The variables that this process was started with: in the C locale Python sets one more, for its children, too."""
    found = dict(os.environ)
    with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
        if not any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0")):
            found.pop("LC_CTYPE", None)
    return found


def _seen(options: argparse.Namespace, command: list[str]) -> int:
    if support.disabled():
        return _unseen(command)
    reason = support.unusable()
    if reason is not None:
        return _unseen(command, reason)
    told, telling = descriptors.pipe()  # first: some shells know no descriptor above 9
    kind = recognisers.chosen(options.parse, command[0])
    try:
        task = _begun(options, command, kind.unit)
    except (errors.HeadwayError, OSError, ImportError, ValueError) as error:
        os.close(told)
        os.close(telling)
        return _unseen(command, str(error))
    ended = _run(command, kind, task, told, telling)
    if ended.signal is not None:
        from headway.process.leaving import leave_at_once

        leave_at_once()
        _child.die_by(ended.signal)
    return ended.status


def _begun(options: argparse.Namespace, command: list[str], unit: str) -> CommandTask:
    from headway.cli._task import begun

    sys.argv[:] = command  # which names the board, and this process on it
    id = options.id or options.label or os.path.basename(command[0]) or command[0]
    return begun(id, options.label, options.unit or unit, options.board, options.total)


def _run(command: list[str], kind: recognisers.Kind, task: CommandTask, told: int, telling: int) -> Ended:
    """Run the command to its end, and end its task."""
    from headway.cli._relay import Channel, leave_rest, relay, tees_of
    from headway.integrations.told import of_line

    def says(line: bytes) -> Told | None:
        said = kind.of_line(line)
        return of_line(line) if said is None else said

    tees, streams, resized = tees_of(kind)
    task.has_bar = not tees
    environment = {
        **_environment(),
        VARIABLE: str(telling),
        context.VARIABLE: context.to_environment(task.handle),
    }
    os.set_inheritable(telling, True)
    try:
        child = _child.Child(command, environment, streams, resized)
    except _child.Refused as refused:
        task.finish("failed", str(refused))
        raise
    finally:
        for descriptor in {telling, *streams.values()}:
            os.close(descriptor)
    channels: list[Channel] = [Channel(told, says), *tees]
    relay(channels, child.over, task.tell)
    ended = child.wait()
    if ended.status == 0:
        task.finish("success", None)
    else:
        task.finish("cancelled" if ended.signal == signal.SIGINT else "failed", ended.text)
    leave_rest(channels, child.mask)
    return ended
