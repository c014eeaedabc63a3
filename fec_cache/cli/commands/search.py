"""Commands of the search: grid-search and leaderboard."""

from pathlib import Path
from typing import Any

import click

from fec_cache.cli.commands.heads import name_option
from fec_cache.cli.console import Console
from fec_cache.cli.options import (
    console_options,
    device_option,
    features_option,
    pair_options,
    workspace_options,
)
from fec_cache.cli.search_options import axis_options, pruner, seconds
from fec_cache.pairs.config import PairConfig
from fec_cache.search.choice import RULES
from fec_cache.search.samplers.base import DEFAULT_SAMPLER, samplers
from fec_cache.search.space import space_from
from fec_cache.search.values import FIELDS
from fec_cache.system.workspace import Workspace

_TOP_SHOWN = 10


@click.command("grid-search")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@features_option
@axis_options
@click.option(
    "--repeat-seeds", type=click.IntRange(1), help="So many seeds, from --seed on, for each."
)
@click.option(
    "--sampler",
    type=click.Choice(tuple(samplers())),
    default=DEFAULT_SAMPLER,
    show_default=True,
    help="grid: every combination; random: --trials of them; tpe: later ones near good ones.",
)
@click.option(
    "--sampler-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of random and tpe.",
)
@click.option("--trials", type=click.IntRange(1), help="So many settings. [default: the grid]")
@click.option(
    "--timeout", "timeout_s", type=seconds, metavar="TIME", help="Begin nothing after 90s, 15m, 2h."
)
@click.option(
    "--prune",
    "pruner",
    type=pruner,
    metavar="WORD",
    help="halving, or halving:ETA: one in ETA goes on.",
)
@click.option(
    "--choose",
    type=click.Choice(RULES),
    default=RULES[0],
    show_default=True,
    help="best, or one-se: the smallest head within one standard error of the best.",
)
@click.option("--retry-failed", is_flag=True, help="Try points again that failed before.")
@click.option("--storage", metavar="URL", help="An Optuna study too, as sqlite:///search.db.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw the results.")
@pair_options
@name_option
@device_option
@console_options
def grid_search(
    console: Console,
    workspace: Workspace,
    features: str | None,
    pairs: PairConfig,
    name: str | None,
    device: str,
    repeat_seeds: int | None,
    **options: Any,
) -> None:
    """Try many settings, resume where it broke off, and keep the best head.

    Every option takes a list or a range: --head concat,symmetric --lr 1e-4..1e-2:log (a grid tries
    five values of it, 1e-4..1e-2:log:9 nine). Settings are ranked by validation triplet accuracy,
    averaged over the seeds; the test split is not looked at. One point is trained once, whatever
    happens; the same command goes on where it ended.
    """
    from fec_cache.workflows.search import grid_search as run_search
    from fec_cache.workflows.searching.request import SearchRequest
    from fec_cache.workflows.train import HeadRequest

    axes = {field: options.pop(field) for field in FIELDS}
    wanted = SearchRequest(space=space_from(axes, repeat_seeds), **options)
    request = HeadRequest(features, pairs, name, device)
    outcome = run_search(workspace, request, wanted, console)
    console.result(outcome.parts(_TOP_SHOWN), outcome.to_dict())


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
    "--csv", "csv_path", type=click.Path(path_type=Path), help="Write the table into this file too."
)
@console_options
def leaderboard(console: Console, workspace: Workspace, sort: str, csv_path: Path | None) -> None:
    """Show all trained heads as one table: features, head, loss, figures, seconds."""
    from fec_cache.workflows.leaderboard import leaderboard as run_leaderboard

    board = run_leaderboard(workspace, sort, csv_path, console)
    console.result(board.parts(), board.to_dict())
    if csv_path is not None:
        console.message(f"Table: {csv_path}")
