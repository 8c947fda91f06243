"""Which response an exact covariance is of. The one place where this room learns what was asked for."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Secant:
    """(f(x + h v) - f(x - h v)) / 2h. An infinite step is the limit in which x and all biases are forgotten."""

    step: float = math.inf


@dataclass(frozen=True)
class Gradient:
    """grad f(x), the limit of short steps."""


def read(response: Any) -> tuple[str, float]:
    """Name of a response, "secant" or "gradient", and its step.

    Args:
        response: "secant", "gradient", or an object of a class with such a name and, for a secant, a `step`.

    Raises:
        ValueError: another response: mixed derivatives have no recursion here.
    """
    name = response if isinstance(response, str) else type(response).__name__.lower()
    if name == "secant":
        return name, float(getattr(response, "step", math.inf))
    if name == "gradient":
        return name, 0.0
    raise ValueError(f'expected "secant", "gradient", Secant(step=...) or Gradient(), got {response!r}')
