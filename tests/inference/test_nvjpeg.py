import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fec_cache.inference import nvjpeg as module
from fec_cache.inference.nvjpeg import nvjpeg, tensor_of

CPU = torch.device("cpu")


def jpeg():
    pixels = np.full((120, 90, 3), (200, 100, 50), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def test_without_a_working_decoder_the_reasons_are_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)

    def black(device):
        return lambda files: [torch.zeros(3, 32, 32, dtype=torch.uint8) for _ in files]

    monkeypatch.setattr(module, "_of_torchvision", black)
    reason = nvjpeg(CPU)
    assert reason.startswith("torchcodec: import of torchcodec.decoders halted")
    assert reason.endswith("torchvision: a grey square was not decoded to grey")


def test_a_decoder_that_works_is_returned():
    (picture,) = nvjpeg(CPU)([tensor_of(jpeg())])
    assert (picture.shape, picture.dtype) == ((3, 120, 90), torch.uint8)
    expected = torch.tensor([200, 100, 50])
    assert (picture.flatten(1).int() - expected[:, None]).abs().max() <= 2


@pytest.mark.parametrize("content", [b"abc", b"\0\xff"])
def test_bytes_become_a_tensor(content):
    assert bytes(tensor_of(content).tolist()) == content
