"""Options of the search: a list of values for each field of the configurations."""

import dataclasses
import functools
import re
from typing import Any

import click

from fec_cache.cli.config_options import as_word
from fec_cache.cli.options import Command, reader, with_options
from fec_cache.heads.config import HeadConfig
from fec_cache.search.pruners.base import parse_pruner
from fec_cache.search.space import DEFAULT_GRID, PLAIN
from fec_cache.search.values import FIELDS, parse_axis
from fec_cache.training.config import TrainConfig

# Fields whose lists need other words than a single value.
_LIST_HELP = {
    "hidden": "Hidden layer widths, e.g. 128,512-128,none.",
    "seed": "Seeds; settings are ranked by their mean over the seeds.",
}
_UNIT_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

pruner = reader(parse_pruner)


def axis_options(command: Command) -> Command:
    """Add a list option for each field of `HeadConfig` and `TrainConfig` that can be searched."""
    fields = [*dataclasses.fields(HeadConfig), *dataclasses.fields(TrainConfig)]
    return with_options([_axis_option(field) for field in fields if field.name in FIELDS], command)


def seconds(text: str) -> float:
    """`90`, `90s`, `15m` or `2h` in seconds; anything else is wrong usage."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration; expected e.g. 90s, 15m or 2h.")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _axis_option(field: "dataclasses.Field[Any]") -> Command:
    name = field.name
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=reader(functools.partial(parse_axis, name)),
        metavar="LIST",
        default=_default(name),
        show_default=True,
        help=_LIST_HELP.get(name) or _list_help(field),
    )


def _list_help(field: "dataclasses.Field[Any]") -> str:
    """The help of a field; where a value may be unset, the word that says so."""
    text: str = field.metadata["help"]
    unset = field.metadata.get("unset")
    return f"{text.removesuffix('.')}, or default: {unset}." if unset else text


def _default(name: str) -> str:
    settings = {**vars(PLAIN.head), **vars(PLAIN.train)}
    return ",".join(map(as_word, DEFAULT_GRID.get(name, (settings[name],))))
