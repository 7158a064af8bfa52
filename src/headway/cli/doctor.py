"""Look for what is wrong with the boards of this user and with the machine, or soon will be, each with its remedy.

Nothing is changed. The exit status is 1 if there is an error, 0 if there are warnings at most.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from headway.cli._output import add_json, print_json, say
from headway.views.words import plural

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
examples:
  headway doctor
  headway doctor --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from headway.upkeep.diagnosis import diagnose

    findings = diagnose()
    errors = sum(finding.level == "error" for finding in findings)
    if options.json:
        print_json([finding.to_dict() for finding in findings])
        return 1 if errors else 0
    for finding, following in zip_longest(findings, findings[1:]):
        say(f"{finding.level:8}{finding.about}: {finding.told}")
        if finding.remedy and (following is None or following.remedy != finding.remedy):  # once for all that it is for
            say(f"{'':8}  -> {finding.remedy}")
    warnings = sum(finding.level == "warning" for finding in findings)
    say(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}")
    return 1 if errors else 0
