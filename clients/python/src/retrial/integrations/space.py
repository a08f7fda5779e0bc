"""Search spaces as recorded specifications have them: each parameter `{"_type", "_value"}`, with nested choices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

Number = Union[int, float]


class Leaf(NamedTuple):
    """One parameter."""

    name: str
    """With the choices above it: `net.layers`."""
    kind: str
    """Such as `loguniform`."""
    value: Tuple[Any, ...]
    """Its numbers, or its options in short: a nested option is its `_name`."""
    parent: str = ""
    """The name of the choice above it; empty at the top."""
    under: Tuple[Any, ...] = ()
    """The options of that choice with which it exists."""


def leaves(space: Mapping[str, Any]) -> List[Leaf]:
    """All parameters, parents before children. Of one name there are several where options have different domains for it."""
    found: Dict[Tuple[str, str, Tuple[Any, ...]], Leaf] = {}

    def put(name: str, domain: Mapping[str, Any], parent: str, option: Tuple[Any, ...]) -> None:
        items = domain["_value"]
        value = tuple(item["_name"] if isinstance(item, Mapping) else item for item in items)
        # Unlike in Python, 1 is not true.
        key = (name, domain["_type"], tuple((type(item), item) for item in value))
        known = found.get(key)
        found[key] = Leaf(name, domain["_type"], value, parent, (known.under if known else ()) + option)
        for item in items:
            if isinstance(item, Mapping):
                for child, inner in item.items():
                    if child != "_name":
                        put(f"{name}.{child}", inner, name, (item["_name"],))

    for name, domain in space.items():
        put(name, domain, "", ())
    return list(found.values())


def is_whole(*numbers: Number) -> bool:
    """Whether all of them are whole numbers."""
    return all(float(number).is_integer() for number in numbers)


def divides(step: Number, number: Number) -> bool:
    """Whether a number is a multiple of a step, both as they are written in decimals."""
    return Decimal(repr(number)) % Decimal(repr(step)) == 0


def multiple(step: float, number: float) -> float:
    """The multiple of a step nearest to a number, as a clean decimal: near 0.15 and not 0.15000000000000002."""
    return float(Decimal(repr(step)) * round(number / step))
