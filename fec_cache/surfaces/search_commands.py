"""Commands of the search: grid-search."""

from collections.abc import Callable
from typing import Any

import click

from fec_cache.config import PairConfig
from fec_cache.search.space import DEFAULT_GRID, grid
from fec_cache.surfaces.console import Console
from fec_cache.surfaces.folders import Workspace
from fec_cache.surfaces.head_commands import PREPARE_HELP, name_option
from fec_cache.surfaces.options import (
    Command,
    console_options,
    device_option,
    features_option,
    float_list,
    hidden_list,
    int_list,
    pair_options,
    word_list,
    workspace_options,
)

_TOP_SHOWN = 10


def _list_option(name: str, parse: Callable[[str], Any], text: str = "") -> Command:
    """An option that takes a list, with the default grid's values."""
    values = DEFAULT_GRID[name]
    listed = ",".join("-".join(map(str, v)) if isinstance(v, tuple) else f"{v}" for v in values)
    flag = f"--{name.replace('_', '-')}"
    return click.option(
        flag, type=parse, metavar="LIST", default=listed, show_default=True, help=text
    )


@click.command("grid-search")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@features_option
@_list_option("head", word_list)
@_list_option("hidden", hidden_list, "Hidden layers, as 128,512-128,none.")
@_list_option("dropout", float_list)
@_list_option("embedding_dim", int_list)
@click.option("--prepare", type=word_list, metavar="LIST", default=None, help=PREPARE_HELP)
@_list_option("lr", float_list)
@_list_option("epochs", int_list)
@_list_option("batch_size", int_list)
@_list_option("loss", word_list)
@_list_option("optimizer", word_list)
@_list_option("weight_decay", float_list)
@_list_option("patience", int_list)
@_list_option("seed", int_list, "Several seeds: settings are ranked by their mean.")
@pair_options
@name_option
@click.option("--retry-failed", is_flag=True, help="Try points again that failed before.")
@device_option
@console_options
def grid_search(
    console: Console,
    workspace: Workspace,
    features: str | None,
    prepare: tuple[str, ...] | None,
    pairs: PairConfig,
    name: str | None,
    retry_failed: bool,
    device: str,
    **values: tuple[object, ...],
) -> None:
    """Try every combination of settings; resumes by default and keeps the best head.

    Every option takes a list: --lr 1e-4,1e-3 --hidden 128,256 --head concat,symmetric. Settings are
    ranked by validation triplet accuracy, averaged over the seeds; the test split is not looked at.
    """
    from fec_cache.surfaces.search_job import run_search
    from fec_cache.surfaces.train_job import HeadRequest

    points = grid({"prepare": prepare or (None,), **values})
    request = HeadRequest(features, pairs, name, device)
    outcome = run_search(workspace, request, points, retry_failed, console)
    console.result(outcome.in_words(_TOP_SHOWN), outcome.to_dict())
