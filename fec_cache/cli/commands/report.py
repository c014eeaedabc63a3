"""The command `fec report`."""

from pathlib import Path

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import console_options, overlap_option, run_option, workspace_options
from fec_cache.system.workspace import Workspace


@click.command("report")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@run_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="report.html in the run",
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Overwrite --out even if it is not a report.")
@overlap_option
@click.option(
    "--against",
    metavar="RUNS",
    show_default="the original recipe on the same features, else on avgpool",
    help="Runs to compare with.",
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
    """Write a self-contained HTML page about a trained head: figures, plots, pictures.

    All seeds of the head's recipe in --runs are measured together. --run and --against also take
    several runs: a comma-separated list of names, or a quoted pattern such as 'best-*'.
    """
    from fec_cache.workflows.checks import check_report

    check_report(workspace, run_name, against)
    from fec_cache.workflows.report import write_report as run_report

    path = run_report(workspace, run_name, out, allow_overlap, console, force, against)
    console.result(f"Report: {path}", {"report": str(path)})


COMMANDS = (report,)
