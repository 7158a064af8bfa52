"""A search of scikit-learn, counted by its workers: by a callback, and what has none by its calls of joblib."""

from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import headway
from headway.integrations import joblib
from headway.integrations.sklearn import HeadwayCallback


def main() -> None:
    board = headway.open("example-search")
    features, classes = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=3, n_jobs=2)
    search.set_callbacks(HeadwayCallback(label="regularization", board=board, max_propagation_depth=0))
    print(f"the best: {search.fit(features, classes).best_params_}")

    forest = RandomForestClassifier(20, n_jobs=2, random_state=0)
    with joblib.tracked(label="trees", board=board):
        forest.fit(features, classes)

    for task in board.snapshot().tasks:
        print(f"{task.id:22} {task.count:3} of {task.total}, {task.state}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
