"""Commands that make a set of faces and triplets: synthesize, import-folder."""

from pathlib import Path

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.options import console_options, out_option
from fec_cache.datasets.labelled.config import FolderConfig
from fec_cache.datasets.synthetic.config import SyntheticConfig


@click.command("synthesize")
@out_option("data")
@options_of(SyntheticConfig, "config", only=("faces", "triplets", "seed"))
@console_options
def synthesize(console: Console, out: Path, config: SyntheticConfig) -> None:
    """Draw a synthetic dataset in FEC's format: faces with known truth, simulated raters."""
    from fec_cache.workflows.datasets import synthesize as run_synthesize

    outcome = run_synthesize(out, config, console)
    console.result(outcome.in_words(), outcome.to_dict())


@click.command("import-folder")
@click.argument("source", type=click.Path(path_type=Path))
@out_option()
@options_of(FolderConfig, "config", only=("triplets", "test_share", "seed"))
@console_options
def import_folder(console: Console, source: Path, out: Path, config: FolderConfig) -> None:
    """Make a dataset from labelled pictures: a folder per expression, or a CSV.

    The CSV has the columns image, identity and expression; left, right, top and bottom are
    optional. The answers come from labels, not from raters, and are marked as such.
    """
    from fec_cache.workflows.datasets import import_pictures as run_import

    outcome = run_import(source, out, config, console)
    console.result(outcome.in_words(), outcome.to_dict())


COMMANDS = (synthesize, import_folder)
