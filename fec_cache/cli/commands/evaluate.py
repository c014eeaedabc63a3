"""Commands that measure trained heads on the test split: evaluate, compare."""

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import console_options, overlap_option, run_option, workspace_options
from fec_cache.system.workspace import Workspace


@click.command("evaluate")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@run_option
@overlap_option
@console_options
def evaluate(
    console: Console, workspace: Workspace, run_name: str | None, allow_overlap: bool
) -> None:
    """Measure a trained head on the test split: triplet accuracy by type, with intervals."""
    from fec_cache.workflows.checks import check_evaluation

    check_evaluation(workspace, run_name)
    from fec_cache.reports.evaluation_tables import evaluation_parts
    from fec_cache.workflows.evaluate import evaluate as run_evaluate

    outcome = run_evaluate(workspace, run_name, allow_overlap, console)
    console.result(evaluation_parts(outcome), outcome.to_dict())


@click.command("compare")
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@overlap_option
@console_options
def compare(
    console: Console, run_a: str, run_b: str, workspace: Workspace, allow_overlap: bool
) -> None:
    """Say whether one head is better than another on the same test triplets.

    RUN_A and RUN_B are each a run in --runs, or several seeds of one setting: a comma-separated
    list of names, or a quoted pattern such as 'best-*'.
    """
    from fec_cache.workflows.checks import check_comparison

    check_comparison(workspace, run_a, run_b)
    from fec_cache.workflows.compare import compare as run_compare

    outcome = run_compare(workspace, run_a, run_b, allow_overlap, console)
    console.result(outcome.parts(), outcome.to_dict())


COMMANDS = (evaluate, compare)
