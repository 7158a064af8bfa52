"""A worker is killed in the middle of its work: nothing hangs, no count is lost, and the board shows where it was."""

import multiprocessing
import os
import signal
import time

import headway


def work(name: str) -> None:
    with headway.open("example-crash").task(name, total=1000) as task:
        for number in task.track(range(1000)):
            task.message = f"on item {number}"
            time.sleep(0.001)


def main() -> None:
    board = headway.open("example-crash")
    workers = [multiprocessing.Process(target=work, args=(name,)) for name in ("first", "second")]
    for worker in workers:
        worker.start()
    while (victim := board.get("second")) is None or victim.count < 100:
        time.sleep(0.01)
    pid = workers[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # as the kernel does when memory runs out
    for worker in workers:
        worker.join()

    for task in sorted(board.tasks(), key=lambda task: task.id):
        print(f"{task.id}: {task.state} at {task.count} of {task.total}, {task.message!r}, pid {task.owner_pid}")
    path = board.write_snapshot()
    print(f"and from the file alone: {dict(headway.read(str(path)).counts)}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
