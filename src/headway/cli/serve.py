"""Show all boards in a browser, live, from their snapshot files. Read only.

Whoever looks needs the token that is made up and printed as part of a link. Without one (--no-token), whoever can reach
the address sees all boards; on 127.0.0.1 that is every user of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from pathlib import Path

from headway import errors
from headway.cli._links import Links, open_privately, outside_of
from headway.cli._output import add_json, complain, print_json, say

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
environment: HEADWAY_TOKEN the token; other users cannot see it there, as they could among the arguments of a command

examples:
  headway serve --open
  headway serve --host 0.0.0.0                              from other machines, too
  headway serve --token-file token                          a service: the same token whenever it starts
  headway serve --url https://progress.example.com/headway/ behind a proxy that passes the name on
  ssh -L 8765:localhost:8765 box                            the boards of another machine, with no port opened to others
"""
PORT = 8765
TOKEN_BYTES_MAX = 4096


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use 1 to 65535, or 0 for any free one")
    return int(text)


def _address(text: str) -> tuple[str, str]:
    try:
        return outside_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder of boards (default: that of this user)")
    parser.add_argument(
        "--analysis", type=Path, metavar="DIR", help="the folder of a file tracker, whose analyses are told as well"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen there (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=PORT, metavar="N", help=f"default: {PORT}; 0: any free one")
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--token-file", type=Path, metavar="FILE", help="a token that is kept in a file, which no other user may read"
    )
    who.add_argument(
        "--no-token", action="store_true", help="show the boards to whoever can reach the address, other users included"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name of this server; repeatable"
    )
    parser.add_argument(
        "--url", type=_address, metavar="URL", help="where a proxy has the page: its name is allowed, its link printed"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    add_json(parser, "print where it is as JSON")


def run(options: argparse.Namespace) -> int:
    from headway.dashboard import create_app, extra

    if options.dir is not None and not options.dir.is_dir():
        raise errors.HeadwayError(f"{options.dir} is not a folder: name the one that holds the boards with --dir")
    if options.analysis is not None and not options.analysis.is_dir():
        raise errors.HeadwayError(f"{options.analysis} is not a folder: give the tracker's base_dir with --analysis")
    outside, hosts = None, options.allow_host
    if options.url is not None:
        outside, name = options.url
        hosts = [*hosts, name]
    given, source = (None, "") if options.no_token else _given(options.token_file)
    token = None if options.no_token else given or secrets.token_urlsafe(32)
    try:
        app = create_app(options.dir, token=token, hosts=hosts, analysis=options.analysis)
    except ValueError as error:
        raise errors.HeadwayError(f"{source}: {error}") from None
    with extra():
        from headway.dashboard.server import listen, serve

    with contextlib.closing(listen(options.host, options.port)) as listening, contextlib.ExitStack() as opened:
        links = Links.of(options.host, listening, token, outside)

        def tell() -> None:
            # A token that was given is known where it came from, and does not belong into a log.
            shown = links if given is None else links.without_token()
            if options.json:
                made_up = token if given is None else None
                fields = {"url": links.urls[0], "links": shown.links, "token": made_up, "pid": os.getpid()}
                print_json(fields, indent=None)
            else:
                first, *others = shown.links
                asks = "" if given is None else f"; the page asks for the token of {source}"
                say(f"Headway shows its boards on {first} until Ctrl-C{asks}")
                for other in others:
                    say(f"or on {other}")
            if token is None:
                complain(f"no token is asked for: {_everybody(options.host)} can see all boards")
            sys.stdout.flush()
            if options.open:
                opened.enter_context(open_privately(links.local))

        serve(app, listening, tell, opened.close)
    return 0


def _everybody(host: str) -> str:
    return "every user of this machine" if Links.is_loopback(host) else "everybody who can reach this machine"


def _given(file: Path | None) -> tuple[str | None, str]:
    """The token that was given, and where. Raises HeadwayError if it cannot be used."""
    if file is None:
        return os.environ.get("HEADWAY_TOKEN") or None, "HEADWAY_TOKEN"
    try:
        with file.open(encoding="utf-8") as stream:
            others = os.fstat(stream.fileno()).st_mode & 0o007
            text = stream.read(TOKEN_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.HeadwayError(f"--token-file {file} cannot be read: {error}") from None
    if others:
        raise errors.HeadwayError(
            f"--token-file {file} is open to every user of this machine: make a new token and 'chmod 600' the file, or "
            "pass the token as HEADWAY_TOKEN"
        )
    if not text:
        raise errors.HeadwayError(f"--token-file {file} is empty: write a token into it")
    return text, f"--token-file {file}"
