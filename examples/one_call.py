"""A function over items in a pool, with its progress, in one call. One item kills its worker: others do not notice."""

import os
import signal

import headway


def square(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out
    return number * number


def main() -> None:
    board = headway.open("example-one-call")
    found = headway.process_map(square, range(20), max_workers=2, on_error="return", board=board)
    for number, result in enumerate(found):
        if isinstance(result, headway.errors.WorkerDied):
            print(f"{number} is missing: exit code {result.exitcode}")
    squares = [result for result in found if isinstance(result, int)]
    print(f"{len(squares)} of {len(found)} squares, {sum(squares)} in all")
    board.remove(files=True)


if __name__ == "__main__":
    main()
