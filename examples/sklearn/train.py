"""Trains a linear classifier on scikit-learn's breast cancer data, epoch by epoch, judged by cross-validation.

All that ties it to Retrial is two files named by environment variables:
  RETRIAL_PARAMS   JSON with this trial's hyperparameters, to be read
  RETRIAL_REPORT   one JSON line per epoch, to be appended
It also writes metrics.json, with the last value, into the working directory. Without the variables it
runs with its defaults and reports to standard output alone.
"""

import json
import os
import sys

# Two trials run side by side: one thread each, or they are in each other's way. Must be set before numpy is loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

try:
    import numpy as np
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import SGDClassifier
    from sklearn.metrics import accuracy_score, log_loss
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    sys.exit(f"train.py: {error}. To install what it needs: pip install -r {os.path.dirname(__file__)}/requirements.txt")

EPOCHS = 30
FOLDS = 5
DEFAULTS = {"alpha": 1e-4, "l1_ratio": 0.15, "schedule": "optimal", "eta0": 0.01, "average": "plain"}


def read_parameters():
    """The defaults, overlaid with this trial's hyperparameters."""
    path = os.environ.get("RETRIAL_PARAMS")
    if not path:
        return dict(DEFAULTS)
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        sys.exit(f"train.py: {path} has unknown hyperparameters: {', '.join(unknown)}")
    return {**DEFAULTS, **given}


def report(step, value):
    """Tells the engine a value while training goes on."""
    path = os.environ.get("RETRIAL_REPORT")
    if path:
        # One write of a whole line: a reader never sees half of it.
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "value": value}) + "\n")


def write_metrics(metrics):
    """Writes under another name first, so that nobody reads half a file."""
    with open("metrics.json.tmp", "w", encoding="utf-8") as file:
        json.dump(metrics, file)
    os.replace("metrics.json.tmp", "metrics.json")


def new_classifier(parameters, fold):
    return SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        alpha=parameters["alpha"],
        l1_ratio=parameters["l1_ratio"],
        learning_rate=parameters["schedule"],
        eta0=parameters["eta0"],
        average=parameters["average"] == "averaged",
        random_state=fold,
    )


class Fold:
    """One classifier, the examples it learns from and those it is judged by."""

    def __init__(self, features, labels, training, held_out, parameters, number):
        scaler = StandardScaler().fit(features[training])
        self.features, self.labels = scaler.transform(features[training]), labels[training]
        self.held_out, self.expected = scaler.transform(features[held_out]), labels[held_out]
        self.classifier = new_classifier(parameters, number)
        self.order = np.random.default_rng(number)

    def train_epoch(self):
        """One pass over the examples in a new order, then the log loss and accuracy on the others."""
        order = self.order.permutation(len(self.labels))
        self.classifier.partial_fit(self.features[order], self.labels[order], classes=[0, 1])
        likelihood = self.classifier.predict_proba(self.held_out)
        return log_loss(self.expected, likelihood), accuracy_score(self.expected, likelihood.argmax(axis=1))


def main():
    parameters = read_parameters()
    features, labels = load_breast_cancer(return_X_y=True)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, labels)
    folds = [Fold(features, labels, *split, parameters, number) for number, split in enumerate(splits)]
    for epoch in range(1, EPOCHS + 1):
        loss, accuracy = np.mean([fold.train_epoch() for fold in folds], axis=0).tolist()
        report(epoch, loss)
        print(f"epoch {epoch}: log_loss={loss:.4f} accuracy={accuracy:.4f}", flush=True)
    write_metrics({"log_loss": loss, "accuracy": accuracy})


if __name__ == "__main__":
    main()
