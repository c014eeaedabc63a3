"""Measure how many synthetic faces a second one core draws, without and with JPEG encoding."""

import io
import statistics
import time

import numpy as np
from PIL import Image

from fec_cache.datasets.synthetic.emotions import EMOTIONS, vary
from fec_cache.datasets.synthetic.portrait.drawing import Person, draw_people
from fec_cache.datasets.synthetic.portrait.people import random_identity, random_scene

ROUNDS = 7
FACES = 100
SIZE = 240
QUALITY = 92


def people(seed: int) -> list[Person]:
    """Draw the people of one round."""
    rng = np.random.default_rng(seed)
    words = rng.choice(sorted(EMOTIONS), FACES)
    return [
        Person(random_identity(rng), vary(EMOTIONS[word].units, rng), random_scene(rng))
        for word in words
    ]


def draw(sitters: list[Person]) -> list[Image.Image]:
    return [draw_people([person], SIZE, SIZE) for person in sitters]


def encode(images: list[Image.Image]) -> int:
    size_bytes = 0
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        size_bytes += buffer.tell()
    return size_bytes


def main() -> None:
    """Print the medians."""
    draw(people(ROUNDS)[:10])
    drawing, both, size_bytes = [], [], 0
    for seed in range(ROUNDS):
        sitters = people(seed)
        start = time.perf_counter()
        images = draw(sitters)
        drawing.append(FACES / (time.perf_counter() - start))
        size_bytes = encode(images)
        both.append(FACES / (time.perf_counter() - start))
    print(f"{ROUNDS} rounds of {FACES} faces, {SIZE} x {SIZE} pixels, one core")
    print(f"drawing:        {statistics.median(drawing):6.1f} faces/s")
    print(
        f"drawing + JPEG: {statistics.median(both):6.1f} faces/s, {size_bytes // FACES} bytes each"
    )


if __name__ == "__main__":
    main()
