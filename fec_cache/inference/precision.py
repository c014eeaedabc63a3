"""Which arithmetic a network runs in, and the check that its features stay what they are."""

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
# Drawn faces are not the user's: what `auto` takes must have something in hand.
_AUTO_COSINE = 0.9995
_NUM_DRAWN = 4
# The slow path is no measure of speed, and a network that lies does so at once.
_NUM_CHECKED = 8


@dataclass(frozen=True)
class Choice:
    """A precision, and in words why it was chosen."""

    precision: str
    reason: str


def choose_precision(wanted: str, backbone: Backbone, device: torch.device) -> Choice:
    """The precision that `auto`, `fp32`, `bf16` or `fp16` means for a backbone on a device.

    `auto` is bf16 where the device multiplies bf16 in hardware and the backbone's features of four
    drawn faces keep a cosine of 0.9995 with fp32; else fp32.

    Raises:
        BadOption: no such precision.
    """
    check_choice("precision", wanted, (AUTO, *PRECISIONS))
    if wanted != AUTO:
        return Choice(wanted, "as asked for")
    if not has_bf16(device):
        return Choice("fp32", f"{device} has no bf16 in hardware")
    pictures = _drawn_faces(backbone.input_size)
    with exact_arithmetic():
        found = Network(backbone, device, "bf16").lane().features(pictures)
        cosine = smallest_cosine_to_plain(found, backbone, device, pictures, flip=False)
    if cosine < _AUTO_COSINE:
        told = f"bf16 would change features of {backbone.name}: cosine {cosine:.4f} on drawn faces"
        return Choice("fp32", told)
    return Choice("bf16", f"{device} has it in hardware; cosine {cosine:.5f} on drawn faces")


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # oneDNN calls bf16 supported where it only emulates it, which is slower than fp32.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def check_features(
    found: Features,
    network: Network,
    pictures: npt.NDArray[np.uint8],
    rows: Sequence[int],
) -> float:
    """Smallest cosine between features and those of the plain fp32 path, over layers and faces.

    Args:
        found: what the path in use gave for the pictures.
        network: the network in use.
        pictures: [B, S, S, 3] uint8.
        rows: which of the B hold a face; the first eight of them are looked at.

    Raises:
        PrecisionLost: the cosine is below 0.999.
    """
    rows = list(rows)[:_NUM_CHECKED]
    some = {view: values[rows] for view, values in found.items()}
    cosine = smallest_cosine_to_plain(
        some, network.backbone, network.device, pictures[rows], flip=network.flip
    )
    if not cosine >= LEAST_COSINE:
        raise PrecisionLost(
            f"{network.backbone.name} in {network.precision} on {network.device} does not give its "
            f"own features: the smallest cosine with plain fp32 is {cosine:.5f} over "
            f"{counted(len(rows), 'face')}, at least {LEAST_COSINE} is needed. Nothing was stored. "
            "Run again with --precision fp32 --compile off."
        )
    return cosine


def smallest_cosine_to_plain(
    found: Features,
    backbone: Backbone,
    device: torch.device,
    pictures: npt.NDArray[np.uint8],
    *,
    flip: bool,
) -> float:
    """Smallest cosine of features with those of the plain fp32 eager path."""
    plain = Network(backbone, device, flip=flip, plain=True).lane().features(pictures)
    return min(
        smallest_cosine(torch.from_numpy(found[view]), torch.from_numpy(plain[view]))
        for view in plain
    )


def _drawn_faces(side: int) -> npt.NDArray[np.uint8]:
    """Four drawn faces, always the same: [4, S, S, 3] uint8."""
    rng = np.random.default_rng(0)
    words = sorted(EMOTIONS)[:_NUM_DRAWN]
    people = [Person(random_identity(rng), EMOTIONS[w].units, random_scene(rng)) for w in words]
    return np.stack([np.asarray(draw_people([person], side, side)) for person in people])
