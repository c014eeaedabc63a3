import os

import numpy as np
import pytest
from PIL import Image

from fec_cache.datasets.annotations import FaceRef
from fec_cache.errors import BadImage
from fec_cache.faces import images as module
from fec_cache.faces.crop import CropConfig
from fec_cache.faces.decode import decode_image
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.images import Picture, load_face, read_image
from fec_cache.faces.windows import cut_window
from tests.faces.pictures import (
    STORED,
    UPRIGHT,
    WHOLE,
    crop_config,
    encoded,
    gradient,
    grey,
    portrait,
)


def test_files_are_read_and_errors_name_them(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(UPRIGHT)))
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == grey(UPRIGHT).tolist()
    with pytest.raises(BadImage, match=r"none\.png cannot be read: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(BadImage, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_a_face_is_loaded_by_its_reference(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(gradient(8, 8)))
    face = load_face(tmp_path, FaceRef("a.png", 0.25, 0.75, 0.5, 1.0), crop_config(4))
    assert face[..., 0].tolist() == [[2, 3, 4, 5]] * 4
    assert face[..., 1].tolist() == [[row] * 4 for row in (4, 5, 6, 7)]


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_is_rotated_as_pillow_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(portrait(96, 64), "JPEG", exif=exif, quality=95)
    whole = decode_image(content, "x")
    for box in (WHOLE, (0.1, 0.4, 0.5, 0.9)):
        wanted = cut_window(whole, box, crop_config(24)).astype(int)
        actual = Picture(content, "x").cut(box, CropConfig(24, 0.0, decode="full")).astype(int)
        assert np.abs(actual - wanted).max() <= 3  # two decoders round colours differently
        scaled = Picture(content, "x").cut(box, crop_config(24)).astype(int)
        assert np.abs(scaled - wanted).mean() < 6  # sharper; another rotation differs by 60


@pytest.mark.parametrize(
    ("size", "box", "scale"),
    [
        ((80, 80), WHOLE, 4),
        ((79, 80), WHOLE, 4),
        ((79, 79), WHOLE, 2),
        ((39, 39), WHOLE, 1),
        ((160, 900), WHOLE, 8),
        ((80, 80), (0.0, 0.5, 0.0, 0.5), 2),
        ((80, 80), (0.0, 0.49, 0.0, 0.49), 1),
    ],
)
def test_a_jpeg_is_decoded_as_small_as_the_crop_allows(monkeypatch, size, box, scale):
    actual = []
    decode = module.simplejpeg.decode_jpeg

    def noting(*args, **kwargs):
        actual.append(decode(*args, **kwargs))
        return actual[-1]

    monkeypatch.setattr(module.simplejpeg, "decode_jpeg", noting)
    picture = Picture(encoded(portrait(*size), "JPEG"), "x")
    assert picture.cut(box, crop_config(16)).shape == (16, 16, 3)
    assert actual[0].shape == (-(-size[1] // scale), -(-size[0] // scale), 3)
    assert picture.size_bytes([box], crop_config(16)) == 3 * size[0] * size[1] // scale**2


def test_a_face_does_not_depend_on_what_else_is_cut_from_its_picture():
    content = encoded(portrait(128, 128), "JPEG")
    small, large = (0.2, 0.4, 0.2, 0.4), WHOLE
    together = Picture(content, "x")
    for box in (large, small, large):
        alone = Picture(content, "x").cut(box, crop_config(16))
        assert together.cut(box, crop_config(16)).tolist() == alone.tolist()


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_jpeg_is_cut(mode, progressive):
    image = portrait(40, 40).convert("L").convert(mode)
    content = encoded(image, "JPEG", progressive=progressive, quality=95)
    actual = Picture(content, "x").cut(WHOLE, crop_config(20)).astype(int)
    wanted = cut_window(decode_image(content, "x"), WHOLE, crop_config(20)).astype(int)
    assert np.abs(actual - wanted).mean() <= 4


def test_a_jpeg_cut_short_is_refused_whatever_decodes_it():
    content = encoded(portrait(256, 256), "JPEG")
    for decoder in ("scaled", "full"):
        picture = Picture(content[: len(content) // 2], "half.jpg")
        with pytest.raises(BadImage, match=r"half\.jpg is not a usable picture: .*truncated"):
            picture.cut(WHOLE, CropConfig(64, decode=decoder))


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadImage, match="cannot be read: not a regular file"):
        read_image(tmp_path / "a.jpg")
    actual = ImageDigests(tmp_path).lookup(tmp_path, ["a.jpg"])
    assert actual == {"a.jpg": ("", "cannot be read: not a regular file")}
