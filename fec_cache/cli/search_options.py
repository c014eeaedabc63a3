"""Options of the search, made from the fields of the configurations."""

import re
from collections.abc import Callable

import click

from fec_cache.cli.field_help import FIELD_HELP
from fec_cache.cli.options import Command
from fec_cache.errors import BadOption
from fec_cache.search.pruners.base import Pruner, parse_pruner
from fec_cache.search.space import DEFAULT_GRID, PLAIN
from fec_cache.search.values import FIELDS, Axis, parse_axis

# Where a list of values asks for other words than a single one.
_HELP = {
    "hidden": "Hidden layers, as 128,512-128,none.",
    "prepare": f"{FIELD_HELP['prepare'][:-1]}, or default: what suits the head.",
    "shrinkage": f"{FIELD_HELP['shrinkage'][:-1]}, or default: by validation.",
    "components": f"{FIELD_HELP['components'][:-1]}, or default: by validation.",
    "seed": "Several seeds: settings are ranked by their mean.",
}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _axis_of(field: str) -> Callable[[str], Axis]:
    """Reads a list of values and ranges of one field; what it is not is told as wrong usage."""

    def read(text: str) -> Axis:
        """Text -> axis."""
        try:
            return parse_axis(field, text)
        except BadOption as error:
            raise click.BadParameter(str(error)) from error

    return read


def axis_options(command: Command) -> Command:
    """Add a list option for each field of `HeadConfig` and `TrainConfig`."""
    for name in reversed(FIELDS):
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            type=_axis_of(name),
            metavar="LIST",
            default=_default(name),
            show_default=True,
            help=_HELP.get(name, FIELD_HELP[name]),
        )
        command = option(command)
    return command


def seconds(text: str) -> float:
    """`90`, `90s`, `15m` or `2h` in seconds; anything else is wrong usage."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no time; expected 90s, 15m or 2h.")
    return float(found[1]) * _UNITS[found[2]]


def pruner(text: str) -> Pruner:
    """`halving` or `halving:4`; anything else is wrong usage."""
    try:
        return parse_pruner(text)
    except BadOption as error:
        raise click.BadParameter(str(error)) from error


def _default(name: str) -> str:
    settings = {**vars(PLAIN.head), **vars(PLAIN.train)}
    return ",".join(map(_word, DEFAULT_GRID.get(name, (settings[name],))))


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value)) or "none"
    return "default" if value is None else str(value)
