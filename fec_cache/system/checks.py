"""Checks of values that a user sets; each error names the allowed values."""

import math
import numbers
from collections.abc import Sequence

from fec_cache.errors import BadOption


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `BadOption` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise BadOption(f"{name} is {value!r}, but it must be one of: {', '.join(allowed)}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `BadOption` unless `value` is a finite number and low <= value <= high."""
    given: object = value  # from Python it may be anything
    if not isinstance(given, numbers.Real):
        raise BadOption(f"{name} is {value!r}, but it must be a number.")
    if not (math.isfinite(value) and low <= value <= high):
        expected = "at least {:.12g}" if math.isinf(high) else "between {:.12g} and {:.12g}"
        raise BadOption(f"{name} is {value:.12g}, but it must be {expected.format(low, high)}.")


def check_whole(name: str, value: int, low: float, high: float) -> None:
    """Raise `BadOption` unless `value` is a whole number and low <= value <= high."""
    given: object = value
    if isinstance(given, bool) or not isinstance(given, (numbers.Integral, float)):
        raise BadOption(f"{name} is {value!r}, but it must be a whole number.")
    check_range(name, value, low, high)
    if isinstance(given, float):
        raise BadOption(f"{name} is {value!r}, but it must be a whole number.")


def check_type(name: str, value: object, allowed: type | tuple[type, ...], expected: str) -> None:
    """Raise `BadOption` unless `value` is of an allowed type; `expected` says what was meant."""
    if not isinstance(value, allowed):
        raise BadOption(f"{name} is of type {type(value).__name__}, but it must be {expected}.")
