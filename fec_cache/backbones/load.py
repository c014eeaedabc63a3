"""Loading a backbone: a name becomes a frozen network that turns images into features.

The flow inside `backbones`: `registry` finds the architecture, `weights` the file, `stages` the
modules to read, `layers` reads them; `extraction` runs the result over all faces.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fec_cache.backbones.base import Architecture, Backbone, WeightsOrigin
from fec_cache.backbones.layers import POOL, FeatureReader, Readout, bind_words, check_words
from fec_cache.backbones.registry import find_architecture, find_kind, ways_without_download
from fec_cache.backbones.stages import find_stages
from fec_cache.backbones.weights import (
    Weights,
    find_local_file,
    find_weights,
    random_origin,
    random_seed,
    read_state,
    rename_state,
)
from fec_cache.errors import WeightsMismatch

_NUM_KEYS_SHOWN = 4
_MAX_REASON_CHARS = 400


def find_local_weights(name: str) -> str | None:
    """Return where on this machine a backbone's published weights are, None if they are not.

    Nothing is downloaded. None as well if the backbone needs an extra that is not installed.

    Raises:
        UnknownBackbone: no backbone has this name.
    """
    if not find_kind(name).is_installed():
        return None
    local = find_local_file(find_architecture(name).published)
    return local and local[1]


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
        name: one of `registry.backbone_names()`, or a name with a prefix, such as `timm:NAME`.
        weights: a file with a state dict, "random:SEED", or None for the published weights.
        layers: layer words, see `layers`.
        expected_identity: identity that the weights must have.
        allow_download: whether missing weights may be downloaded.

    Raises:
        UnknownBackbone: no backbone has this name.
        BadOption: an invalid seed, or a layer that this backbone lacks; before any download.
        WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        WeightsMismatch: the weights are damaged, do not fit, or are not the expected ones.
    """
    words = check_words(layers)
    seed = random_seed(weights)
    architecture = find_architecture(name)
    network = _build(architecture, seed)
    stages = find_stages(network, architecture.input_size, architecture.cut(network))
    readouts = bind_words(words, stages, name)
    if seed is None:
        ways = ways_without_download(name)
        path, origin = find_weights(
            weights, architecture.published, allow_download=allow_download, other_ways=ways
        )
        _check_identity(name, origin, expected_identity)
        _fill(network, _read_weights(path, origin, architecture), name)
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
    """Build the network with weights drawn from the seed; torch's global state is unchanged."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed or 0)
        return architecture.build().eval()


def _check_identity(name: str, origin: WeightsOrigin, expected: str | None) -> None:
    if expected is not None and origin.identity != expected:
        raise WeightsMismatch(
            f"{name} was requested with weights {expected}, but {origin.source} contains "
            f"{origin.identity}. Give the right file: --weights FILE."
        )


def _read_weights(path: Path, origin: WeightsOrigin, architecture: Architecture) -> Weights:
    state = rename_state(read_state(path), architecture.rename, architecture.unused)
    return Weights(origin.identity, origin.source, state)


def _fill(network: nn.Module, weights: Weights, name: str) -> None:
    state = weights.state
    if not hasattr(state, "_metadata"):
        # .safetensors cannot store torch's format versions; without them, MNASNet does not load.
        state = OrderedDict(state)
        state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    try:
        result = network.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        raise _misfit(weights, name, " ".join(str(error).split())) from error
    # Older files lack this counter, and evaluation mode does not read it.
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        faults = {"missing": missing, "unexpected": result.unexpected_keys}
        parts = [f"{len(keys)} {what} ({_first(keys)})" for what, keys in faults.items() if keys]
        raise _misfit(weights, name, " and ".join(parts))


def _first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_NUM_KEYS_SHOWN]) + (", ..." if len(keys) > _NUM_KEYS_SHOWN else "")


def _misfit(weights: Weights, name: str, reason: str) -> WeightsMismatch:
    return WeightsMismatch(
        f"The weights {weights.source} do not fit {name}: {reason[:_MAX_REASON_CHARS]}. "
        f"Give the file of this backbone, or the backbone of this file."
    )
