"""A job that was interrupted continues at its last count; rate and time left are those of the second run alone."""

import headway


def run(board: headway.Board, stop_at: int | None) -> None:
    with board.task("import", total=1000, unit="row", resume=True) as task:
        done = task.resumed_from or 0
        for row in task.track(range(done, 1000), total=1000):
            if row == stop_at:
                raise ConnectionError("the database went away")


def main() -> None:
    board = headway.open("example-resume")
    try:
        run(board, stop_at=400)
    except ConnectionError:
        view = board.get("import")
        assert view is not None
        print(f"first run: {view.state} at {view.count} of {view.total} ({view.error})")
    run(board, stop_at=None)
    view = board.get("import")
    assert view is not None
    print(f"second run: {view.state} at {view.count} of {view.total}, resumed from {view.resumed_from}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
