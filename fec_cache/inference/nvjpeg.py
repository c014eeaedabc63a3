"""A JPEG decoder on a GPU: torchcodec's or, if it does not work, torchvision's.

Each is tried before use, on a file that simplejpeg encodes.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
import torch
from torch import Tensor

from fec_cache.system.shared_context import SharedContext

Decode = Callable[[list[Tensor]], list[Tensor]]
"""Files' bytes [n] uint8 on the CPU -> pictures [3, H, W] uint8, RGB, on the device."""


def nvjpeg(device: torch.device) -> Decode | str:
    """Return a JPEG decoder that works on a device, or the reasons why there is none."""
    reasons = []
    for name, make in (("torchcodec", _of_torchcodec), ("torchvision", _of_torchvision)):
        try:
            decode = make(device)
            _try(decode)
        except Exception as error:  # missing libraries and drivers raise nearly any type
            reasons.append(f"{name}: {' '.join(str(error).split())[:120]}")
        else:
            return decode
    return "; ".join(reasons)


@contextmanager
def _no_deprecation_warnings() -> Iterator[None]:
    """Hide the warning of torchvision 0.29 that its decoders will be removed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


_quiet = SharedContext(_no_deprecation_warnings).entered


def _of_torchcodec(device: torch.device) -> Decode:
    from torchcodec.decoders import decode_jpeg

    return lambda files: [*decode_jpeg(files, mode="RGB", device=device)]


def _of_torchvision(device: torch.device) -> Decode:
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(files: list[Tensor]) -> list[Tensor]:
        """Decode files' bytes [n] uint8 to pictures [3, H, W] uint8, RGB, with torchvision."""
        with _quiet():
            return [*decode_jpeg(files, mode=ImageReadMode.RGB, device=device)]

    return decode


def _try(decode: Decode) -> None:
    """Decode a grey square.

    Raises:
        RuntimeError: the result is not a grey square.
    """
    grey = np.full((32, 32, 3), 128, np.uint8)
    (picture,) = decode([tensor_of(simplejpeg.encode_jpeg(grey))])
    if picture.shape != (3, 32, 32) or not bool(((picture.int() - 128).abs() <= 2).all()):
        raise RuntimeError("a grey square was not decoded to grey")


def tensor_of(content: bytes) -> Tensor:
    """Return a file's bytes as a tensor [n] uint8."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
