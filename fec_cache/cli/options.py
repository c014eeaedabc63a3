"""Command-line options that several commands share, and how their values are read."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fec_cache.cli.console import Console, set_up_logging
from fec_cache.datasets.boxes import SIDES, Box, check_box
from fec_cache.pairs.config import PairConfig
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace

Command = Callable[..., Any]
Number = TypeVar("Number", int, float)


def _folder(flag: str, name: str, default: Path, text: str) -> Command:
    variable = f"FEC_{flag.strip('-').upper()}"
    return click.option(
        flag,
        name,
        type=click.Path(path_type=Path),
        default=default,
        envvar=variable,
        show_default=True,
        show_envvar=True,
        help=text,
    )


_FOLDERS = {
    "data_dir": _folder(
        "--data", "data_dir", Workspace.data_dir, "Folder with train.csv, test.csv and images/."
    ),
    "cache_dir": _folder("--cache", "cache_dir", Workspace.cache_dir, "Folder of feature caches."),
    "runs_dir": _folder("--runs", "runs_dir", Workspace.runs_dir, "Folder of trained heads."),
}
features_option = click.option(
    "--features",
    default=None,
    metavar="NAMES",
    help="Which cache: BACKBONE, BACKBONE:LAYER or a folder's name; several side by side, parted "
    "by commas. [default: the only one]",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."
)
run_option = click.option(
    "--run",
    "run_name",
    default=None,
    metavar="NAME",
    help="Which trained head, a folder in --runs. [default: the newest]",
)
_PAIRS = (
    click.option(
        "--min-agreement",
        default=PairConfig.min_agreement,
        show_default=True,
        help="Smallest share of raters behind the majority.",
    ),
    click.option(
        "--validation-share",
        default=PairConfig.validation_share,
        show_default=True,
        help="Share of train.csv's triplets held out for validation. No face stands on both sides, "
        "so the share that can be had may be another; it is told.",
    ),
    click.option(
        "--split-seed", default=PairConfig.split_seed, show_default=True, help="Seed of the split."
    ),
)


def workspace_options(*names: str) -> Callable[[Command], Command]:
    """Options of the folders that a command works in, handed over as `workspace`."""

    def decorate(command: Command) -> Command:
        """Add the options to a command."""

        @functools.wraps(command)
        def wrapped(*args: Any, **options: Any) -> Any:
            """Gather the options and call the command."""
            folders = {name: options.pop(name) for name in names}
            return command(*args, workspace=Workspace(**folders), **options)

        return _with([_FOLDERS[name] for name in names], wrapped)

    return decorate


def config_options(
    kind: type[Any], argument: str, options: Sequence[Command]
) -> Callable[[Command], Command]:
    """Options named like the fields of a configuration, handed over as one record."""
    names = [field.name for field in dataclasses.fields(kind)]

    def decorate(command: Command) -> Command:
        """Add the options to a command; a field without one keeps its default."""

        @functools.wraps(command)
        def wrapped(*args: Any, **values: Any) -> Any:
            """Gather the options and call the command."""
            fields = {name: values.pop(name) for name in names if name in values}
            return command(*args, **{argument: kind(**fields)}, **values)

        return _with(options, wrapped)

    return decorate


pair_options = config_options(PairConfig, "pairs", _PAIRS)


def console_options(command: Command) -> Command:
    """Add --json, -q and -v, and hand the command a `Console` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    @click.option("-q", "--quiet", is_flag=True, help="Say results and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Say details too.")
    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, verbose: bool, **options: Any) -> Any:
        """Gather the options and call the command."""
        verbosity = -1 if quiet else int(verbose)
        set_up_logging(verbosity)
        return command(Console(as_json, verbosity), *args, **options)

    return wrapped


def word_list(text: str) -> tuple[str, ...]:
    """`concat,symmetric` -> ("concat", "symmetric")."""
    return tuple(_parts(text))


def hidden_sizes(text: str) -> tuple[int, ...]:
    """`512-128` -> (512, 128), `none` -> (); wrong usage for anything else."""
    if text.strip().lower() == "none":
        return ()
    form = "the width of a hidden layer; expected 256, 512-128 or none"
    return tuple(_number(part, int, form) for part in text.split("-"))


def box_sides(text: str) -> Box:
    """`0.1,0.9,0,1` -> left, right, top, bottom; wrong usage unless a box inside the picture."""
    sides = tuple(_number(part, float, "a number, as in 0.2,0.8,0.1,0.9") for part in _parts(text))
    if len(sides) != len(SIDES):
        raise click.BadParameter(
            f"{text!r} has {counted(len(sides), 'number')}, expected four: left, right, top, "
            "bottom."
        )
    try:
        return check_box(*sides)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _with(options: Sequence[Command], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise click.BadParameter(f"{text!r} has an empty place; expected values parted by commas.")
    return parts


def _number(text: str, kind: type[Number], form: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not {form}.") from error
