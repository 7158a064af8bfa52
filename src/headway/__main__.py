"""The command `headway`, also as `python -m headway`. It imports what the command needs: for `run` next to nothing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line. Returns the exit status."""
    if sys.argv[1:2] == ["run"]:
        from headway.cli.run import run_at_once

        run_at_once(sys.argv[2:])
    from headway.cli.main import main as run_command

    return run_command()


if __name__ == "__main__":
    raise SystemExit(main())
