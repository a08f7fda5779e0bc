"""The search space that the trials of an Optuna study have had: Optuna itself does not keep one."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from .space import divides, is_whole, multiple

if TYPE_CHECKING:
    import optuna

_RESERVED = ("exp_id", "trial_id", "attempt", "spec_dir", "_name", "_type", "_value")
_NOT_IN_NAMES = set("${}.")
_MOST_OPTIONS = 10_000

Trials = Sequence["optuna.trial.FrozenTrial"]


class Names:
    """What parameters are called in the experiment: Optuna's names where these may be used there."""

    def __init__(self) -> None:
        # By Optuna's name and the options above it.
        self._found: Dict[Tuple[str, Tuple[Any, ...]], str] = {}
        self._steps: Dict[str, float] = {}

    def take(self, theirs: str, above: Tuple[Tuple[str, Any], ...], taken: Dict[str, Any]) -> Tuple[str, str]:
        """The key of a parameter under the options above it, which is none of those taken, and its whole name."""
        short = theirs
        parent = ""
        for name, option in above:
            # An experiment that was exported has whole names.
            for prefix in (f"{name}.{option}.", f"{name}."):
                if short.startswith(prefix):
                    short = short[len(prefix) :]
                    break
            parent = self._found[name, _options(above, name)] + "."
        key = "".join("_" if letter.isspace() or letter in _NOT_IN_NAMES else letter for letter in short)
        while not key or key in _RESERVED or key in taken:
            key += "_"
        self._found[theirs, _keys(above)] = parent + key
        return key, parent + key

    def point(self, trial: "optuna.trial.FrozenTrial") -> Dict[str, Any]:
        """The parameters of a trial by their whole names."""
        params: Dict[str, Any] = {}
        for (theirs, above), ours in self._found.items():
            if theirs in trial.params and all(_key(trial.params.get(name)) == option for name, option in above):
                params[ours] = clean(trial.params[theirs], trial.distributions[theirs])
        return params


def space_of(trials: Trials, names: Names) -> Dict[str, Any]:
    """A space that contains every point. A parameter that only some trials have is nested under the categorical one whose
    options tell those trials from the others. Raises `ValueError` if there is none."""
    theirs = list(dict.fromkeys(name for trial in trials for name in trial.params))
    return _space(trials, theirs, (), names)


def _space(trials: Trials, theirs: List[str], above: Tuple[Tuple[str, Any], ...], names: Names) -> Dict[str, Any]:
    always = [name for name in theirs if all(name in trial.params for trial in trials)]
    choices = {name: _choices(trials, name) for name in always if _is_categorical(trials, name)}
    nested: Dict[str, List[str]] = {}
    for name in theirs:
        if name not in always:
            nested.setdefault(_parent(trials, name, choices), []).append(name)
    space: Dict[str, Any] = {}
    for name in always:
        key, _ = names.take(name, above, space)
        inner = nested.get(name, [])
        if not inner:
            space[key] = domain([trial.distributions[name] for trial in trials])
            continue
        options = []
        for option in choices[name]:
            those = [trial for trial in trials if _key(trial.params[name]) == _key(option)]
            here = [child for child in inner if any(child in trial.params for trial in those)]
            if not here:
                options.append(option)
                continue
            if not isinstance(option, str):
                raise ValueError(f"`{name}` has the option {option!r} with parameters below it, which must be a text")
            options.append({"_name": option, **_space(those, here, above + ((name, option),), names)})
        space[key] = {"choice": options}
    return space


def _parent(trials: Trials, name: str, choices: Dict[str, List[Any]]) -> str:
    """The categorical parameter that says whether another one exists: one that says it alone, else one that excludes it with
    some option, so that one below says the rest."""
    partly = []
    for choice in sorted(choices, key=lambda choice: not name.startswith(choice + ".")):
        having = {_key(trial.params[choice]) for trial in trials if name in trial.params}
        lacking = {_key(trial.params[choice]) for trial in trials if name not in trial.params}
        if not having & lacking:
            return choice
        if lacking - having:
            partly.append(choice)
    if not partly:
        raise ValueError(
            f"some trials have no `{name}`, and no categorical parameter says which: leave those out, or give a space"
        )
    return partly[0]


def domain(distributions: Sequence[Any]) -> Any:
    """The domain of a parameter that had these distributions: Optuna lets bounds change, and the widest ones count."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    newest = distributions[-1]
    if isinstance(newest, CategoricalDistribution):
        return {"choice": [_option(choice) for choice in newest.choices]}
    low = min(distribution.low for distribution in distributions)
    high = max(distribution.high for distribution in distributions)
    if low == high:
        return {"choice": [low]}
    whole = isinstance(newest, IntDistribution)
    if newest.log:
        return {"qloguniform": [low, high, 1]} if whole else {"loguniform": [low, high]}
    if newest.step is None:
        return {"uniform": [low, high]}
    if whole and newest.step == 1:
        return {"randint": [low, high + 1]}
    step = newest.step
    if any(distribution.step != step for distribution in distributions):
        return {"randint": [low, high + 1]} if whole else {"uniform": [low, high]}
    if divides(step, low) and divides(step, high):
        return {"quniform": [low, high, step]}
    # Optuna counts its steps from the lower bound, an experiment from zero.
    count = round((high - low) / step) + 1
    if count > _MOST_OPTIONS:
        warnings.warn(f"the {count} steps from {low} to {high} became a range without steps", stacklevel=2)
        return {"randint": [low, high + 1]} if whole else {"uniform": [low, high]}
    return {"ordinal": [_stepped(low, step, low + k * step) for k in range(count)]}


def clean(value: Any, distribution: Any) -> Any:
    """A value as the domain has it: Optuna's third step of 0.1 is 0.30000000000000004."""
    step = getattr(distribution, "step", None)
    if step is None or is_whole(step, value):
        return _option(value)
    return _stepped(distribution.low, step, value)


def _stepped(low: float, step: float, value: float) -> float:
    if is_whole(low, step):
        return round(value)
    if divides(step, low):
        return multiple(step, value)
    return float(Decimal(repr(low)) + Decimal(repr(step)) * round((value - low) / step))


def _option(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{value!r} cannot be written as a value of JSON")


def _is_categorical(trials: Trials, name: str) -> bool:
    from optuna.distributions import CategoricalDistribution

    return isinstance(trials[-1].distributions[name], CategoricalDistribution)


def _choices(trials: Trials, name: str) -> List[Any]:
    distribution: Any = trials[-1].distributions[name]
    return list(distribution.choices)


def _key(value: Any) -> Tuple[str, Any]:
    # Unlike in Python, 1 is not true.
    return (type(value).__name__, value)


def _keys(above: Tuple[Tuple[str, Any], ...]) -> Tuple[Any, ...]:
    return tuple((name, _key(option)) for name, option in above)


def _options(above: Tuple[Tuple[str, Any], ...], name: str) -> Tuple[Any, ...]:
    """What is above a name that itself is above something."""
    place = next(at for at, (known, _) in enumerate(above) if known == name)
    return _keys(above[:place])
