"""The command line: one group with the commands of every file in `commands/`."""

import importlib
import pkgutil

import click

from fec_cache.cli import commands
from fec_cache.cli.failures import FecGroup
from fec_cache.system.version import VERSION


@click.group(cls=FecGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="fec")
def fec() -> None:
    """Say whether two faces show similar expressions.

    Stage one, `fec extract`, runs every face once through a frozen network and stores its features.
    Stage two, `fec train-head` and `fec grid-search`, trains classifiers on them in seconds.
    """


for _module in pkgutil.iter_modules(commands.__path__):
    for _command in importlib.import_module(f"{commands.__name__}.{_module.name}").COMMANDS:
        fec.add_command(_command)


def main() -> None:
    """Entry point of `fec` and of `python cli.py`."""
    fec(prog_name="fec")
