"""Draw the contact sheet of synthetic faces: people by emotion words, and every action unit."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fec_cache.datasets.synthetic.emotions import EMOTIONS, UNIT_NAMES, ActionUnits
from fec_cache.datasets.synthetic.portrait.drawing import draw_portrait
from fec_cache.datasets.synthetic.portrait.people import Identity, Scene, random_scene

OUT = Path(__file__).parents[1] / "docs" / "images" / "contact-sheet.jpg"
WORDS = (
    "neutral", "amusement", "surprise", "fear", "anger",
    "disgust", "sadness", "contempt", "contemplation", "relief",
)  # fmt: skip
TILE = 96
UNIT_TILE = TILE * len(WORDS) // len(UNIT_NAMES)
CAPTION = 18
INK = (44, 44, 56)
SEED = 12
QUALITY = 50

BASE = Identity((244, 205, 178), (128, 62, 40), (86, 110, 70), (214, 112, 112), (52, 120, 130))
PEOPLE = (
    replace(
        BASE, hair_style="long", has_lashes=True, jaw_width=0.5, chin_width=0.16,
        brow_thickness=0.045, has_freckles=True, hair=(166, 78, 42),
    ),
    replace(
        BASE, skin=(150, 98, 66), hair=(36, 28, 28), iris=(74, 46, 30), lips=(158, 84, 72),
        hair_style="crop", beard="full", clothes=(214, 150, 60), jaw_width=0.58, chin_width=0.24,
        brow_thickness=0.065, collar="roll",
    ),
    replace(
        BASE, skin=(250, 218, 196), hair=(198, 198, 204), iris=(78, 120, 150), hair_style="bob",
        glasses="round", age=0.75, clothes=(150, 84, 120), has_lashes=True, jaw_width=0.52,
    ),
    replace(
        BASE, skin=(236, 196, 158), hair=(34, 28, 32), iris=(60, 40, 32), lips=(204, 128, 112),
        hair_style="quiff", clothes=(70, 90, 150), collar="shirt", eye_tilt=0.03,
        brow_thickness=0.06,
    ),
    replace(
        BASE, skin=(112, 72, 52), hair=(40, 30, 32), iris=(60, 40, 32), lips=(150, 62, 72),
        hair_style="afro", has_lashes=True, clothes=(230, 188, 70), jaw_width=0.49,
        chin_width=0.16, lip_fullness=0.085, collar="vee",
    ),
    replace(
        BASE, skin=(206, 152, 112), iris=(74, 46, 30), lips=(196, 92, 92), hair_style="scarf",
        has_lashes=True, clothes=(96, 150, 84), jaw_width=0.49, chin_width=0.16,
    ),
    replace(
        BASE, skin=(240, 198, 170), hair=(200, 198, 196), iris=(112, 130, 140), hair_style="bald",
        beard="moustache", age=0.9, clothes=(120, 60, 56), collar="shirt", jaw_width=0.6,
        chin_width=0.26, brow_thickness=0.06,
    ),
)  # fmt: skip


def tile(identity: Identity, units: ActionUnits, scene: Scene, size: int) -> Image.Image:
    """A face drawn at 2.6 times the size, cropped closely and scaled down."""
    drawn = draw_portrait(identity, units, scene, 26 * size // 10, 26 * size // 10)
    left, top = 3 * size // 10, size // 4
    return drawn.crop((left, top, left + 2 * size, top + 2 * size)).resize(
        (size, size), Image.Resampling.LANCZOS
    )


def steady(scene: Scene) -> Scene:
    """The scene with the head moved to the middle of its tile and less exposure."""
    return replace(scene, zoom=0.98, shift_x=0.0, shift_y=0.02, exposure=0.3 * scene.exposure)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="file to write")
    out = parser.parse_args().out
    rng = np.random.default_rng(SEED)
    top = CAPTION + len(PEOPLE) * TILE
    sheet = Image.new("RGB", (len(WORDS) * TILE, top + 6 + UNIT_TILE + CAPTION), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for column, word in enumerate(WORDS):
        position = (column * TILE + TILE // 2, CAPTION - 5)
        draw.text(position, word, INK, ImageFont.load_default(12), anchor="ms")
        for row, identity in enumerate(PEOPLE):
            face = tile(identity, EMOTIONS[word].units, steady(random_scene(rng)), TILE)
            sheet.paste(face, (column * TILE, CAPTION + row * TILE))
    model = replace(BASE, hair_style="side", hair=(98, 62, 40))
    for column, name in enumerate(UNIT_NAMES):
        face = tile(model, ActionUnits(**{name: 1.0}), Scene(), UNIT_TILE)
        sheet.paste(face, (column * UNIT_TILE, top + 6))
        position = (column * UNIT_TILE + UNIT_TILE // 2, sheet.height - 5)
        draw.text(position, name.replace("_", " "), INK, ImageFont.load_default(9), anchor="ms")
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=QUALITY, optimize=True, progressive=True)
    print(f"{out.name}: {sheet.width} x {sheet.height}, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
