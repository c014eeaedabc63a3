"""Small pictures whose pixels are known, for the tests of `faces`."""

import io

import numpy as np
from PIL import Image

from fec_cache.faces.crop import CropConfig

WHOLE = (0.0, 1.0, 0.0, 1.0)
# Upright: 3 wide, 2 high, every pixel another grey.
UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
# How a camera stores it for each orientation (EXIF 2.3, tag 274), worked out by hand.
STORED = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[30, 60], [20, 50], [10, 40]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[40, 10], [50, 20], [60, 30]],
}


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def gradient(width, height):
    """Red counts columns, green counts rows: every pixel says where it is."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


def portrait(width, height, seed=0):
    """A smooth picture with some detail in it, which JPEG treats as it treats a photo."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def crop_config(size, margin=0.0):
    return CropConfig(input_size=size, margin=margin)
