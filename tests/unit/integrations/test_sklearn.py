"""`headway.integrations.sklearn`: what an estimator does in a fit is on the board, and what it learns is as before."""

from __future__ import annotations

import importlib
import pickle
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import AutoPropagatedCallback, FitCallback
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - has the next import be possible
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headway
from headway.integrations.sklearn import HeadwayCallback
from tests.looks import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.engine.board import Board

X = np.random.default_rng(0).normal(size=(60, 5))
y = (X[:, 0] + X[:, 1] / 2 > 0).astype(int)


@pytest.fixture(autouse=True)
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn looks whether it is loaded, and does not expect that somebody has forbidden it."""
    monkeypatch.delitem(sys.modules, "pyarrow")


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with headway.open(board_name) as board:
        before = headway.current()
        yield board
        assert headway.current() is before
        if not board._segment.retired:
            assert not board.tasks("running")
            board.remove()


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # its library has no types
    """An estimator without callbacks, which does in its fit what it is told."""

    def __init__(self, does: Callable[[], object] | None = None, number: int = 0) -> None:
        self.does = does
        self.number = number

    def fit(self, X: Any, y: Any) -> Odd:
        self.classes_ = [0, 1]
        if self.number == 2:
            raise ValueError("two is odd")
        if self.does is not None:
            self.does()
        return self

    def predict(self, X: Any) -> Any:
        return [0] * len(X)


def test_it_is_what_scikit_learn_takes_for_a_callback_that_goes_on_to_estimators_inside() -> None:
    callback = HeadwayCallback(max_propagation_depth=None)
    assert isinstance(callback, FitCallback)
    assert isinstance(callback, AutoPropagatedCallback)
    for depth in (-1, "all", 0.5):
        with pytest.raises(ValueError, match=f"from 0 on, or None for all, not {depth!r}"):
            HeadwayCallback(max_propagation_depth=depth)  # type: ignore[arg-type] # what is refused


def test_iterations_are_counts_and_what_is_learned_is_the_same(board: Board) -> None:
    alone = LogisticRegression().fit(X, y)
    seen = LogisticRegression().set_callbacks(HeadwayCallback(board=board)).fit(X, y)
    assert (seen.coef_ == alone.coef_).all()
    iterations = int(seen.n_iter_[0]) + 1  # scikit-learn tells of one more, which is empty
    assert told(board) == {"LogisticRegression": ("success", iterations, iterations)}


def test_a_pipeline_counts_its_steps_and_one_that_has_parts_is_a_task(board: Board) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).set_callbacks(HeadwayCallback(board=board))
    pipeline.fit(X, y)
    tasks = told(board)
    assert tasks.pop("Pipeline") == ("success", 2, 2)
    ((id, (state, count, total)),) = tasks.items()
    assert id == "Pipeline/fit-final-estimator (LogisticRegression)"
    assert (state, count) == ("success", total)
    assert {task.parent for task in board} == {None, "Pipeline"}


def test_tasks_are_made_for_as_many_levels_as_was_said(board: Board) -> None:
    def ids(depth: int | None) -> set[str]:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression())
        search = GridSearchCV(pipeline, {"logisticregression__C": [0.1]}, cv=2, refit=False)
        callback = HeadwayCallback(label=f"depth {depth}", board=board, max_propagation_depth=depth)
        search.set_callbacks(callback).fit(X, y)
        return {id.split("/", 1)[1] for id in told(board) if id.startswith(f"depth {depth}/")}

    assert ids(0) == {"search"}
    candidates = {f"search/candidate-split-evaluation {number} (Pipeline)" for number in range(2)}
    assert ids(1) == {"search", *candidates}
    assert {id.count("/") for id in ids(None)} == {0, 1, 2}


@pytest.mark.filterwarnings(r"ignore:\s*\d+ fits failed", "ignore:.*callbacks")
@pytest.mark.parametrize("depth", [0, 1])
def test_a_search_counts_all_candidates_also_those_whose_fit_has_failed(board: Board, depth: int) -> None:
    callback = HeadwayCallback(label="search", board=board, max_propagation_depth=depth)
    pipeline = make_pipeline(StandardScaler(), Odd())
    search = GridSearchCV(pipeline, {"odd__number": [1, 2, 3, 2]}, cv=2, error_score=0.0, refit=False)
    search.set_callbacks(callback).fit(X, y)
    tasks = told(board)
    assert tasks.pop("search") == ("success", 1, 1)
    assert tasks.pop("search/search") == ("success", 8, 8)
    assert len(tasks) == 8 * depth
    states = [tasks[id] for id in sorted(tasks)]
    assert states == [("success", 2, 2) if number % 4 < 2 else ("failed", 1, 2) for number in range(8 * depth)]


@pytest.mark.filterwarnings(r"ignore:\s*\d+ fits failed", "ignore:.*callbacks")
def test_a_candidate_that_failed_is_told_when_the_next_one_begins(board: Board) -> None:
    looks = []

    def look() -> None:
        candidates = sorted(id for id in told(board) if "evaluation" in id)
        looks.append((told(board)["search/search"][1], [told(board)[id][0] for id in candidates]))

    pipeline = make_pipeline(StandardScaler(), Odd(look))
    search = GridSearchCV(pipeline, {"odd__number": [2, 1]}, cv=2, error_score=0.0, refit=False)
    search.set_callbacks(HeadwayCallback(label="search", board=board)).fit(X, y)
    assert looks == [(2, ["failed", "failed", "running"]), (3, ["failed", "failed", "success", "running"])]


def test_what_goes_on_is_in_hand_and_the_current_task(board: Board) -> None:
    looks = []

    def look() -> None:
        (share,) = [share for task in board for share in task.workers if share.item.startswith("cand")]
        looks.append((headway.current().id, share.item))

    search = GridSearchCV(Odd(look), {"number": [0, 1]}, cv=2, refit=False)
    with pytest.warns(UserWarning, match="does not support callbacks"):
        search.set_callbacks(HeadwayCallback(board=board)).fit(X, y)
    assert looks == [("GridSearchCV/search", f"candidate-split-evaluation {number}") for number in range(4)]


@pytest.mark.filterwarnings("ignore:.*callbacks")
def test_an_exception_out_of_a_fit_fails_its_task_and_leaves_nothing_open(board: Board) -> None:
    pipeline = make_pipeline(StandardScaler(), Odd(number=2)).set_callbacks(HeadwayCallback(board=board))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Odd()), {"odd__number": [1, 2]}, cv=2, error_score="raise"
    ).set_callbacks(HeadwayCallback(board=board))
    for estimator in (pipeline, search):
        with pytest.raises(ValueError, match="two is odd"):
            estimator.fit(X, y)
    views = {task.id: task for task in board}
    assert (views["Pipeline"].state, views["Pipeline"].error) == ("failed", "ValueError: two is odd")
    assert (views["GridSearchCV"].state, views["GridSearchCV"].error) == ("failed", "ValueError: two is odd")
    assert {view.state for id, view in views.items() if "evaluation 2" in id} == {"failed"}


def test_a_fit_in_the_handler_of_another_exception_succeeds(board: Board) -> None:
    try:
        raise KeyError("of before")
    except KeyError:
        LogisticRegression().set_callbacks(HeadwayCallback(board=board)).fit(X, y)
    assert [task.state for task in board] == ["success"]


def test_one_callback_serves_fits_one_after_the_other_and_in_a_loop(board: Board) -> None:
    model = LogisticRegression().set_callbacks(HeadwayCallback(label="fits"))
    with board.task("rounds") as rounds:
        for _ in rounds.track(range(3)):
            model.fit(X, y)
    assert set(told(board)) == {"rounds", "rounds/fits"}
    assert told(board)["rounds/fits"][0] == "success"


def test_a_halving_search_has_its_iterations_as_tasks(board: Board) -> None:
    search = HalvingGridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=2, random_state=0)
    search.set_callbacks(HeadwayCallback(board=board, max_propagation_depth=0)).fit(X, y)
    tasks = told(board)
    assert tasks["HalvingGridSearchCV/search"][0] == "success"
    rounds = [task for id, task in tasks.items() if "halving-iteration" in id]
    assert [count for _, count, _ in rounds] == [6, 2]


def test_a_pickled_estimator_holds_nothing_open(board: Board) -> None:
    sizes = []

    def dump() -> None:
        sizes.append((len(pickle.dumps(callback)), len(callback.__getstate__()["tasks"])))

    callback = HeadwayCallback(label="search", board=board)
    search = GridSearchCV(Odd(dump), {"number": [0]}, cv=2, refit=False).set_callbacks(callback)
    with pytest.warns(UserWarning, match="does not support callbacks"):
        search.fit(X, y)
    assert [tasks for _, tasks in sizes] == [2, 2], "of the fit and of the search"
    assert all(size < 700 for size, _ in sizes)
    assert callback.__getstate__()["tasks"] == {}
    again = pickle.loads(pickle.dumps(LogisticRegression().set_callbacks(callback))).fit(X, y)
    assert again.coef_.shape == (1, 5)
    assert told(board)["search"][0] == "success"


def test_a_board_that_is_removed_meanwhile_stops_no_fit(board: Board, recwarn: pytest.WarningsRecorder) -> None:
    pipeline = make_pipeline(Odd(board.remove), LogisticRegression())
    pipeline.steps[0] = ("scale", Scaler(board.remove))
    assert pipeline.set_callbacks(HeadwayCallback(board=board, max_propagation_depth=None)).fit(X, y).score(X, y) > 0.5


class Scaler(StandardScaler):  # type: ignore[misc] # its library has no types
    def __init__(self, does: Callable[[], object]) -> None:
        super().__init__()
        self.does = does

    def fit(self, X: Any, y: Any = None) -> Scaler:
        self.does()
        found: Scaler = super().fit(X, y)
        return found


def test_switched_off_it_learns_the_same_and_makes_nothing(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", "1")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).set_callbacks(HeadwayCallback(board=board.name))
    assert pipeline.fit(X, y).score(X, y) > 0.5
    monkeypatch.delenv("HEADWAY_DISABLE")
    assert not board.tasks()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("sklearn", r"needs the package sklearn: install it with pip install 'headway\[sklearn\]'"),
        ("sklearn.callback", r"scikit-learn \d+\.\d+\.\d+ has no callbacks: install 1\.9 or newer"),
    ],
)
def test_without_scikit_learn_or_with_an_older_one_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    monkeypatch.delitem(sys.modules, "headway.integrations.sklearn")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(headway.errors.MissingExtra, match=words):
        importlib.import_module("headway.integrations.sklearn")
