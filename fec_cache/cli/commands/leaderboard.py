"""The command `fec leaderboard`."""

from pathlib import Path

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import console_options, workspace_options
from fec_cache.system.workspace import Workspace


@click.command("leaderboard")
@workspace_options("runs_dir")
@click.option(
    "--sort",
    default="validation",
    show_default=True,
    metavar="COLUMN",
    help="run, backbone, layer, head, loss, validation, test, low or high (ends of the 95 % "
    "interval), seconds, triplets, note.",
)
@click.option(
    "--csv", "csv_path", type=click.Path(path_type=Path), help="Also write the table to this file."
)
@console_options
def leaderboard(console: Console, workspace: Workspace, sort: str, csv_path: Path | None) -> None:
    """Show all trained heads as one table: features, head, loss, accuracy, training time."""
    from fec_cache.workflows.leaderboard import leaderboard as run_leaderboard

    board = run_leaderboard(workspace, sort, csv_path, console)
    console.result(board.parts(), board.to_dict())
    if csv_path is not None:
        console.message(f"Table: {csv_path}")


COMMANDS = (leaderboard,)
