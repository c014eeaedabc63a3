"""The command `fec train-head`."""

import click

from fec_cache.cli.config_options import options_of
from fec_cache.cli.console import Console
from fec_cache.cli.failures import INTERRUPTED
from fec_cache.cli.options import (
    console_options,
    device_option,
    features_option,
    name_option,
    workspace_options,
)
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.config import PairConfig
from fec_cache.search.space import Point
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace
from fec_cache.training.config import TrainConfig


@click.command("train-head")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@features_option
@options_of(HeadConfig, "head_config")
@options_of(TrainConfig, "train_config")
@options_of(PairConfig, "pairs")
@name_option
@device_option
@console_options
def train_head(
    console: Console,
    workspace: Workspace,
    features: str | None,
    head_config: HeadConfig,
    train_config: TrainConfig,
    pairs: PairConfig,
    name: str | None,
    device: str,
) -> None:
    """Stage two: train a pair classifier on cached features. Defaults are the original recipe."""
    from fec_cache.workflows.checks import check_training

    check_training(workspace, features, name, device)
    from fec_cache.workflows.train import HeadRequest
    from fec_cache.workflows.train import train as run_train

    request = HeadRequest(features, pairs, name, device)
    outcome = run_train(workspace, request, Point(head_config, train_config), console)
    console.result(outcome.in_words(), outcome.to_dict())
    if outcome.trained.result.interrupted:
        epochs = len(outcome.trained.result.history)
        click.echo(
            f"Interrupted: the best of {counted(epochs, 'epoch')} so far is saved.", err=True
        )
        click.get_current_context().exit(INTERRUPTED)


COMMANDS = (train_head,)
