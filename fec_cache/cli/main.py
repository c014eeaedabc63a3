"""The command line: parse, one call, print. Stages are imported inside of commands."""

from pathlib import Path

import click

from fec_cache.cli.commands.cache import cache_group
from fec_cache.cli.commands.compare import compare
from fec_cache.cli.commands.download import download
from fec_cache.cli.commands.extract import extract
from fec_cache.cli.commands.heads import evaluate, predict, train_head
from fec_cache.cli.commands.search import grid_search, leaderboard
from fec_cache.cli.console import Console
from fec_cache.cli.failures import FecGroup
from fec_cache.cli.options import (
    console_options,
    run_option,
    workspace_options,
)
from fec_cache.system.version import VERSION
from fec_cache.system.workspace import Workspace

_OUT = "Folder to write: new, empty, or made by this command before."
_faces_option = click.option(
    "--faces", default=900, show_default=True, help="How many faces to draw."
)
_triplets_option = click.option(
    "--triplets", default=4000, show_default=True, help="How many triplets to judge."
)


@click.group(cls=FecGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="fec")
def fec() -> None:
    """Say whether two faces show similar expressions.

    Stage one, `fec extract`, runs every face once through a frozen network and stores its features.
    Stage two, `fec train-head` and `fec grid-search`, trains classifiers on them in seconds.
    """


@fec.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="data", show_default=True, help=_OUT
)
@_faces_option
@_triplets_option
@click.option("--seed", default=0, show_default=True, help="Same seed, same files.")
@console_options
def synthesize(console: Console, out: Path, faces: int, triplets: int, seed: int) -> None:
    """Draw a synthetic set in FEC's format: faces with known truth, simulated raters."""
    from fec_cache.datasets.synthetic.config import SyntheticConfig
    from fec_cache.workflows.datasets import synthesize as run_synthesize

    outcome = run_synthesize(out, SyntheticConfig(faces, triplets, seed), console)
    console.result(outcome.in_words(), outcome.to_dict())


@fec.command("import-folder")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help=_OUT)
@click.option("--triplets", default=0, help="How many in all. [default: three per picture]")
@click.option("--test-share", default=0.2, show_default=True, help="Share of people in test.csv.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same files.")
@console_options
def import_folder(
    console: Console, source: Path, out: Path, triplets: int, test_share: float, seed: int
) -> None:
    """Make a set from labelled pictures: a folder per expression, or a CSV.

    The CSV has the columns image, identity, expression (left, right, top, bottom may be there too).
    The answers come from labels, not from raters, and are marked so.
    """
    from fec_cache.datasets.labelled.config import FolderConfig
    from fec_cache.workflows.datasets import import_pictures as run_import

    config = FolderConfig(triplets=triplets, test_share=test_share, seed=seed)
    outcome = run_import(source, out, config, console)
    console.result(outcome.in_words(), outcome.to_dict())


@fec.command()
@workspace_options("data_dir", "cache_dir", "runs_dir")
@run_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="The page to write. [default: report.html in the run]",
)
@click.option("--force", is_flag=True, help="Overwrite --out although it is no report.")
@click.option("--allow-overlap", is_flag=True, help="Insist although test faces were trained on.")
@click.option(
    "--against",
    metavar="RUNS",
    default=None,
    help="Runs to hold it against. [default: the original recipe on the same features, else on the "
    "pool]",
)
@console_options
def report(
    console: Console,
    workspace: Workspace,
    run_name: str | None,
    out: Path | None,
    force: bool,
    allow_overlap: bool,
    against: str | None,
) -> None:
    """Write one self-contained HTML page on a trained head: figures, plots, pictures.

    All seeds of the head's recipe in --runs are measured together. --run and --against take
    several runs as fec compare does: names parted by commas, or a quoted pattern as 'best-*'.
    """
    from fec_cache.workflows.report import write_report as run_report

    path = run_report(workspace, run_name, out, allow_overlap, console, force, against)
    console.result(f"Report: {path}", {"report": str(path)})


@fec.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="demo", show_default=True, help=_OUT
)
@_faces_option
@_triplets_option
@click.option(
    "--backbone",
    default=None,
    help="As fec extract takes it. [default: the best one whose weights are at hand]",
)
@console_options
def demo(console: Console, out: Path, faces: int, triplets: int, backbone: str | None) -> None:
    """Do the whole job on synthetic faces, with no download, and write a report."""
    from fec_cache.workflows.demo import demo as run_demo

    outcome = run_demo(out, faces, triplets, backbone, console)
    console.result(outcome.parts(), outcome.to_dict())


for command in (
    cache_group,
    extract,
    train_head,
    grid_search,
    leaderboard,
    evaluate,
    compare,
    predict,
    download,
):
    fec.add_command(command)


def main() -> None:
    """Entry point of `fec` and of `python cli.py`."""
    fec(prog_name="fec")
