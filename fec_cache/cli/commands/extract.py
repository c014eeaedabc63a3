"""`fec extract`: the options of stage one."""

import dataclasses
from typing import Any

import click

from fec_cache.cache.recipe import STORE_DTYPES
from fec_cache.cli.console import Console
from fec_cache.cli.options import config_options, console_options, word_list, workspace_options
from fec_cache.extraction.config import (
    COMPILE_CHOICES,
    DECODE_CHOICES,
    FLIPS,
    PRECISION_CHOICES,
    ExtractConfig,
    split_devices,
)
from fec_cache.system.workspace import Workspace

_FIELDS = {field.name: field for field in dataclasses.fields(ExtractConfig)}


def _option(flag: str, name: str, **more: Any) -> Any:
    """The option of one field: its default, unless `more` has one, and its help."""
    field = _FIELDS[name]
    default = more.pop("default", field.default)
    shown = default not in (None, (), 0, False)
    help_text = field.metadata["help"]
    return click.option(flag, name, default=default, show_default=shown, help=help_text, **more)


def _device_list(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """`0,1` -> ("cuda:0", "cuda:1")."""
    # A callback and no type: click hides the text of errors that a type raises.
    return split_devices(text) if text else ()


_OPTIONS = (
    _option("--backbone", "backbone"),
    _option("--layer", "layers", type=word_list, metavar="WORDS", default="avgpool"),
    _option("--weights", "weights"),
    _option("--crop-margin", "crop_margin"),
    _option("--decode", "decode", type=click.Choice(DECODE_CHOICES)),
    _option("--precision", "precision", type=click.Choice(PRECISION_CHOICES)),
    _option("--flip", "flip", type=click.Choice(tuple(FLIPS)), is_flag=False, flag_value="on"),
    _option("--store-dtype", "store_dtype", type=click.Choice(STORE_DTYPES)),
    _option("--device", "device"),
    _option("--devices", "devices", default=None, callback=_device_list),
    _option("--compile", "compile", type=click.Choice(COMPILE_CHOICES)),
    _option("--batch-size", "batch_size", type=int),
    _option("--workers", "num_workers"),
    _option("--memory-gb", "memory_gb", type=float),
    _option("--image-timeout", "image_timeout_s"),
    _option("--shard-faces", "shard_faces"),
    _option("--rehash", "rehash", is_flag=True),
)


@click.command()
@workspace_options("data_dir", "cache_dir")
@config_options(ExtractConfig, "config", _OPTIONS)
@console_options
def extract(console: Console, workspace: Workspace, config: ExtractConfig) -> None:
    """Stage one: run every face once through a frozen backbone and store its features.

    Resumes where an earlier run ended, and retries faces that failed.
    """
    from fec_cache.workflows.extract import extract as run_extract

    outcome = run_extract(workspace, config, console)
    console.result(outcome.in_words(), outcome.to_dict())
