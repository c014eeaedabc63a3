"""Commands of stage two: train-head, evaluate, predict."""

from pathlib import Path

import click

from fec_cache.cli.console import Console
from fec_cache.cli.failures import INTERRUPTED
from fec_cache.cli.field_help import FIELD_HELP
from fec_cache.cli.options import (
    box_sides,
    config_options,
    console_options,
    device_option,
    features_option,
    hidden_sizes,
    pair_options,
    run_option,
    workspace_options,
)
from fec_cache.datasets.boxes import Box
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_names, start_names
from fec_cache.pairs.config import PairConfig
from fec_cache.search.space import Point
from fec_cache.system.wording import counted
from fec_cache.system.workspace import Workspace
from fec_cache.training.config import LOSSES, OPTIMIZERS, TrainConfig

_HEAD = (
    click.option(
        "--head",
        type=click.Choice(head_names()),
        default=HeadConfig.head,
        show_default=True,
        help=FIELD_HELP["head"],
    ),
    click.option(
        "--hidden",
        type=hidden_sizes,
        default="256",
        show_default=True,
        metavar="WIDTHS",
        help=FIELD_HELP["hidden"],
    ),
    click.option(
        "--dropout",
        default=HeadConfig.dropout,
        show_default=True,
        help=FIELD_HELP["dropout"],
    ),
    click.option(
        "--embedding-dim",
        default=HeadConfig.embedding_dim,
        show_default=True,
        help=FIELD_HELP["embedding_dim"],
    ),
    click.option(
        "--prepare",
        metavar="WORD",
        default=None,
        help=f"{FIELD_HELP['prepare']} [default: none for concat, else standardize]",
    ),
    click.option(
        "--init",
        type=click.Choice(start_names()),
        default=HeadConfig.init,
        show_default=True,
        help=FIELD_HELP["init"],
    ),
    click.option("--both-orders", is_flag=True, help=FIELD_HELP["both_orders"]),
    click.option(
        "--shrinkage",
        type=float,
        default=HeadConfig.shrinkage,
        help=f"{FIELD_HELP['shrinkage']} [default: by validation]",
    ),
    click.option(
        "--components",
        type=int,
        default=HeadConfig.components,
        help=f"{FIELD_HELP['components']} [default: by validation]",
    ),
)
_TRAIN = (
    click.option("--lr", default=TrainConfig.lr, show_default=True, help=FIELD_HELP["lr"]),
    click.option(
        "--epochs", default=TrainConfig.epochs, show_default=True, help=FIELD_HELP["epochs"]
    ),
    click.option(
        "--batch-size",
        default=TrainConfig.batch_size,
        show_default=True,
        help=FIELD_HELP["batch_size"],
    ),
    click.option(
        "--loss",
        type=click.Choice(LOSSES),
        default=TrainConfig.loss,
        show_default=True,
        help=FIELD_HELP["loss"],
    ),
    click.option(
        "--optimizer",
        type=click.Choice(OPTIMIZERS),
        default=TrainConfig.optimizer,
        show_default=True,
        help=FIELD_HELP["optimizer"],
    ),
    click.option(
        "--weight-decay",
        default=TrainConfig.weight_decay,
        show_default=True,
        help=FIELD_HELP["weight_decay"],
    ),
    click.option(
        "--patience",
        default=TrainConfig.patience,
        show_default=True,
        help=FIELD_HELP["patience"],
    ),
    click.option("--seed", default=TrainConfig.seed, show_default=True, help=FIELD_HELP["seed"]),
)


name_option = click.option(
    "--name", default=None, help="Name of the run. [default: made from the settings]"
)


@click.command("train-head")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@features_option
@config_options(HeadConfig, "head_config", _HEAD)
@config_options(TrainConfig, "train_config", _TRAIN)
@pair_options
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


@click.command("evaluate")
@workspace_options("data_dir", "cache_dir", "runs_dir")
@run_option
@click.option("--allow-overlap", is_flag=True, help="Insist although test faces were trained on.")
@console_options
def evaluate(
    console: Console,
    workspace: Workspace,
    run_name: str | None,
    allow_overlap: bool,
) -> None:
    """Measure a trained head on the test split: triplet accuracy by type, with intervals."""
    from fec_cache.reports.evaluation_tables import evaluation_parts
    from fec_cache.runs.find import find_run
    from fec_cache.workflows.evaluate import evaluate as run_evaluate

    folder = find_run(workspace, run_name)
    outcome = run_evaluate(workspace, folder, allow_overlap, console)
    console.result(evaluation_parts(outcome), outcome.to_dict())


@click.command("predict")
@click.argument("picture_a", metavar="A", type=click.Path(path_type=Path))
@click.argument("picture_b", metavar="B", type=click.Path(path_type=Path))
@click.option(
    "--box",
    "boxes",
    type=box_sides,
    multiple=True,
    metavar="L,R,T,B",
    help="The face as fractions; once for both, or once each. [default: as annotated for pictures "
    "of --data, else the whole picture]",
)
@workspace_options("data_dir", "runs_dir")
@run_option
@click.option(
    "--weights",
    multiple=True,
    metavar="FILE",
    help="The backbone's weights file, if not found; once for each of several backbones.",
)
@device_option
@console_options
def predict(
    console: Console,
    picture_a: Path,
    picture_b: Path,
    boxes: tuple[Box, ...],
    workspace: Workspace,
    run_name: str | None,
    weights: tuple[str, ...],
    device: str,
) -> None:
    """Say whether two pictures show similar or different expressions."""
    from fec_cache.runs.find import find_run
    from fec_cache.workflows.predict import predict as predict_pair

    if len(boxes) > 2:
        raise click.UsageError("--box may be given once for both pictures, or once for each.")
    folder = find_run(workspace, run_name)
    paths = (picture_a, picture_b)
    verdict = predict_pair(workspace, folder, paths, boxes, weights, device, console)
    console.result(verdict.in_words(), verdict.to_dict())
