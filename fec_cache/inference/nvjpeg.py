"""A decoder of JPEGs on a GPU: torchcodec's, or torchvision's in its stead; tried before use.

simplejpeg is a guest here: it makes the file to try it on.
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
    """A decoder of JPEGs on a device that was seen to work, or in words why there is none."""
    reasons = []
    for name, found in (("torchcodec", _of_torchcodec), ("torchvision", _of_torchvision)):
        try:
            decode = found(device)
            _try(decode)
        except Exception as error:  # missing libraries and drivers raise nearly any type
            reasons.append(f"{name}: {' '.join(str(error).split())[:120]}")
        else:
            return decode
    return "; ".join(reasons)


@contextmanager
def _knowing_its_end() -> Iterator[None]:
    """Hides torchvision's warning that its decoders will be removed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


_quiet = SharedContext(_knowing_its_end).entered


def _of_torchcodec(device: torch.device) -> Decode:
    from torchcodec.decoders import decode_jpeg

    return lambda files: [*decode_jpeg(files, mode="RGB", device=device)]


def _of_torchvision(device: torch.device) -> Decode:
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(files: list[Tensor]) -> list[Tensor]:
        """As torchvision does it."""
        with _quiet():
            return [*decode_jpeg(files, mode=ImageReadMode.RGB, device=device)]

    return decode


def _try(decode: Decode) -> None:
    """Decode a grey square.

    Raises:
        RuntimeError: it comes out as something else.
    """
    grey = np.full((32, 32, 3), 128, np.uint8)
    (picture,) = decode([tensor_of(simplejpeg.encode_jpeg(grey))])
    if picture.shape != (3, 32, 32) or not bool(((picture.int() - 128).abs() <= 2).all()):
        raise RuntimeError("a grey square is not decoded to grey")


def tensor_of(content: bytes) -> Tensor:
    """A file's bytes as a tensor [n] uint8."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
