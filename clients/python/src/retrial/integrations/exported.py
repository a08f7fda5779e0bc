"""An experiment that is to be exported, whatever form it is given in."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Protocol, Tuple, Union


class HasTrials(Protocol):
    """A `retrial.Experiment`."""

    def show(self) -> Dict[str, Any]: ...

    def trials(self) -> List[Dict[str, Any]]: ...


Source = Union[str, "os.PathLike[str]", Mapping[str, Any], HasTrials]


class Exported(NamedTuple):
    """An experiment with its trials."""

    about: Mapping[str, Any]
    """What `retrial show --json` prints."""
    trials: List[Dict[str, Any]]
    """What `retrial trials --json` prints."""

    def goals(self) -> Dict[str, str]:
        """`minimize` or `maximize` by objective: of several in their order; of one by its metric's name, or `value` for a
        weighted sum."""
        goal = self.about["goal"]
        if isinstance(goal, Mapping):
            return dict(goal)
        metrics = list(self.about["spec"]["objective"].get("metrics") or {})
        return {metrics[0] if len(metrics) == 1 else "value": goal}

    def results(self, told: Mapping[str, Any]) -> Dict[str, float]:
        """The values by name of a trial, or of one of its reports: every objective and every other metric that it has."""
        found = dict(told.get("metrics") or {})
        if told.get("value") is not None:
            found.setdefault(next(iter(self.goals())), told["value"])
        return {name: value for name, value in found.items() if value is not None}


def read(source: Source) -> Exported:
    """Reads it. Raises `OSError` or `ValueError` for a file that is no export."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, encoding="utf-8") as file:
            content = json.load(file)
    elif isinstance(source, Mapping):
        content = source
    else:
        return Exported(source.show(), source.trials())
    if not isinstance(content, Mapping) or "trials" not in content or "spec" not in content:
        raise ValueError("this is no experiment: write one with `retrial export EXP -o FILE.json`")
    return Exported(content, list(content["trials"]))


def curve(trial: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The reports of a trial in the order of their steps. A later attempt replaces what earlier ones reported from the step
    on at which it began."""
    by_step: Dict[int, Dict[str, Any]] = {}
    attempt = None
    for report in trial["reports"]:
        if report["attempt"] != attempt:
            attempt = report["attempt"]
            by_step = {step: known for step, known in by_step.items() if step < report["step"]}
        by_step[report["step"]] = report
    return [by_step[step] for step in sorted(by_step)]


def span_ms(trial: Mapping[str, Any]) -> Tuple[int, int]:
    """When a trial began to run and when it ended, or was last heard of, in milliseconds since 1970 (UTC)."""
    started = [attempt["started_ms"] for attempt in trial["attempts"] if attempt["started_ms"] is not None]
    start = min(started, default=trial["suggested_ms"])
    return start, trial["ended_ms"] if trial["ended_ms"] is not None else start
