"""Measure synthetic faces per second on one core, with JPEG encoding against drawing alone."""

import argparse
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
    """The people of one round, with random emotions and scenes."""
    rng = np.random.default_rng(seed)
    words = rng.choice(sorted(EMOTIONS), FACES)
    return [
        Person(random_identity(rng), vary(EMOTIONS[word].units, rng), random_scene(rng))
        for word in words
    ]


def draw(people_of_round: list[Person]) -> list[Image.Image]:
    """One picture per person."""
    return [draw_people([person], SIZE, SIZE) for person in people_of_round]


def encode(images: list[Image.Image]) -> int:
    """Encode as JPEG; the total size in bytes."""
    size_bytes = 0
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        size_bytes += buffer.tell()
    return size_bytes


def main() -> None:
    """Print the medians."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    draw(people(ROUNDS)[:10])
    drawing, both, size_bytes = [], [], 0
    for seed in range(ROUNDS):
        drawn_people = people(seed)
        start = time.perf_counter()
        images = draw(drawn_people)
        drawing.append(FACES / (time.perf_counter() - start))
        size_bytes = encode(images)
        both.append(FACES / (time.perf_counter() - start))
    print(f"{ROUNDS} rounds of {FACES} faces, {SIZE} x {SIZE} pixels, one core")
    drawn, encoded = statistics.median(drawing), statistics.median(both)
    print(f"drawing:        {drawn:6.1f} faces/s, 1.00 x drawing")
    print(
        f"drawing + JPEG: {encoded:6.1f} faces/s, {encoded / drawn:.2f} x drawing, "
        f"{size_bytes // FACES} bytes each"
    )


if __name__ == "__main__":
    main()
