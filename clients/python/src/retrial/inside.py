"""What a running trial can use: the files and directories that its environment names. No daemon is needed.

Outside of a trial everything gives nothing, and `report` and `params` say so once, so that a trainer runs unchanged by hand.
"""

from __future__ import annotations

import json
import math
import operator
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, SupportsFloat, Union

Values = Union[SupportsFloat, Mapping[str, SupportsFloat]]

_said = False


class TrialIds(NamedTuple):
    """Which trial this process is."""

    experiment: str
    """The experiment's id."""
    trial: int
    """Its number within the experiment, from 0."""
    attempt: int
    """The attempt, from 1; 2 is the first retry."""
    task: int
    """Which of the trial's tasks, from 0."""


def report(step: int, value: Optional[Values] = None, *, final: bool = False, **metrics: SupportsFloat) -> None:
    """Reports metrics of this trial at a step, a whole number from 0 that grows.

    `report(3, 0.91)` reports the one metric of the objective, `report(3, auc=0.9, loss=0.1)` several by name; names that are
    no Python names go into a mapping: `report(3, {"val.loss": 0.1})`. `final=True` marks the trial's result. Values are
    anything that `float` takes, such as tensors of one element; one that is not finite is reported as none.

    The line is appended in one write. Of several processes of one trial, let one report.

    Raises `ValueError` for a negative step or no value, `TypeError` for what is no number, `OSError` if the file cannot be written.
    """
    line = report_line(step, value, metrics, final)
    path = _variable("RETRIAL_REPORT")
    if path is None:
        _say_once()
        return
    _append(path, line)


def params() -> Dict[str, Any]:
    """The trial's parameters, nested ones as `{"net": {"_name": "deep", "layers": 3}}`; empty outside of a trial.

    Raises `OSError` or `ValueError` if their file cannot be read.
    """
    path = _variable("RETRIAL_PARAMS")
    if path is None:
        _say_once()
        return {}
    with open(path, encoding="utf-8") as file:
        found: Dict[str, Any] = json.load(file)
    return found


def checkpoint_dir() -> Optional[Path]:
    """The directory, which exists, in which this attempt may keep a checkpoint; none outside of a trial."""
    path = _directory("RETRIAL_CHECKPOINT_DIR")
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
    return path


def resume_from() -> Optional[Path]:
    """The directory in which an earlier attempt, or the trial that this one goes on from, has kept a checkpoint; none if
    there is nothing to go on from."""
    return _directory("RETRIAL_RESUME_FROM")


def trial() -> Optional[TrialIds]:
    """Which trial this process is; none outside of a trial."""
    experiment = _variable("RETRIAL_EXPERIMENT")
    if experiment is None:
        return None

    def number(name: str, default: int) -> int:
        return int(_variable(name) or default)

    return TrialIds(experiment, number("RETRIAL_TRIAL", 0), number("RETRIAL_ATTEMPT", 1), number("RETRIAL_TASK", 0))


def report_line(step: int, value: Optional[Values], metrics: Mapping[str, SupportsFloat], final: bool) -> bytes:
    """A report as a line of JSON."""
    body = {"step": checked_step(step), **values(value, metrics)}
    if final:
        body["final"] = True
    return json.dumps(body, allow_nan=False).encode() + b"\n"


def checked_step(step: int) -> int:
    """A step as an `int`."""
    step = operator.index(step)
    if step < 0:
        raise ValueError(f"a step is a whole number from 0, not {step}")
    return step


def values(value: Optional[Values], metrics: Mapping[str, SupportsFloat]) -> Dict[str, Any]:
    """`{"value"}`, `{"metrics"}` or both, of what a caller has given; none for a number that is not finite."""
    one = None
    if isinstance(value, Mapping):
        metrics = {**value, **metrics}
    else:
        one = value
    if one is None and not metrics:
        raise ValueError("give a value, or metrics by name")
    body: Dict[str, Any] = {}
    if one is not None:
        body["value"] = _number(one)
    if metrics:
        body["metrics"] = {name: _number(metric) for name, metric in metrics.items()}
    return body


def is_finite(said: Mapping[str, Any]) -> bool:
    """Whether every number of what `values` gave is finite."""
    return said.get("value", 0) is not None and None not in said.get("metrics", {}).values()


def _number(value: SupportsFloat) -> Optional[float]:
    number = float(value)
    return number if math.isfinite(number) else None


def _variable(name: str) -> Optional[str]:
    return os.environ.get(name) or None


def _directory(name: str) -> Optional[Path]:
    path = _variable(name)
    return None if path is None else Path(path)


def _append(path: str, line: bytes) -> None:
    stream = {"/dev/stdout": (sys.stdout, 1), "/dev/stderr": (sys.stderr, 2)}.get(path)
    if stream is not None:
        # Opening it anew fails in containers that do not run as root, and where it is a socket.
        text, descriptor = stream
        if text is not None:
            text.flush()
        _write(descriptor, line)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        _write(descriptor, line)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    # One write, which other threads and processes cannot divide, unless the device takes only a part of it.
    while data:
        data = data[os.write(descriptor, data) :]


def _say_once() -> None:
    global _said
    if not _said:
        _said = True
        warnings.warn(
            "this process is no trial of Retrial: nothing is reported, and there are no parameters", stacklevel=3
        )
