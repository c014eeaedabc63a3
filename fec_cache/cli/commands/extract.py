"""The command `fec extract`."""

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.failures import ResumableCommand
from fec_cache.cli.options import console_options, workspace_options
from fec_cache.extraction.config import ExtractConfig
from fec_cache.system.workspace import Workspace


@click.command("extract", cls=ResumableCommand, keeps="Finished shards")
@workspace_options("data_dir", "cache_dir")
@options_of(ExtractConfig, "config")
@console_options
def extract(console: Console, workspace: Workspace, config: ExtractConfig) -> None:
    """Stage one: run every face once through a frozen backbone and store its features.

    Resumes where an earlier run stopped, and retries faces that failed.
    """
    from fec_cache.workflows.checks import check_extract

    check_extract(workspace, config)
    from fec_cache.workflows.extract import extract as run_extract

    outcome = run_extract(workspace, config, console)
    console.result(outcome.in_words(), outcome.to_dict())


COMMANDS = (extract,)
