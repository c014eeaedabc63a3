"""Command-line options that several commands share, and how their values are read."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fec_cache.cli.console import Console, set_up_logging
from fec_cache.datasets.boxes import SIDES, Box, check_box
from fec_cache.errors import BadOption
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace

Command = Callable[..., Any]
Number = TypeVar("Number", int, float)
Value = TypeVar("Value")


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
    metavar="NAMES",
    show_default="the only cache",
    help="Cache to use: BACKBONE, BACKBONE:LAYER or a folder name; or a comma-separated list of "
    "caches, whose features are joined.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:1 or mps."
)
run_option = click.option(
    "--run",
    "run_name",
    metavar="NAME",
    show_default="the newest",
    help="Trained head to use: the name of a folder in --runs.",
)
name_option = click.option("--name", show_default="made from the settings", help="Name of the run.")
overlap_option = click.option(
    "--allow-overlap", is_flag=True, help="Continue even if the head was trained on test faces."
)


def out_option(default: str | None = None) -> Command:
    """--out of a command that fills a folder; required without a default."""
    # Since click 8.3 None is a default too, and an option with a default is never missing.
    presence: dict[str, Any] = {"default": default, "show_default": True}
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        **(presence if default else {"required": True}),
        help="Folder to write: new, empty, or written by this command before.",
    )


def with_options(options: Sequence[Command], command: Command) -> Command:
    """Add options to a command; `--help` lists them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def workspace_options(*names: str) -> Callable[[Command], Command]:
    """Add options for the folders that a command works in, and pass them on as `workspace`."""

    def decorate(command: Command) -> Command:
        """Add the options to a command."""

        @functools.wraps(command)
        def wrapped(*args: Any, **options: Any) -> Any:
            """Gather the options and call the command."""
            folders = {name: options.pop(name) for name in names}
            return command(*args, workspace=Workspace(**folders), **options)

        return with_options([_FOLDERS[name] for name in names], wrapped)

    return decorate


def console_options(command: Command) -> Command:
    """Add --json, -q and -v, and pass a `Console` to the command as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
    @click.option("-q", "--quiet", is_flag=True, help="Print only results and errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Print details too.")
    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, verbose: bool, **options: Any) -> Any:
        """Gather the options and call the command."""
        verbosity = -1 if quiet else int(verbose)
        set_up_logging(verbosity)
        return command(Console(as_json, verbosity), *args, **options)

    return wrapped


def reader(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser as the type of an option: a `BadOption` that it raises is wrong usage."""

    def read(text: str) -> Value:
        """The value of a text."""
        # Of a type's errors click shows the text of BadParameter only.
        try:
            return parse(text)
        except BadOption as error:
            raise click.BadParameter(str(error)) from error

    return read


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


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise click.BadParameter(f"{text!r} has an empty part; expected a comma-separated list.")
    return parts


def _number(text: str, kind: type[Number], form: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not {form}.") from error
