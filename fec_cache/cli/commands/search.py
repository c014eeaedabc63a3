"""The command `fec grid-search`."""

from typing import Any

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.failures import ResumableCommand
from fec_cache.cli.options import (
    console_options,
    device_option,
    features_option,
    name_option,
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


@click.command("grid-search", cls=ResumableCommand, keeps="Finished points")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@features_option
@axis_options
@click.option(
    "--repeat-seeds",
    type=click.IntRange(1),
    help="Number of seeds per setting, counting up from --seed.",
)
@click.option(
    "--sampler",
    type=click.Choice(tuple(samplers())),
    default=DEFAULT_SAMPLER,
    show_default=True,
    help="grid: every combination; random: --trials random settings; tpe: --trials settings, drawn "
    "near good earlier ones.",
)
@click.option(
    "--sampler-seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the samplers random and tpe.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    show_default="the full grid",
    help="Number of settings to sample.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=seconds,
    metavar="TIME",
    help="Stop starting new runs after this long (e.g. 90s, 15m, 2h).",
)
@click.option(
    "--prune",
    "pruner",
    type=pruner,
    metavar="WORD",
    help="Stop weak settings early: halving, or halving:ETA to continue one in ETA.",
)
@click.option(
    "--choose",
    type=click.Choice(RULES),
    default=RULES[0],
    show_default=True,
    help="Head to keep. best: the highest accuracy; one-se: the smallest head within one standard "
    "error of it.",
)
@click.option("--retry-failed", is_flag=True, help="Retry points that failed before.")
@click.option(
    "--storage", metavar="URL", help="Also write an Optuna study, e.g. sqlite:///search.db."
)
@click.option("--plots/--no-plots", default=True, show_default=True, help="Plot the results.")
@options_of(PairConfig, "pairs")
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
    """Try many settings, resume after an interrupt, and keep the best head.

    Every option takes a list or a range: --head concat,symmetric --lr 1e-4..1e-2:log (a grid tries
    five values of a range; 1e-4..1e-2:log:9 gives nine). Settings are ranked by validation triplet
    accuracy, averaged over the seeds; the test split is not used. Each point is trained only once:
    the same command resumes where it stopped.
    """
    from fec_cache.workflows.checks import check_search, check_training

    axes = {field: options.pop(field) for field in FIELDS}
    space = space_from(axes, repeat_seeds)
    chosen = (options[name] for name in ("sampler", "trials", "sampler_seed", "choose"))
    check_search(space, *chosen)
    check_training(workspace, features, name, device)
    from fec_cache.workflows.search import grid_search as run_search
    from fec_cache.workflows.searching.request import SearchRequest
    from fec_cache.workflows.train import HeadRequest

    wanted = SearchRequest(space=space, **options)
    request = HeadRequest(features, pairs, name, device)
    outcome = run_search(workspace, request, wanted, console)
    console.result(outcome.parts(_TOP_SHOWN), outcome.to_dict())


COMMANDS = (grid_search,)
