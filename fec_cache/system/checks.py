"""Checks of values that a user sets; each error names the allowed values."""

import math
from collections.abc import Sequence

from fec_cache.errors import BadOption


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `BadOption` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise BadOption(f"{name} is {value!r}, but it must be one of: {', '.join(allowed)}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `BadOption` unless `value` is finite and low <= value <= high."""
    if not (math.isfinite(value) and low <= value <= high):
        expected = "at least {:.12g}" if math.isinf(high) else "between {:.12g} and {:.12g}"
        raise BadOption(f"{name} is {value:.12g}, but it must be {expected.format(low, high)}.")
