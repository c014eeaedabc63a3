"""Triplets of one-colour pictures: the odd face is the one furthest from the other two."""

import numpy as np

from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces

NUM_TRAIN, NUM_TEST = 80, 24


def odd_of(numbers):
    a, b, c = numbers
    return int(np.argmin([abs(b - c), abs(a - c), abs(a - b)]))


def write_split(data_dir, split, triplets):
    """Write FEC's CSV: three faces, the type, and six raters who agree."""
    lines = []
    for numbers in triplets:
        faces = ",".join(f'"{number:04d}.png",0,1,0,1' for number in numbers)
        votes = ",".join(f"rater{n},{odd_of(numbers) + 1}" for n in range(6))
        kind = ("ONE", "TWO", "THREE")[sum(numbers) // 2 % 3]
        lines.append(f"{faces},{kind}_CLASS_TRIPLET,{votes}\n")
    (data_dir / f"{split}.csv").write_text("".join(lines))


def identified(refs, images_dir, cache_dir):
    cache_dir.mkdir(parents=True, exist_ok=True)
    return identify_faces(refs, images_dir, ImageDigests(cache_dir))
