"""A task with a timeline of stages, named metrics, a result, and a child for each fold."""

import random
import time

import headway


def main() -> None:
    board = headway.open("example-stages")
    with board.task("model/BTC-1h", total=3, unit="fold", label="BTC, hourly") as task:
        task.stage = "load"
        time.sleep(0.05)
        for fold in range(3):
            task.set(stage="fit", message=f"fold {fold + 1} of 3")
            with task.task(f"fold-{fold + 1}", total=50, unit="step") as child:
                for step in child.track(range(50)):
                    child.set(metrics={"loss": 1 / (step + 1) + random.random() / 100})
                    time.sleep(0.001)
            task.update()
        task.stage = "evaluate"
        task.result = {"auc": 0.91, "folds": 3}

    view = board.get("model/BTC-1h")
    assert view is not None
    print(f"{view.label}: {view.state}, {view.count} of {view.total} folds, result {view.result}")
    for stage in view.stages:
        if stage.entered is not None:
            spent = (stage.left or view.ended or view.taken_at) - stage.entered
            print(f"  {stage.name:10} {spent * 1000:6.1f} ms")
    for part in board.tasks():
        if part.parent == view.id:
            print(f"  {part.id}: {part.count} steps, loss {part.metrics['loss']:.3f}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
