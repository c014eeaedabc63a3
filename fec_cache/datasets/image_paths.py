"""Where an annotation's image lies below `images/`: the one rule for downloads and for reading."""

import hashlib
import posixpath

from fec_cache.datasets.boxes import Box

CROPPED_NAME = "cropped"
"""The folder inside the data folder where a set of crops lies, with CSV files of its own."""

SURVIVORS_NAME = "survivors.json"
"""Which images are there, in the data folder."""

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


def is_url(image: str) -> bool:
    """Whether an annotation names a web address rather than a file."""
    return image.lower().startswith(("http://", "https://"))


def url_path(url: str) -> str:
    """Where a URL's image lies, relative to `images/`: `3f/3f9c...jpg`, named by the URL's sha256.

    The first two hex digits are the folder: 256 folders, so FEC's 156,000 images are some 600 a
    folder. Nothing of the URL but the ending enters, and that only if it is a picture's.
    """
    address = url.partition("#")[0].partition("?")[0]
    suffix = posixpath.splitext(address)[1].lower()
    digest = hashlib.sha256(url.encode()).hexdigest()[:32]
    return f"{digest[:2]}/{digest}{suffix if suffix in _PICTURE_SUFFIXES else '.jpg'}"


def crop_path(url: str, box: Box) -> str:
    """Where one face of a URL's image lies if only crops are kept, relative to their `images/`."""
    sides = ",".join((side + 0.0).hex() for side in box)
    digest = hashlib.sha256(f"{url}|{sides}".encode()).hexdigest()[:32]
    return f"{digest[:2]}/{digest}.png"
