"""A page that follows the analyses of other processes, live, from their files alone.

    python examples/web_dashboard/app.py --tracker shared

With `shared` it reads the snapshot files of the board, never its memory; with `file` the files of the file tracker.
With `memory` it stays empty: other processes cannot read that tracker.

It listens on 127.0.0.1 and asks nobody for a token: every user of this machine can read what it shows. Where that may
not be, use `headway serve`, which asks, or put a page like this one behind a server that does.
"""

import argparse
import logging
import math
import os
from typing import Any, Protocol

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter
from werkzeug.serving import make_server

import headway
from headway.analysis import AnalysisProgress, AnalysisSnapshots, FileBasedProgressTracker, tracker
from headway.errors import HeadwayError, UnknownBoard

TOTALS_SHOWN = 3
HOSTS = ["127.0.0.1", "localhost"]  # any other name belongs to a page elsewhere that points here
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Analyses(Protocol):
    """The methods that the page uses. Every tracker has them."""

    def get_progress(self, execution_id: str) -> AnalysisProgress | None: ...
    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]: ...


class AnyId(BaseConverter):
    """An execution id, as the rest of a path: slashes at its ends and several in a row are part of it."""

    regex = ".+"
    part_isolating = False


def create_app(analyses: Analyses) -> Flask:
    """The application for a source of analyses, such as a tracker. Read-only."""
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = HOSTS
    app.url_map.converters["id"] = AnyId

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("page.html")

    @app.get("/api/analysis/progress/<id:execution_id>")
    def progress(execution_id: str) -> tuple[dict[str, Any], int]:
        try:
            found = analyses.get_progress(execution_id)
        except ValueError as error:  # not a legal id, so there is no such analysis
            return {"error": str(error)}, 404
        if found is None:
            return {"error": f"there is no analysis {execution_id!r}"}, 404
        return found.to_dict(), 200

    @app.get("/api/analysis/recent")
    def recent() -> tuple[dict[str, Any], int]:
        asked = request.args.get("hours", "1")
        try:
            hours = float(asked)
        except ValueError:
            hours = math.nan
        if math.isnan(hours):
            return {"error": f"hours {asked!r} is not a number of hours"}, 400
        found = [each.to_dict() for each in analyses.get_all_recent(hours)]
        in_files = len(found) if isinstance(analyses, FileBasedProgressTracker) else 0
        counts = {"count": len(found), "memory_count": len(found) - in_files, "file_count": in_files}
        return {"analyses": found, **counts}, 200

    @app.get("/api/analysis/totals")
    def totals() -> dict[str, Any]:
        return {"totals": counted() if isinstance(analyses, AnalysisSnapshots) else []}

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"error": error.description}, error.code or 500

    @app.errorhandler(HeadwayError)
    @app.errorhandler(OSError)
    def unreadable(error: Exception) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 503

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def counted() -> list[dict[str, Any]]:
    """The totals that all workers of a program count on, the newest first."""
    try:
        view = headway.read("totals")
    except UnknownBoard:
        return []
    newest_first = sorted(view.tasks, key=lambda task: task.created or 0.0, reverse=True)
    return [
        {"id": task.id, "label": task.label, "state": task.state, "count": task.count, "total": task.total}
        for task in newest_first[:TOTALS_SHOWN]
        if task.total is not None
    ]


def analyses_of(kind: str, directory: str | None) -> Analyses:
    if directory is not None and kind == "file":
        return FileBasedProgressTracker(directory)
    if directory is not None:
        os.environ["HEADWAY_DIR"] = directory
    return AnalysisSnapshots() if kind == "shared" else tracker(kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--tracker", choices=["shared", "file", "memory"], default="shared", help="default: %(default)s"
    )
    parser.add_argument("--dir", metavar="DIR", help="where the tracker's files are (default: its usual place)")
    parser.add_argument("--port", type=int, default=5000, help="0: any that is free (default: %(default)s)")
    chosen = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # two requests a second are no news
    server = make_server("127.0.0.1", chosen.port, create_app(analyses_of(chosen.tracker, chosen.dir)), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
