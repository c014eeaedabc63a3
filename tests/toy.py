"""A backbone whose features can be worked out by hand: the mean of each colour channel, D = 3."""

import hashlib
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from fec_cache.backbones.load import Backbone
from fec_cache.backbones.weights import WeightsOrigin
from fec_cache.cache.cache import FeatureCache
from fec_cache.datasets.annotations import FaceRef
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.devices import BackboneSource
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import FaceTable, identify_faces
from fec_cache.system import failpoints

FACTORS = {"avgpool": 1.0, "layer1": 2.0, "layer2": 1e5}
WEIGHTS = "sha256:" + "5" * 64
WHOLE = (0.0, 1.0, 0.0, 1.0)


class Shared(list):
    """A list that a copy of its owner shares."""

    def __deepcopy__(self, memo):
        return self


class ToyModule(nn.Module):
    def __init__(self, layers, delay_s):
        super().__init__()
        self.layers, self.delay_s, self.shapes = layers, delay_s, Shared()

    def forward(self, images):
        time.sleep(self.delay_s)
        self.shapes.append(tuple(images.shape))
        return {layer: FACTORS[layer] * images.mean((2, 3)) for layer in self.layers}


def toy_backbone(layers=("avgpool",), weights=WEIGHTS, delay_s=0.0):
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


@dataclass(frozen=True)
class ToySource(BackboneSource):
    """Loads the toy in a process of its own, which dies at its first pass if its name is doomed.

    With an `omen`, the others begin only when the doomed one has written that file and is about to
    die: it always has a share of the work.
    """

    doomed: str = ""
    omen: Path | None = None

    def load(self):
        backbone = toy_backbone(delay_s=0.02)
        if self.doomed and self.doomed in multiprocessing.current_process().name:
            backbone.module.register_forward_hook(lambda *_: self._die())
        elif self.omen is not None:
            wait_for(self.omen.exists)
        return backbone

    def _die(self):
        if self.omen is not None:
            self.omen.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for(is_so, most_s=60.0):
    """Wait until something is so; fail after a minute."""
    deadline = time.monotonic() + most_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def toy_recipe(layer="avgpool", weights=WEIGHTS, store_dtype="float16"):
    return recipes_of(toy_backbone((layer,), weights), 0.1, store_dtype)[0]


def colour_of(number):
    """A colour of its own for each of 65,536 pictures."""
    return number % 256, number // 256, 51


def feature_of(colour, layer="avgpool"):
    """What the toy gives for a picture of one colour, in float64."""
    return np.array(colour) / 255.0 * FACTORS[layer]


def write_solid(images_dir, name, colour):
    path = Path(images_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path, "PNG")
    return FaceRef(name, *WHOLE)


def write_pictures(images_dir, numbers):
    return [write_solid(images_dir, f"{number:04d}.png", colour_of(number)) for number in numbers]


def identify(images_dir, refs) -> FaceTable:
    index_dir = Path(images_dir).parent / "index"
    index_dir.mkdir(exist_ok=True)
    return identify_faces(refs, Path(images_dir), ImageDigests(index_dir))


def run_toy(cache_dir, images_dir, faces, layers=("avgpool",), **settings):
    """Extract with the toy; `settings` are those of `ExtractConfig` and of the toy itself."""
    backbone = toy_backbone(layers, delay_s=settings.pop("delay_s", 0.0))
    store_dtype = settings.pop("store_dtype", "float16")
    on_progress = settings.pop("on_progress", None)
    recipes = recipes_of(backbone, 0.1, store_dtype)
    caches = [FeatureCache.create(Path(cache_dir), recipe) for recipe in recipes]
    defaults = {"device": "cpu", "batch_size": 2, "num_workers": 1, "shard_faces": 4}
    options = ExtractConfig(**{**defaults, **settings})
    return extract(faces, Path(images_dir), backbone, caches, options, on_progress)


def is_whole(summary):
    parts = (summary.num_cached, summary.num_computed, summary.num_failed, summary.num_missing)
    return summary.num_faces == sum(parts)


def solid_faces(images_dir, numbers):
    return identify(images_dir, write_pictures(images_dir, numbers))


def load(cache_dir, layer="avgpool", **kwargs):
    return FeatureCache.open(cache_dir / toy_recipe(layer, **kwargs).folder_name).load()


def numbers_of(cache_dir, faces, layer="avgpool"):
    """Which faces have a row, in the order of the rows; each must be the right one."""
    matrix = load(cache_dir, layer)
    number_of = {face.face_id: int(face.ref.image[:4]) for face in faces.present}
    numbers = [number_of[face_id] for face_id in matrix.face_ids]
    wanted = [feature_of(colour_of(number), layer) for number in numbers]
    np.testing.assert_allclose(matrix.features, np.reshape(wanted, (-1, 3)), rtol=1e-3)
    return numbers


def counts(summary):
    assert is_whole(summary)
    return summary.num_cached, summary.num_computed, summary.num_failed, summary.num_missing


def hide(images_dir, *numbers):
    for number in numbers:
        (images_dir / f"{number:04d}.png").rename(images_dir / f"{number:04d}.hidden")


def show(images_dir, *numbers):
    for number in numbers:
        (images_dir / f"{number:04d}.hidden").rename(images_dir / f"{number:04d}.png")


def shard(cache_dir, number, layer="avgpool"):
    return cache_dir / toy_recipe(layer).folder_name / "shards" / f"{number:05d}.h5"


def shard_digests(cache_dir):
    """Relative path -> sha256 of every shard under a folder."""
    paths = sorted(Path(cache_dir).glob("*/shards/*"))
    return {
        str(path.relative_to(cache_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def job(
    cache_dir,
    images_dir,
    faces,
    kill_at_step=0,
    file_limit_after=0,
    failpoint="",
    told_as=None,
    **settings,
):
    """`run_toy` for a process of its own that meets with an accident."""
    if kill_at_step:
        _die_at_step(kill_at_step)
    if file_limit_after:
        settings["on_progress"] = _limit_files_after(file_limit_after)
    failpoints.arm(failpoint)
    try:
        summary = run_toy(cache_dir, images_dir, faces, **settings)
        if told_as is not None:
            Path(cache_dir, f"computed-{told_as}.txt").write_text(str(summary.num_computed))
    except Exception as error:
        Path(cache_dir, "error.txt").write_text(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _die_at_step(last):
    """SIGKILL before the n-th step of writing: each fsync, each rename, and after each rename."""
    count = 0
    fsync, rename = os.fsync, Path.replace

    def step():
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping_fsync(descriptor):
        step()
        fsync(descriptor)

    def stepping_rename(path, target):
        step()
        renamed = rename(path, target)
        step()
        return renamed

    os.fsync, Path.replace = stepping_fsync, stepping_rename


def _limit_files_after(num_faces):
    import resource

    def on_progress(progress):
        if progress.faces_done >= num_faces:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))

    return on_progress
