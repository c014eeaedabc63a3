"""Backbones: a name becomes a frozen network that turns images into features.

Within `features`: `architectures` builds the network, `weights` finds its numbers, `stages` the
places to read, `layers` reads them; `extract` runs the result over all faces.

Names are torchvision's classification models, `efficientnet_lite0` (whose weights an installed
package brings along) and `timm:NAME` for any other model of timm. Of several weights that
torchvision publishes for a model the first is taken, IMAGENET1K_V1 wherever there is one.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fec_cache.backbones.architectures import (
    Architecture,
    Colours,
    backbone_names,
    find_architecture,
    has_timm,
)
from fec_cache.backbones.layers import POOL, FeatureReader, Readout, bind_words, check_words
from fec_cache.backbones.stages import find_stages
from fec_cache.backbones.weights import (
    OFFLINE_BACKBONE,
    Weights,
    WeightsOrigin,
    find_at_hand,
    find_weights,
    random_origin,
    random_seed,
    read_state,
    rename_state,
)
from fec_cache.errors import WeightsMismatch

__all__ = ["Backbone", "backbone_names", "load_backbone", "weights_at_hand"]

_KEYS_SHOWN = 4


@dataclass(frozen=True)
class Backbone:
    """A frozen network with all that one has to know to feed and to name it.

    `module` maps images [B, 3, S, S] float32, S = `input_size`, whose channels in [0, 1] had
    `mean` taken off and were divided by `std`, to {layer word: features [B, D] float32}.
    `widths` gives D of each layer, `shapes` the shape of one feature before it was flattened
    row-major: (512,), (256, 4, 4) for a grid [C, N, N], (49, 512) for a map [H * W, C].
    """

    name: str
    weights: WeightsOrigin
    module: nn.Module
    layers: tuple[str, ...]
    widths: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    input_size: int
    mean: Colours
    std: Colours


def weights_at_hand(name: str) -> str | None:
    """Say where on this machine a backbone's published weights are, None if nowhere. No network.

    Raises:
        UnknownBackbone: no backbone has this name.
    """
    if name == OFFLINE_BACKBONE and not has_timm():
        return None
    found = find_at_hand(find_architecture(name).published)
    return found and found[1]


def load_backbone(
    name: str,
    weights: str | None = None,
    layers: Sequence[str] = (POOL,),
    *,
    expected_identity: str | None = None,
    allow_download: bool = True,
) -> Backbone:
    """Build a frozen network by name, with real weights unless random ones are asked for.

    Args:
        name: one of `backbone_names()`, or `timm:NAME`.
        weights: a file with a state dict, "random:SEED", or None for the published weights.
        layers: layer words, see `layers`.
        expected_identity: identity that the weights must have.
        allow_download: whether missing weights may be downloaded.

    Raises:
        UnknownBackbone: no backbone has this name.
        BadOption: a layer word that this backbone does not have, or a bad seed.
        WeightsNotFound: no weights at hand and none to download.
        WeightsMismatch: the weights are damaged, do not fit, or are not the expected ones.
    """
    words = check_words(layers)
    seed = random_seed(weights)
    architecture = find_architecture(name)
    network = _build(architecture, seed)
    stages = find_stages(network, architecture.input_size, architecture.cut(network))
    readouts = bind_words(words, stages, name)
    if seed is None:
        path, origin = find_weights(weights, architecture.published, allow_download=allow_download)
        _check_identity(name, origin, expected_identity)
        state = rename_state(read_state(path), architecture.rename, architecture.unused)
        _fill(network, Weights(origin.identity, origin.source, state), name)
    else:
        origin = random_origin(seed, network.state_dict())
        _check_identity(name, origin, expected_identity)
    return _backbone(name, origin, FeatureReader(network, readouts), readouts, architecture)


def _backbone(
    name: str,
    origin: WeightsOrigin,
    reader: FeatureReader,
    readouts: Sequence[Readout],
    architecture: Architecture,
) -> Backbone:
    return Backbone(
        name=name,
        weights=origin,
        module=reader,
        layers=tuple(readout.word for readout in readouts),
        widths={readout.word: readout.width for readout in readouts},
        shapes={readout.word: readout.shape for readout in readouts},
        input_size=architecture.input_size,
        mean=architecture.mean,
        std=architecture.std,
    )


def _build(architecture: Architecture, seed: int | None) -> nn.Module:
    """Build the network with weights drawn from the seed; nobody else's draws are disturbed."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed or 0)
        return architecture.build().eval()


def _check_identity(name: str, origin: WeightsOrigin, expected: str | None) -> None:
    if expected is not None and origin.identity != expected:
        raise WeightsMismatch(
            f"{name} was asked for with weights {expected}, but {origin.source} holds "
            f"{origin.identity}. Name the right file: --weights FILE."
        )


def _fill(network: nn.Module, weights: Weights, name: str) -> None:
    state = weights.state
    if not hasattr(state, "_metadata"):
        # .safetensors has no room for torch's format versions; without one, MNASNet refuses.
        state = OrderedDict(state)
        state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        result = network.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        raise _do_not_fit(weights, name, " ".join(str(error).split())) from error
    # Files older than this counter lack it, and evaluation does not read it.
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        faults = {"missing": missing, "unexpected": result.unexpected_keys}
        told = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in faults.items() if keys]
        raise _do_not_fit(weights, name, " and ".join(told))


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_KEYS_SHOWN]) + (", ..." if len(keys) > _KEYS_SHOWN else "")


def _do_not_fit(weights: Weights, name: str, reason: str) -> WeightsMismatch:
    return WeightsMismatch(
        f"The weights {weights.source} do not fit {name}: {reason[:400]}. "
        f"Name the file of this backbone, or the backbone of this file."
    )
