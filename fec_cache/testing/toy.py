"""A toy extraction that can be checked by hand: D = 3, the mean of each colour channel.

Pictures are PNGs of one colour, numbered so that each has its own: the feature of picture 7 is
`feature_of(colour_of(7))`, in float64 and without any network.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor, nn

from fec_cache.backbones.base import Backbone, WeightsOrigin
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.datasets.annotations import FaceRef
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import ExtractSummary, extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.extraction.run import ProgressCallback
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces

# layer2 overflows float16 (largest finite value 65,504) for every colour value above 167.
FACTORS = {"avgpool": 1.0, "layer1": 2.0, "layer2": 1e5}
WEIGHTS = "sha256:" + "5" * 64
WHOLE = (0.0, 1.0, 0.0, 1.0)
OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=1, shard_faces=4)
"""How `run_toy` extracts: several batches and shards even for ten faces."""
Colour = tuple[int, int, int]


class Shapes(list[tuple[int, ...]]):
    """Shapes of the batches that a module saw; deep copies of the module share the list."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shapes":
        # Each worker runs its own copy of the module, but a test reads one list.
        return self


class ToyModule(nn.Module):
    """Pictures [B, 3, H, W] -> {layer: channel means [B, 3] times the layer's factor}."""

    def __init__(self, layers: Sequence[str], delay_s: float) -> None:
        super().__init__()
        self.layers, self.delay_s, self.shapes = tuple(layers), delay_s, Shapes()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Wait `delay_s`, note the batch's shape, give each layer's features [B, 3]."""
        time.sleep(self.delay_s)
        self.shapes.append(tuple(images.shape))
        return {layer: FACTORS[layer] * images.mean((2, 3)) for layer in self.layers}


def toy_backbone(
    layers: Sequence[str] = ("avgpool",), weights: str = WEIGHTS, delay_s: float = 0.0
) -> Backbone:
    """The toy as a backbone: input 4 x 4, no normalisation; `layers` are keys of `FACTORS`."""
    return Backbone(
        name="toy",
        weights=WeightsOrigin(weights, "a toy"),
        module=ToyModule(layers, delay_s),
        layers=tuple(layers),
        widths=dict.fromkeys(layers, 3),
        shapes=dict.fromkeys(layers, (3,)),
        input_size=4,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def toy_recipe(
    layer: str = "avgpool", weights: str = WEIGHTS, store_dtype: str = "float16"
) -> FeatureRecipe:
    """The recipe of one layer of the toy, as `run_toy` extracts it."""
    return recipes_of(toy_backbone((layer,), weights), 0.1, store_dtype)[0]


def colour_of(number: int) -> Colour:
    """The colour of a picture: unique for 0 <= number < 65,536."""
    return number % 256, number // 256, 51


def feature_of(colour: Colour, layer: str = "avgpool") -> npt.NDArray[np.float64]:
    """The feature [3] that the toy gives for a picture of one colour, in float64."""
    feature: npt.NDArray[np.float64] = np.array(colour) / 255.0 * FACTORS[layer]
    return feature


def write_solid(images_dir: Path, name: str, colour: Colour) -> FaceRef:
    """Write a PNG of one colour, 8 x 8; its face is the whole picture."""
    path = Path(images_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path, "PNG")
    return FaceRef(name, *WHOLE)


def write_pictures(images_dir: Path, numbers: Iterable[int]) -> list[FaceRef]:
    """Write the numbered pictures as `0000.png` and so on; their faces."""
    return [write_solid(images_dir, f"{number:04d}.png", colour_of(number)) for number in numbers]


def hide(images_dir: Path, *numbers: int) -> None:
    """Rename numbered pictures, so that they are missing."""
    for number in numbers:
        (images_dir / f"{number:04d}.png").rename(images_dir / f"{number:04d}.hidden")


def show(images_dir: Path, *numbers: int) -> None:
    """Undo `hide`."""
    for number in numbers:
        (images_dir / f"{number:04d}.hidden").rename(images_dir / f"{number:04d}.png")


def identify(images_dir: Path, refs: Sequence[FaceRef]) -> FaceTable:
    """The table of faces; the index of image digests is kept beside the folder of images."""
    index_dir = Path(images_dir).parent / "index"
    index_dir.mkdir(exist_ok=True)
    return identify_faces(refs, Path(images_dir), ImageDigests(index_dir))


def solid_faces(images_dir: Path, numbers: Iterable[int]) -> FaceTable:
    """Write numbered pictures and give the table of their faces."""
    return identify(images_dir, write_pictures(images_dir, numbers))


def run_toy(
    cache_dir: Path,
    images_dir: Path,
    faces: FaceTable,
    layers: Sequence[str] = ("avgpool",),
    on_progress: ProgressCallback | None = None,
    **settings: Any,
) -> ExtractSummary:
    """Extract with the toy into one cache per layer.

    Args:
        cache_dir: folder of the caches; made if missing.
        images_dir: folder of the images.
        faces: faces to extract.
        layers: keys of `FACTORS`.
        on_progress: called after each batch.
        settings: fields of `ExtractConfig` that differ from `OPTIONS`; `delay_s` of each forward
            pass; `store_dtype` of the caches.
    """
    backbone = toy_backbone(layers, delay_s=settings.pop("delay_s", 0.0))
    recipes = recipes_of(backbone, 0.1, settings.pop("store_dtype", "float16"))
    caches = [FeatureCache.create(Path(cache_dir), recipe) for recipe in recipes]
    options = dataclasses.replace(OPTIONS, **settings)
    return extract(faces, Path(images_dir), backbone, caches, options, on_progress)


def load(
    cache_dir: Path, layer: str = "avgpool", weights: str = WEIGHTS, store_dtype: str = "float16"
) -> FeatureMatrix:
    """The features that `run_toy` stored for a layer."""
    return FeatureCache.open(cache_dir / toy_recipe(layer, weights, store_dtype).folder_name).load()


def is_whole(summary: ExtractSummary) -> bool:
    """Whether every face is counted exactly once."""
    parts = (summary.num_cached, summary.num_computed, summary.num_failed, summary.num_missing)
    return summary.num_faces == sum(parts)


def counts(summary: ExtractSummary) -> tuple[int, int, int, int]:
    """Numbers of cached, computed, failed and missing faces.

    Raises:
        AssertionError: they do not add up to the number of faces.
    """
    if not is_whole(summary):
        raise AssertionError(f"faces are lost or counted twice: {summary}")
    return summary.num_cached, summary.num_computed, summary.num_failed, summary.num_missing


def numbers_of(cache_dir: Path, faces: FaceTable, layer: str = "avgpool") -> list[int]:
    """Numbers of the pictures that have a row, in the order of the rows.

    Raises:
        AssertionError: a row is not the feature of its picture.
    """
    matrix = load(cache_dir, layer)
    number_of = {face.face_id: int(face.ref.image[:4]) for face in faces.present}
    numbers = [number_of[face_id] for face_id in matrix.face_ids]
    expected = [feature_of(colour_of(number), layer) for number in numbers]
    # float16 keeps 11 significant bits: a relative error of at most 2^-11 = 5e-4.
    np.testing.assert_allclose(matrix.features, np.reshape(expected, (-1, 3)), rtol=1e-3)
    return numbers


def shard(cache_dir: Path, number: int, layer: str = "avgpool") -> Path:
    """Path of a shard of the toy's cache."""
    return cache_dir / toy_recipe(layer).folder_name / "shards" / f"{number:05d}.h5"


def shard_digests(cache_dir: Path) -> dict[str, str]:
    """Relative path -> sha256 of every shard of every cache in a folder."""
    paths = sorted(Path(cache_dir).glob("*/shards/*"))
    return {
        str(path.relative_to(cache_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
