"""Values of one option in a search, parsed from the command line.

`1e-4,1e-3` is a list, `1e-4..1e-2:log` a range, `1e-4..1e-2:log:5` a range of five values.
"""

import dataclasses
import math
import numbers
import typing
from collections.abc import Iterable
from dataclasses import dataclass

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.system.checks import check_choice
from fec_cache.system.wording import counted
from fec_cache.training.config import TrainConfig

RANGE_COUNT = 5
_MOST_VALUES = 1000
_DEFAULT_WORD = "default"
_FORM = "Expected LOW..HIGH, optionally with :log, :lin, :int or a count, e.g. 1e-4..1e-2:log:5."

HEAD_FIELDS = frozenset(field.name for field in dataclasses.fields(HeadConfig))
# Options that can be searched: all but `blocks`, which follows from the features.
FIELDS: dict[str, object] = {
    name: kind
    for config in (HeadConfig, TrainConfig)
    for name, kind in typing.get_type_hints(config).items()
    if name != "blocks"
}


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included.

    `count` is how many of them a grid tries. None means every number of a linear range of whole
    numbers, and five values of any other range.
    """

    low: float
    high: float
    is_log: bool = False
    is_int: bool = False
    count: int | None = None

    def __post_init__(self) -> None:
        """Check ends and count."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise BadOption(
                f"The range {self.low:g}..{self.high:g} must go from a smaller to a larger number."
            )
        if self.is_log and self.low <= 0:
            raise BadOption(f"The range {self.low:g}..{self.high:g}:log must start above 0.")
        if self.is_int and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise BadOption(f"The range {self.low:g}..{self.high:g} must have whole ends.")
        if self.count is not None and not 2 <= self.count <= _MOST_VALUES:
            raise BadOption(f"A range's count is {self.count}, but it must be 2 to {_MOST_VALUES}.")

    def values(self) -> tuple[float, ...]:
        """The values that a grid tries, ends included; each whole number once."""
        count = self.count or self._own_count()
        shares = [step / (count - 1) for step in range(count)]
        if self.is_log:
            ratio = math.log(self.high / self.low)
            inner = [self.low * math.exp(ratio * share) for share in shares[1:-1]]
        else:
            inner = [self.low + (self.high - self.low) * share for share in shares[1:-1]]
        # Twelve digits, so that 0.001 is not 0.0010000000000000002.
        values = [self.low, *(float(f"{value:.12g}") for value in inner), self.high]
        return tuple(dict.fromkeys(map(round, values) if self.is_int else values))

    def _own_count(self) -> int:
        if not self.is_int or self.is_log:
            return RANGE_COUNT
        count = int(self.high - self.low) + 1
        if count > _MOST_VALUES:
            raise BadOption(
                f"The range {self.low:g}..{self.high:g} contains {counted(count, 'whole number')}. "
                f"Add the number of values to try, e.g. {self.low:g}..{self.high:g}:int:10."
            )
        return count


@dataclass(frozen=True)
class Axis:
    """One option of a search: the values that a grid tries, and the range that they come from.

    `span` is None for a list; samplers draw from it if there is one, else from the values.
    """

    name: str
    values: tuple[object, ...]
    span: Range | None = None


def parse_axis(name: str, text: str) -> Axis:
    """Parse the value of an option.

    Args:
        name: a field of `HeadConfig` or `TrainConfig`.
        text: comma-separated values and ranges.

    Raises:
        BadOption: a part is neither a value of the field's type nor a range.
    """
    parts = [part.strip() for part in text.split(",")]
    spans = [_range(name, part) if ".." in part else None for part in parts]
    values: dict[object, None] = {}
    for part, span in zip(parts, spans, strict=True):
        if span is None:
            values[_value(name, part)] = None
        else:
            values.update(dict.fromkeys(wrap(name, number) for number in span.values()))
    return Axis(name, tuple(values), spans[0] if len(parts) == 1 else None)


def wrap(name: str, number: float) -> object:
    """A number of a range in the field's type: 64 hidden units are the layers (64,)."""
    kind = FIELDS[name]
    if _is_layers(kind):
        return (int(number),)
    return float(number) if _is_kind(kind, float) else number


def _range(name: str, part: str) -> Range:
    numbers, *words = part.split(":")
    low, _, high = numbers.partition("..")
    kind = FIELDS[name]
    if not (_is_kind(kind, float) or _is_whole(kind)):
        raise BadOption(
            f"{part!r} is a range, but {_plain(name)} is not a number. List its values."
        )
    counts = [word for word in words if word not in ("log", "lin", "int")]
    if len(counts) > 1 or not all(word.isdigit() for word in counts):
        raise BadOption(f"{part!r} is not a valid range. {_FORM}")
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise BadOption(f"{part!r} is not a valid range. {_FORM}") from error
    is_int = _is_whole(kind) or "int" in words
    return Range(*ends, "log" in words, is_int, int(counts[0]) if counts else None)


def _value(name: str, part: str) -> object:
    kind = FIELDS[name]
    try:
        if not part:
            raise ValueError(part)
        if _is_layers(kind):
            return () if part.lower() == "none" else tuple(int(width) for width in part.split("-"))
        if _is_kind(kind, bool):
            return {"true": True, "yes": True, "false": False, "no": False}[part.lower()]
        if _is_optional(kind) and part.lower() == _DEFAULT_WORD:
            return None
        if _is_kind(kind, int):
            return int(part)
        return float(part) if _is_kind(kind, float) else part
    except (ValueError, KeyError) as error:
        expected = f"; expected {_expected(kind)}"
        raise BadOption(f"{part!r} is not a valid value of {_plain(name)}{expected}.") from error


def _expected(kind: object) -> str:
    """Description of a list of values of a type."""
    if _is_layers(kind):
        return "widths of hidden layers, e.g. 128,512-128,none"
    if _is_kind(kind, bool):
        return "yes, no or yes,no"
    if _is_kind(kind, int):
        return "whole numbers, e.g. 16,32, or a range, e.g. 16..64"
    if _is_kind(kind, float):
        return "numbers, e.g. 1e-4,1e-3, or a range, e.g. 1e-4..1e-2:log"
    return "a comma-separated list of words"


def listed(name: str, values: object) -> tuple[object, ...]:
    """The distinct values of one field, as plain Python values; lists among them become tuples.

    Raises:
        BadOption: the field is unknown, or the values are not a list of at least one value.
    """
    check_choice("A field of settings", name, tuple(FIELDS))
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise BadOption(
            f"The values of {name} are {values!r}, but they must be a list: "
            f'{{"{name}": [{values!r}]}}.'
        )
    plain = [_as_python(value) for value in values]
    if not plain:
        raise BadOption(f"The list of values of {name} is empty. Give at least one value.")
    try:
        return tuple(dict.fromkeys(plain))
    except TypeError as error:
        raise BadOption(f"A value of {name} cannot be used: {error}. Give plain values.") from error


def _as_python(value: object) -> object:
    """A NumPy number as Python's own, which JSON can write, and a list as a tuple."""
    if isinstance(value, list):
        return tuple(_as_python(item) for item in value)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _is_kind(kind: object, wanted: type) -> bool:
    return kind is wanted or wanted in typing.get_args(kind)


def _is_layers(kind: object) -> bool:
    return typing.get_origin(kind) is tuple


def _is_whole(kind: object) -> bool:
    return _is_kind(kind, int) or _is_layers(kind)


def _is_optional(kind: object) -> bool:
    return type(None) in typing.get_args(kind)


def _plain(name: str) -> str:
    return name.replace("_", " ")
