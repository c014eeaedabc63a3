"""The command `fec compare`."""

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import console_options, workspace_options
from fec_cache.system.workspace import Workspace


@click.command("compare")
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@click.option("--allow-overlap", is_flag=True, help="Insist although test faces were trained on.")
@console_options
def compare(
    console: Console, run_a: str, run_b: str, workspace: Workspace, allow_overlap: bool
) -> None:
    """Say whether one head is better than another on the same test triplets.

    RUN_A and RUN_B are runs in --runs, or several seeds of one setting each: names parted by
    commas, or a quoted pattern as 'best-*'.
    """
    from fec_cache.workflows.compare import compare as run_compare

    outcome = run_compare(workspace, run_a, run_b, allow_overlap, console)
    console.result(outcome.parts(), outcome.to_dict())
