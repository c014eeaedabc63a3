"""The command `fec predict`."""

from pathlib import Path

import click

from fec_cache.cli.console import Console
from fec_cache.cli.options import (
    box_sides,
    console_options,
    device_option,
    run_option,
    workspace_options,
)
from fec_cache.datasets.boxes import Box
from fec_cache.system.workspace import Workspace


@click.command("predict")
@click.argument("picture_a", metavar="A", type=click.Path(path_type=Path))
@click.argument("picture_b", metavar="B", type=click.Path(path_type=Path))
@click.option(
    "--box",
    "boxes",
    type=box_sides,
    multiple=True,
    metavar="L,R,T,B",
    show_default="the annotated box of a picture in --data, else the whole picture",
    help="Left, right, top and bottom of the face, as fractions of the picture: once for both "
    "pictures, or once for each.",
)
@workspace_options("data_dir", "runs_dir")
@run_option
@click.option(
    "--weights",
    multiple=True,
    metavar="FILE",
    help="Weights file of the backbone, if not found automatically; repeat for each backbone.",
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
    from fec_cache.workflows.checks import check_prediction

    if len(boxes) > 2:
        raise click.UsageError("Give --box once for both pictures, or once for each.")
    paths = (picture_a, picture_b)
    folder = check_prediction(workspace, run_name, paths)
    from fec_cache.workflows.predict import predict as predict_pair

    verdict = predict_pair(workspace, folder, paths, boxes, weights, device, console)
    console.result(verdict.in_words(), verdict.to_dict())


COMMANDS = (predict,)
