"""The command `fec download`."""

from pathlib import Path

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.failures import ResumableCommand
from fec_cache.cli.options import console_options, workspace_options
from fec_cache.datasets.download.config import DownloadConfig
from fec_cache.system.workspace import Workspace


@click.command("download", cls=ResumableCommand, keeps="Finished pictures")
@workspace_options("data_dir")
@click.option(
    "--csv",
    "csv_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="train.csv and test.csv in --data",
    help="CSV file in FEC's format; repeat the option for several.",
)
@click.option(
    "--status", "only_status", is_flag=True, help="Only show what was downloaded, and what failed."
)
@options_of(DownloadConfig, "config")
@console_options
def download(
    console: Console,
    workspace: Workspace,
    csv_paths: tuple[Path, ...],
    only_status: bool,
    config: DownloadConfig,
) -> None:
    """Download FEC's images from their URLs, each one once, with limits per host.

    Resumes where an earlier run stopped. DATA/download.sqlite lists the missing images with the
    reasons; DATA/survivors.json identifies the set of images that were found.
    """
    from fec_cache.workflows.download import download as run_download
    from fec_cache.workflows.download import download_status as run_status

    if only_status:
        outcome = run_status(workspace)
    else:
        outcome = run_download(workspace, csv_paths, config, console)
    console.result(outcome.parts(), outcome.to_dict())


COMMANDS = (download,)
