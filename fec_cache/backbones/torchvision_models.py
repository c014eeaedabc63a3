"""Backbones of torchvision: every classification model, with its first published weights."""

import functools
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fec_cache.backbones.base import Architecture, BackboneKind, PublishedFile, colours_of
from fec_cache.backbones.registry import register_kind

if TYPE_CHECKING:
    from torch import nn

_CLASSIFIERS = ("fc", "classifier", "heads", "head")
_AUXILIARY = ("aux1", "aux2", "AuxLogits")
_REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@register_kind
class TorchvisionModels(BackboneKind):
    """torchvision's classification models, under torchvision's names.

    If torchvision publishes several weights for a model, the first are used: IMAGENET1K_V1 if
    they exist.
    """

    def names(self) -> Sequence[str]:
        """Return the names of all classification models, such as resnet18."""
        return _names_in_source() or _names_in_registry()

    def architecture(self, name: str) -> Architecture:
        """Return the architecture of a model, prepared as for its published weights."""
        zoo = _zoo()
        published = next(iter(zoo.get_model_weights(name)))
        transform = published.transforms()
        options: dict[str, int] = {}
        if name.startswith("vit_"):
            options = {"image_size": transform.crop_size[0]}
        elif name in ("googlenet", "inception_v3"):
            # Their published weights were trained with another normalisation, to which the
            # network itself converts.
            options = {"transform_input": True, "aux_logits": False, "init_weights": True}
        return Architecture(
            build=lambda: zoo.get_model(name, weights=None, **options),
            cut=_cut,
            unused=(*_CLASSIFIERS, *_AUXILIARY),
            published=PublishedFile(name, published.url.rpartition("/")[2], published.url),
            input_size=transform.crop_size[0],
            mean=colours_of(transform.mean),
            std=colours_of(transform.std),
            rename=_densenet_name if name.startswith("densenet") else str,
        )


@functools.cache
def _names_in_source() -> tuple[str, ...]:
    """The models that torchvision's files register; empty if the files are not as expected.

    Importing torchvision takes seconds, and the name of a backbone is checked before that.
    """
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or ()
    paths = [path for folder in folders for path in sorted(Path(folder, "models").glob("*.py"))]
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return tuple(sorted(name for text in texts for name in _REGISTERED.findall(text)))


def _names_in_registry() -> list[str]:
    zoo = _zoo()
    names: list[str] = zoo.list_models(module=zoo)
    return names


def _zoo() -> Any:
    import torchvision.models

    return torchvision.models


def _densenet_name(name: str) -> str:
    # The published files are older than torchvision's names: "norm.1" is now "norm1".
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)


def _cut(network: "nn.Module") -> str:
    from torch import nn

    path = next(name for name in _CLASSIFIERS if hasattr(network, name))
    setattr(network, path, nn.Identity())
    return path
