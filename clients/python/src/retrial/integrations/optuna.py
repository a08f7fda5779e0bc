"""Optuna: its studies as what an experiment knows already, and experiments as its studies.

Parameters keep their names and, as far as both tools have it, their distributions; the tables in `docs/python.md` say which.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

from ..table import flat
from .exported import Exported, Source, curve, read, span_ms
from .optuna_space import Names, space_of
from .space import Leaf, divides, is_whole, leaves, multiple

if TYPE_CHECKING:
    import optuna

# Deviations from the mean beyond which draws of a normal domain never are.
_REACH = 8.0
# Values of a stepped domain that are listed one by one where Optuna has no step for them.
_MOST_LISTED = 1_000
_STATES = {
    "SUCCEEDED": "COMPLETE",
    "EARLY_STOPPED": "PRUNED",
    "FAILED": "FAIL",
    "LOST": "FAIL",
    "USER_CANCELED": "FAIL",
    "SYS_CANCELED": "FAIL",
}


# From Optuna.


def write_experiment(
    study: Union["optuna.Study", str],
    file: Union[str, "os.PathLike[str]"],
    *,
    study_name: Optional[str] = None,
    **more: Any,
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """Writes an experiment file, in JSON, that goes on from a study: its space, its objective, and its results as `known`.

    `study` is one, or the URL of a storage that has one named `study_name`. Beside FILE.json the results are written to
    FILE.known.json. `more` are further keys of the experiment file, such as `run` and `budget`, and replace those made here;
    a `space` of your own must have the parameters by the names that `experiment_of` gives them. Gives both contents.

    Raises `ValueError` for a study without results, with several objectives, or whose parameters come and go without any
    categorical one that says when.
    """
    spec, known = experiment_of(study, study_name=study_name)
    path = os.fspath(file)
    beside = os.path.splitext(path)[0] + ".known.json"
    spec = {**spec, "known": os.path.basename(beside), **more}
    for name, content in ((beside, known), (path, spec)):
        with open(name, "w", encoding="utf-8") as out:
            json.dump(content, out, indent=1)
            out.write("\n")
    return spec, known


def experiment_of(
    study: Union["optuna.Study", str], *, study_name: Optional[str] = None
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """`(spec, known)`: what an experiment file says, and a list of `{"params", "value"}` of all complete trials."""
    import optuna

    if isinstance(study, str):
        study = optuna.load_study(study_name=study_name, storage=study)
    if len(study.directions) != 1:
        raise ValueError("the study has several objectives, and an experiment knows results of one only")
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE and trial.params]
    complete = [trial for trial in complete if trial.value is not None and math.isfinite(trial.value)]
    if not complete:
        raise ValueError("the study has no trial that is complete")
    names = Names()
    space = space_of(complete, names)
    metric = (getattr(study, "metric_names", None) or ["value"])[0]
    spec = {
        "name": study.study_name[:128],
        "space": space,
        "objective": {"metric": metric, "goal": study.direction.name.lower()},
        "budget": {"trials": 100},
    }
    return spec, [{"params": names.point(trial), "value": trial.value} for trial in complete]


# To Optuna.


def to_study(
    source: Source,
    *,
    storage: Union[None, str, "optuna.storages.BaseStorage"] = None,
    study_name: Optional[str] = None,
) -> "optuna.Study":
    """A new study with the ended trials of an experiment; in memory without a storage.

    A trial's reports are its intermediate values, its number, status, reason and metrics user attributes that begin with `retrial:`.
    Raises `optuna.exceptions.DuplicatedStudyError` if there is one of that name.
    """
    import optuna

    experiment = read(source)
    goals = experiment.goals()
    study = optuna.create_study(
        storage=storage,
        study_name=study_name or experiment.about["name"],
        directions=[optuna.study.StudyDirection[goal.upper()] for goal in goals.values()],
    )
    with warnings.catch_warnings():
        # Optuna says of it that it may change.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(goals))
    study.set_user_attr("retrial:experiment", experiment.about["experiment"])
    space = leaves(experiment.about["spec"]["space"])
    ended = [trial for trial in experiment.trials if trial["status"] in _STATES]
    points = [flat(trial["params"]) for trial in ended]
    distributions = _distributions(space, points)
    study.add_trials([_frozen(experiment, trial, point, space, distributions) for trial, point in zip(ended, points)])
    return study


def _frozen(
    experiment: Exported,
    trial: Mapping[str, Any],
    point: Mapping[str, Any],
    space: List[Leaf],
    distributions: Mapping[Leaf, Tuple[str, Any]],
) -> "optuna.trial.FrozenTrial":
    import optuna

    goals = experiment.goals()
    params, theirs = {}, {}
    for leaf in space:
        if leaf.name in point and _exists(leaf, point):
            name, distribution = distributions[leaf]
            params[name], theirs[name] = point[leaf.name], distribution
    results = experiment.results(trial)
    state = getattr(optuna.trial.TrialState, _STATES[trial["status"]])
    values = [results[name] for name in goals if name in results]
    complete = state == optuna.trial.TrialState.COMPLETE
    attributes: Dict[str, Any] = {"retrial:trial": trial["trial"], "retrial:status": trial["status"]}
    for key in ("reason", "metrics", "feasible"):
        if trial.get(key) not in (None, ""):
            attributes[f"retrial:{key}"] = trial[key]
    steps = {}
    if len(goals) == 1:
        steps = {report["step"]: report["value"] for report in curve(trial) if report["value"] is not None}
    made = optuna.trial.create_trial(
        state=state,
        values=values if complete else None,
        params=params,
        distributions=theirs,
        user_attrs=attributes,
        intermediate_values=steps,
    )
    # Optuna has times without a zone, in that of the machine.
    start, end = span_ms(trial)
    made.datetime_start = datetime.fromtimestamp(start / 1000)
    made.datetime_complete = datetime.fromtimestamp(end / 1000)
    return made


def _exists(leaf: Leaf, point: Mapping[str, Any]) -> bool:
    """Whether of several parameters of one name it is this one."""
    return not leaf.parent or _is_one_of(point.get(leaf.parent), leaf.under)


def _is_one_of(value: Any, options: Tuple[Any, ...]) -> bool:
    return any(type(value) is type(option) and value == option for option in options)


def _distributions(space: List[Leaf], points: List[Dict[str, Any]]) -> Dict[Leaf, Tuple[str, Any]]:
    """The name and the distribution of each parameter. Where several have one name, the option is put before the last
    part of it, because a name of Optuna has one distribution."""
    count: Dict[str, int] = {}
    for leaf in space:
        count[leaf.name] = count.get(leaf.name, 0) + 1
    found = {}
    for leaf in space:
        name = leaf.name
        if count[name] > 1:
            name = f"{leaf.parent}.{'+'.join(map(str, leaf.under))}{name[len(leaf.parent) :]}"
        seen = [point[leaf.name] for point in points if leaf.name in point and _exists(leaf, point)]
        found[leaf] = (name, distribution(leaf, seen))
    return found


def distribution(leaf: Leaf, seen: List[Any]) -> Any:
    """Optuna's distribution of a parameter. `seen` are values that it must contain: a normal domain has no bounds."""
    from optuna.distributions import CategoricalDistribution as Categorical
    from optuna.distributions import FloatDistribution as Float
    from optuna.distributions import IntDistribution as Int

    kind = leaf.kind
    if kind in ("choice", "ordinal"):
        return Categorical(leaf.value)
    first, second = leaf.value[:2]
    if kind == "randint":
        return Int(int(first), int(second) - 1)
    if kind == "uniform":
        return Float(first, second)
    if kind == "loguniform":
        return Float(first, second, log=True)
    if kind == "qloguniform":
        # With a logarithm Optuna has no step but 1.
        whole = is_whole(*leaf.value)
        return Int(int(first), int(second), log=True) if whole else Float(first, second, log=True)
    if kind == "quniform":
        step = leaf.value[2]
        if not divides(step, first) or not divides(step, second):
            # Its bounds are values beside the multiples.
            listed = _listed(first, second, step)
            return Categorical(listed) if listed else Float(first, second)
        if is_whole(*leaf.value):
            return Int(int(first), int(second), step=int(step))
        return Float(first, second, step=step)
    low, high = first - _REACH * second, first + _REACH * second
    if kind in ("lognormal", "qlognormal"):
        low, high = math.exp(low), math.exp(high)
    low, high = min([low, *seen]), max([high, *seen])
    if kind in ("normal", "lognormal"):
        return Float(low, high, log=kind == "lognormal")
    step = leaf.value[2]
    low, high = multiple(step, low), multiple(step, high)
    return Int(int(low), int(high), step=int(step)) if is_whole(step) else Float(low, high, step=step)


def _listed(low: float, high: float, step: float) -> List[float]:
    """The values of a stepped domain one by one: the multiples within its bounds, and the bounds; none if they are many."""
    first, last = math.floor(low / step + 0.5), math.ceil(high / step - 0.5)
    if last - first > _MOST_LISTED:
        return []
    values = [min(max(multiple(step, k * step), low), high) for k in range(first, last + 1)]
    return [int(value) for value in values] if is_whole(low, high, step) else values
