"""Backbones of timm: `timm:NAME` for any of its models."""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from fec_cache.backbones.base import Architecture, BackboneKind, PublishedFile, colours_of
from fec_cache.backbones.registry import register_kind, unknown_backbone
from fec_cache.errors import BadOption
from fec_cache.system.extras import require

PREFIX = "timm:"


@register_kind
class TimmModels(BackboneKind):
    """timm's models as `timm:NAME`; timm comes with the extra `offline`."""

    prefix = PREFIX

    def names(self) -> Sequence[str]:
        """Return nothing: timm has more than a thousand models."""
        return ()

    def architecture(self, name: str) -> Architecture:
        """Return the architecture of `timm:NAME`.

        Raises:
            UnknownBackbone: timm has no model of this name.
            BadOption: the model needs images that are not square.
            MissingExtra: timm is not installed.
        """
        return timm_architecture(name.removeprefix(PREFIX))

    def is_installed(self) -> bool:
        """Whether timm is installed."""
        return has_timm()


def timm_architecture(name: str, published: PublishedFile | None = None) -> Architecture:
    """Return the architecture of a timm model.

    Args:
        name: timm's name, without prefix.
        published: where its weights can be found, if not on the Hugging Face hub.

    Raises:
        UnknownBackbone: timm has no model of this name.
        BadOption: the model needs images that are not square.
        MissingExtra: timm is not installed.
    """
    timm: Any = require("timm", "offline")
    if not timm.is_model(name):
        raise unknown_backbone(
            f"{PREFIX}{name}", [f"{PREFIX}{other}" for other in timm.list_models()]
        )
    config = timm.get_pretrained_cfg(name).to_dict()
    _, height, width = config["input_size"]
    if height != width:
        raise BadOption(
            f"{PREFIX}{name} needs images of {height} x {width} pixels, but face crops are square. "
            "Choose another backbone."
        )
    classifiers = config.get("classifier") or ()
    return Architecture(
        build=lambda: timm.create_model(name, pretrained=False),
        cut=_cut,
        unused=(classifiers,) if isinstance(classifiers, str) else tuple(classifiers),
        published=published or PublishedFile(f"{PREFIX}{name}", hint=_hint(config)),
        input_size=height,
        mean=colours_of(config["mean"]),
        std=colours_of(config["std"]),
    )


def has_timm() -> bool:
    """Whether timm is installed; timm itself is not imported."""
    return importlib.util.find_spec("timm") is not None


def _cut(network: Any) -> str:
    network.reset_classifier(0)
    return ""


def _hint(config: Mapping[str, Any]) -> str:
    page = config.get("hf_hub_id")
    return f"get model.safetensors from https://huggingface.co/{page}, then (1)" if page else ""
