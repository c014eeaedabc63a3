"""Choice of a precision, and the check that fast features equal those of the plain fp32 path."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fec_cache.backbones.base import Backbone
from fec_cache.datasets.synthetic.emotions import EMOTIONS
from fec_cache.datasets.synthetic.portrait.drawing import Person, draw_people
from fec_cache.datasets.synthetic.portrait.people import random_identity, random_scene
from fec_cache.errors import PrecisionLost
from fec_cache.inference.config import PRECISIONS
from fec_cache.inference.folding import smallest_cosine
from fec_cache.inference.network import Features, Network, exact_arithmetic
from fec_cache.system.checks import check_choice
from fec_cache.system.wording import counted

AUTO = "auto"
LEAST_COSINE = 0.999
# Stricter than the check, because `auto` decides on drawn faces and not on the user's. In bf16
# efficientnet_lite0 falls to 0.9967 on real faces, ResNet18 with random weights keeps 0.99999.
_LEAST_COSINE_OF_AUTO = 0.9995
_NUM_DRAWN = 4
# A few are enough: a path that computes something else does so for every face.
_NUM_CHECKED = 8


@dataclass(frozen=True)
class PrecisionChoice:
    """A precision, and why it was chosen."""

    precision: str
    reason: str


def choose_precision(wanted: str, backbone: Backbone, device: torch.device) -> PrecisionChoice:
    """Return the precision that `auto`, `fp32`, `bf16` or `fp16` means for a backbone on a device.

    `auto` is bf16 if the device multiplies bf16 in hardware and the backbone's features of four
    drawn faces keep a cosine of 0.9995 with fp32; otherwise fp32.

    Raises:
        BadOption: unknown precision.
    """
    check_choice("precision", wanted, (AUTO, *PRECISIONS))
    if wanted != AUTO:
        return PrecisionChoice(wanted, "as requested")
    if not has_bf16(device):
        return PrecisionChoice("fp32", f"{device} does not multiply bf16 in hardware")
    pictures = _drawn_faces(backbone.input_size)
    with exact_arithmetic():
        features = Network(backbone, device, "bf16").runner().features(pictures)
        cosine = smallest_cosine_to_plain(features, backbone, device, pictures, flip=False)
    if cosine < _LEAST_COSINE_OF_AUTO:
        reason = f"bf16 changes features of {backbone.name}: cosine {cosine:.4f} on drawn faces"
        return PrecisionChoice("fp32", reason)
    reason = f"{device} multiplies it in hardware; cosine {cosine:.5f} on drawn faces"
    return PrecisionChoice("bf16", reason)


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # oneDNN reports bf16 as supported even if it only emulates it, which is slower than fp32.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def check_features(
    features: Features,
    network: Network,
    pictures: npt.NDArray[np.uint8],
    rows: Sequence[int],
) -> float:
    """Compare features with those of the plain fp32 path.

    Args:
        features: of the pictures, from the path in use; each [B, D] float32.
        network: the network in use.
        pictures: [B, S, S, 3] uint8, RGB.
        rows: which of the B hold a face; the first eight of them are compared.

    Returns:
        The smallest cosine over layers and faces.

    Raises:
        PrecisionLost: it is below 0.999.
    """
    rows = list(rows)[:_NUM_CHECKED]
    of_rows = {view: values[rows] for view, values in features.items()}
    cosine = smallest_cosine_to_plain(
        of_rows, network.backbone, network.device, pictures[rows], flip=network.flip
    )
    if not cosine >= LEAST_COSINE:
        raise PrecisionLost(
            f"{network.backbone.name} in {network.precision} on {network.device} changes features: "
            f"the smallest cosine with plain fp32 is {cosine:.5f} over "
            f"{counted(len(rows), 'face')}, expected at least {LEAST_COSINE}. Nothing was stored. "
            "Run again with --precision fp32 --compile off."
        )
    return cosine


def smallest_cosine_to_plain(
    features: Features,
    backbone: Backbone,
    device: torch.device,
    pictures: npt.NDArray[np.uint8],
    *,
    flip: bool,
) -> float:
    """Return the smallest cosine of features with those of the plain fp32 eager path.

    Args:
        features: of the pictures, each [B, D] float32.
        backbone: the network that gave them.
        device: where the plain path runs.
        pictures: [B, S, S, 3] uint8, RGB.
        flip: whether the mirrored pictures' features are part of `features`.
    """
    plain = Network(backbone, device, flip=flip, plain=True).runner().features(pictures)
    return min(
        smallest_cosine(torch.from_numpy(features[view]), torch.from_numpy(plain[view]))
        for view in plain
    )


def _drawn_faces(side: int) -> npt.NDArray[np.uint8]:
    """Return four drawn faces, always the same: [4, S, S, 3] uint8.

    Drawn faces and not the user's decide, so that a command always means the same cache.
    """
    rng = np.random.default_rng(0)
    emotions = [EMOTIONS[name] for name in sorted(EMOTIONS)[:_NUM_DRAWN]]
    people = [Person(random_identity(rng), e.units, random_scene(rng)) for e in emotions]
    return np.stack([np.asarray(draw_people([person], side, side)) for person in people])
