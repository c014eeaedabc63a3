"""`fec extract`: the options of stage one."""

import dataclasses
from dataclasses import dataclass

import click

from fec_cache.cache.recipe import STORE_DTYPES, FeatureRecipe
from fec_cache.cli.console import Console
from fec_cache.cli.options import (
    config_options,
    console_options,
    device_option,
    word_list,
    workspace_options,
)
from fec_cache.faces.crop import DECODERS, CropConfig
from fec_cache.inference.config import PRECISIONS
from fec_cache.system.workspace import Workspace

VIEWS = ("off", "on", "both")


@dataclass(frozen=True)
class FeatureChoice:
    """Everything but backbone and layer that changes a feature, as it was asked for."""

    crop_margin: float
    decode: str
    precision: str
    flip: str
    store_dtype: str


feature_options = config_options(
    FeatureChoice,
    "choice",
    (
        click.option(
            "--crop-margin",
            default=CropConfig.margin,
            show_default=True,
            help="Around the box, in parts of its side.",
        ),
        click.option(
            "--decode",
            type=click.Choice(("auto", *DECODERS)),
            default="auto",
            show_default=True,
            help="JPEGs: scaled, no larger than the crop needs; full, whole; gpu, whole by nvJPEG. "
            "auto: scaled, or gpu if a GPU is used and a short measurement finds that faster.",
        ),
        click.option(
            "--precision",
            type=click.Choice(("auto", *PRECISIONS)),
            default="auto",
            show_default=True,
            help="auto: bf16 where the hardware has it and the features allow it.",
        ),
        click.option(
            "--flip",
            type=click.Choice(VIEWS),
            is_flag=False,
            flag_value="on",
            default="off",
            show_default=True,
            help="Mean with the mirrored face; both: the plain features too, in the same pass.",
        ),
        click.option(
            "--store-dtype",
            type=click.Choice(STORE_DTYPES),
            default=FeatureRecipe.store_dtype,
            show_default=True,
            help="How features are stored.",
        ),
    ),
)


@click.command()
@workspace_options("data_dir", "cache_dir")
@click.option(
    "--backbone",
    default="resnet18",
    show_default=True,
    help="A model of torchvision, efficientnet_lite0, or timm:NAME.",
)
@click.option(
    "--layer",
    "layers",
    type=word_list,
    metavar="WORDS",
    default="avgpool",
    show_default=True,
    help="avgpool, layer1 to layer4, layer3:grid4, layer4:map; several parted by commas.",
)
@click.option("--weights", default=None, help="A file, or random:SEED. [default: the trained ones]")
@feature_options
@device_option
@click.option("--devices", help="A process on each: 0,1 for two GPUs. [default: --device alone]")
@click.option(
    "--compile",
    "compiling",
    type=click.Choice(("auto", "on", "off")),
    default="auto",
    show_default=True,
    help="torch.compile. auto: beside the work, if that is long, and used only if it is faster.",
)
@click.option(
    "--batch-size", type=int, help="Faces a forward pass. [default: 16 on a CPU, else 128]"
)
@click.option("--workers", default=0, help="Threads. [default: one per core]")
@click.option("--memory-gb", type=float, help="For pictures and shards. [default: 1/4 of the free]")
@click.option(
    "--image-timeout",
    default=60.0,
    show_default=True,
    help="Seconds until an image that hangs is given up, in reading or in decoding.",
)
@click.option("--shard-faces", default=1024, show_default=True, help="Faces in a shard, at most.")
@click.option("--rehash", is_flag=True, help="Read every image again, whatever its date says.")
@console_options
def extract(
    console: Console,
    workspace: Workspace,
    backbone: str,
    layers: tuple[str, ...],
    weights: str | None,
    choice: FeatureChoice,
    device: str,
    devices: str | None,
    compiling: str,
    batch_size: int | None,
    workers: int,
    memory_gb: float | None,
    image_timeout: float,
    shard_faces: int,
    rehash: bool,
) -> None:
    """Stage one: run every face once through a frozen backbone and store its features.

    Resumes where an earlier run ended, and tries faces again that failed.
    """
    from fec_cache.extraction.devices import device_names
    from fec_cache.extraction.run import ExtractOptions
    from fec_cache.workflows.extract import ExtractRequest
    from fec_cache.workflows.extract import extract as run_extract

    names = device_names(devices or device)
    options = ExtractOptions(
        names[0], batch_size, workers, shard_faces, compiling, memory_gb, image_timeout
    )
    asked = dataclasses.asdict(choice)
    request = ExtractRequest(
        backbone, layers, weights, options=options, rehash=rehash, devices=names, **asked
    )
    outcome = run_extract(workspace, request, console)
    console.result(outcome.in_words(), outcome.to_dict())
