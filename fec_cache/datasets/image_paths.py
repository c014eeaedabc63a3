"""Path of an annotation's image below `images/`: the one rule for downloading and reading."""

import hashlib
import posixpath

from fec_cache.datasets.boxes import Box

CROPPED_NAME = "cropped"
"""Folder of a set of crops inside the data folder, with its own CSV files."""

SURVIVORS_NAME = "survivors.json"
"""File in the data folder that names the set of downloaded images."""

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


def is_url(image: str) -> bool:
    """Whether an annotation's image is a web address rather than a file."""
    return image.lower().startswith(("http://", "https://"))


def url_path(url: str) -> str:
    """Path of a URL's image relative to `images/`: `3f/3f9c...jpg`, named by the URL's sha256.

    Only the suffix is taken from the URL, and only if it is that of a picture.
    """
    # 256 folders by the first two hex digits: FEC's 156,000 images are about 600 per folder.
    address = url.partition("#")[0].partition("?")[0]
    suffix = posixpath.splitext(address)[1].lower()
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    return f"{digest[:2]}/{digest}{suffix if suffix in _PICTURE_SUFFIXES else '.jpg'}"


def crop_path(url: str, box: Box) -> str:
    """Path of one face's crop relative to the crops' `images/`: `3f/3f9c...png`."""
    # Hexadecimal floats are exact; adding 0.0 turns -0.0 into 0.0, as the two are equal boxes.
    sides = ",".join((side + 0.0).hex() for side in box)
    digest = hashlib.sha256(f"{url}|{sides}".encode()).hexdigest()[:32]
    return f"{digest[:2]}/{digest}.png"
