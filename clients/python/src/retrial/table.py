"""Trials as rows, for tables and other tools."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping


def flat(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Nested parameters by their whole names: `{"net": {"_name": "deep", "n": 3}}` is `{"net": "deep", "net.n": 3}`."""
    found: Dict[str, Any] = {}

    def put(name: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            found[name] = value
            return
        found[name] = value["_name"]
        for key, inner in value.items():
            if key != "_name":
                put(f"{name}.{key}", inner)

    for key, value in params.items():
        put(key, value)
    return found


def rows(trials: Iterable[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """A row for each trial, with the columns of `retrial export EXP -o FILE.csv`. Times are milliseconds since 1970 (UTC)."""
    listed = list(trials)
    metrics = _names(trial.get("metrics") or {} for trial in listed)
    points = [flat(trial["params"]) for trial in listed]
    names = _names(points)
    table = []
    for trial, point in zip(listed, points):
        row = {"trial": trial["trial"], "status": trial["status"], "value": trial["value"]}
        row.update({f"metric.{name}": (trial.get("metrics") or {}).get(name) for name in metrics})
        row.update({f"param.{name}": point.get(name) for name in names})
        row["attempts"] = len(trial["attempts"])
        row["suggested"], row["ended"] = trial["suggested_ms"], trial["ended_ms"]
        row["reason"] = trial["reason"]
        table.append(row)
    return table


def _names(maps: Iterable[Mapping[str, Any]]) -> List[str]:
    return list(dict.fromkeys(name for found in maps for name in found))
