import io

import numpy as np
import pytest
import torch
from PIL import Image

from fec_cache.errors import BadOption, PicturesDiffer
from fec_cache.extraction import decoding as module
from fec_cache.extraction.decoding import choose_decode, measured_rates
from fec_cache.faces.crop import CropConfig
from fec_cache.inference.gpu_jpegs import JpegDecoder
from fec_cache.inference.nvjpeg import _of_torchvision
from fec_cache.testing import toy

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CROP = CropConfig(input_size=32, margin=0.1)


@pytest.fixture
def faces(tmp_path):
    """Forty JPEGs, two PNGs and a file that is none."""
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{number:04d}.jpg" for number in range(43)]
    for number, name in enumerate(names):
        file = io.BytesIO()
        pixels = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((64, 64))
        pixels.save(file, "PNG" if number in (5, 6) else "JPEG")
        (images / name).write_bytes(b"nothing" if number == 7 else file.getvalue())
    return toy.identify(images, [toy.FaceRef(name, *toy.WHOLE) for name in names])


@pytest.fixture
def rates(monkeypatch):
    """Lets a CPU play the GPU, at rates that are set."""
    seen = {"rates": (100.0, 100.0), "num": 0}

    def measured(files, crop, on_gpu):
        seen["num"] = len(files)
        return seen["rates"]

    monkeypatch.setattr(module, "nvjpeg", lambda device: _of_torchvision(CPU))
    monkeypatch.setattr(module, "measured_rates", measured)
    return seen


def chosen(faces, tmp_path, wanted="auto", device=CUDA, **kwargs):
    return choose_decode(wanted, device, faces.present, tmp_path / "images", CROP, **kwargs)


@pytest.mark.parametrize(
    ("cpu", "gpu", "decode"),
    [(100.0, 119.0, "scaled"), (100.0, 120.0, "gpu"), (50.0, 9.0, "scaled")],
)
def test_the_faster_way_is_taken_and_the_rates_are_reported(
    faces, tmp_path, rates, cpu, gpu, decode
):
    rates["rates"] = cpu, gpu
    found = chosen(faces, tmp_path)
    assert found.decode == decode
    assert found.reason == f"measured: {cpu:.0f} faces/s on the CPU, {gpu:.0f} by nvJPEG"
    assert rates["num"] == 40  # the plain JPEGs


def test_a_cache_that_was_begun_is_gone_on_with(faces, tmp_path, rates):
    rates["rates"] = 1.0, 100.0
    for existing, decode in [(["scaled"], "scaled"), (["gpu"], "gpu"), (["full"], "gpu")]:
        found = chosen(faces, tmp_path, existing=existing)
        assert found.decode == decode
        assert (found.reason == "as in the existing cache") == (existing != ["full"])


def test_what_was_asked_for_is_not_measured(faces, tmp_path):
    for wanted in ("scaled", "full", "gpu"):
        assert chosen(faces, tmp_path, wanted).decode == wanted
    with pytest.raises(BadOption, match="decode"):
        chosen(faces, tmp_path, "fast")


def test_without_a_gpu_jpegs_are_scaled(faces, tmp_path, monkeypatch):
    found = chosen(faces, tmp_path, device=CPU)
    assert (found.decode, found.reason) == ("scaled", "cpu has no JPEG decoder")
    monkeypatch.setattr(module, "nvjpeg", lambda device: "torchcodec: no such module")
    found = chosen(faces, tmp_path)
    assert (found.decode, found.reason) == (
        "scaled",
        "nvJPEG cannot be used: torchcodec: no such module",
    )


@pytest.mark.parametrize("error", [PicturesDiffer("another picture"), RuntimeError("status 5")])
def test_a_decoder_that_fails_while_it_is_measured_is_not_used(
    faces, tmp_path, rates, monkeypatch, error
):
    def failing(*_):
        raise error

    monkeypatch.setattr(module, "measured_rates", failing)
    found = chosen(faces, tmp_path)
    assert (found.decode, found.reason) == ("scaled", f"nvJPEG cannot be used: {error}")


def test_a_handful_of_jpegs_is_no_measure(faces, tmp_path, rates):
    rates["rates"] = 1.0, 100.0
    few = type(faces)(faces.present[:33], ())  # of which three are no plain JPEGs
    assert chosen(few, tmp_path).reason == "too few plain JPEGs to measure nvJPEG with"
    assert rates["num"] == 0


def test_both_ways_are_really_run(faces, tmp_path):
    on = JpegDecoder(CPU, CROP, _of_torchvision(CPU))
    files = module._files(faces.present, tmp_path / "images", on)
    assert len(files) == 40
    cpu, gpu = measured_rates(files, CROP, on)
    assert cpu > 100
    assert gpu > 100
