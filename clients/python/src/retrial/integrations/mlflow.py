"""MLflow: an experiment as a run, with a nested run for each trial."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

from ..table import flat
from .exported import Exported, Source, curve, read, span_ms

# What MLflow takes in one request.
_METRICS_AT_ONCE = 1_000
_PARAMS_AT_ONCE = 100
_LONGEST_PARAM = 6_000
_STATUSES = {
    "SUCCEEDED": "FINISHED",
    "EARLY_STOPPED": "FINISHED",
    "FAILED": "FAILED",
    "LOST": "FAILED",
    "USER_CANCELED": "KILLED",
    "SYS_CANCELED": "KILLED",
    "FINISHED": "FINISHED",
    "NO_MORE_TRIAL": "FINISHED",
}


def export(source: Source, *, tracking_uri: Optional[str] = None, experiment_name: Optional[str] = None) -> str:
    """Writes an experiment to a tracking server; gives the id of the parent run, which has one nested run for each trial.

    `tracking_uri` is by default MLflow's own, `experiment_name` the name of the experiment. A trial's run has its parameters, every
    report as a metric at its step, the results as `final.METRIC`, its times, and tags that begin with `retrial.`; the parent
    has the best trial's and the specification as `experiment.json`. Each call makes new runs. Reports have no times of
    their own: they get that of the trial's end. Raises `mlflow.exceptions.MlflowException`.
    """
    from mlflow import MlflowClient

    experiment = read(source)
    about = experiment.about
    client = MlflowClient(tracking_uri)
    name = experiment_name or about["name"]
    found = client.get_experiment_by_name(name)
    where = found.experiment_id if found else client.create_experiment(name)
    started = about.get("started_ms") or about["created_ms"]
    tags = {f"retrial.{key}": str(about[key]) for key in ("experiment", "status", "sampler", "seed")}
    parent: str = client.create_run(where, start_time=started, run_name=about["name"], tags=tags).info.run_id
    client.log_dict(parent, dict(about["spec"]), "experiment.json")
    best = about.get("best")
    if best:
        client.set_tag(parent, "retrial.best_trial", str(best["trial"]))
        _log(client, parent, best["params"], _final(experiment, best, about["updated_ms"]))
    for trial in experiment.trials:
        _export_trial(client, where, parent, experiment, trial)
    ended = about.get("ended_ms")
    if ended is not None:
        client.set_terminated(parent, _STATUSES.get(about["status"], "KILLED"), end_time=ended)
    return parent


def _export_trial(client: Any, where: str, parent: str, experiment: Exported, trial: Mapping[str, Any]) -> None:
    start, end = span_ms(trial)
    tags = {
        "mlflow.parentRunId": parent,
        "retrial.trial": str(trial["trial"]),
        "retrial.status": trial["status"],
        "retrial.reason": trial["reason"],
    }
    run = client.create_run(where, start_time=start, run_name=f"trial {trial['trial']}", tags=tags).info.run_id
    metrics = [
        _metric(name, value, end, report["step"])
        for report in curve(trial)
        for name, value in experiment.results(report).items()
    ]
    _log(client, run, trial["params"], metrics + _final(experiment, trial, end))
    if trial["status"] in _STATUSES:
        client.set_terminated(run, _STATUSES[trial["status"]], end_time=end)


def _final(experiment: Exported, told: Mapping[str, Any], time_ms: int) -> List[Any]:
    return [_metric(f"final.{name}", value, time_ms, 0) for name, value in experiment.results(told).items()]


def _metric(name: str, value: float, time_ms: int, step: int) -> Any:
    from mlflow.entities import Metric

    return Metric(_key(name), value, time_ms, step)


def _log(client: Any, run: str, params: Mapping[str, Any], metrics: List[Any]) -> None:
    from mlflow.entities import Param

    texts: Dict[str, str] = {_key(name): str(value)[:_LONGEST_PARAM] for name, value in flat(params).items()}
    listed = [Param(name, text) for name, text in texts.items()]
    for at in range(0, len(listed), _PARAMS_AT_ONCE):
        client.log_batch(run, params=listed[at : at + _PARAMS_AT_ONCE])
    for at in range(0, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run, metrics=metrics[at : at + _METRICS_AT_ONCE])


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", name)
