"""The costly half: faces -> frozen backbone -> cache. Never sees a label."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice, tee
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.config import check_range
from fec_cache.errors import CacheMismatch
from fec_cache.faces.table import Face, FaceTable
from fec_cache.features.backbones import Backbone
from fec_cache.features.batches import (
    Batch,
    Decoder,
    Picture,
    StageSeconds,
    batches,
    default_workers,
)
from fec_cache.features.cache import FeatureCache
from fec_cache.features.manifest import FailedFace
from fec_cache.features.network import Network, choose_device
from fec_cache.features.pieces import Piece
from fec_cache.features.plan import SHARD_FACES, WorkItem
from fec_cache.features.provenance import record_run
from fec_cache.features.recipes import recipes_of, to_store
from fec_cache.features.sharing import SharedWork
from fec_cache.features.views import write_views

log = logging.getLogger(__name__)

_BATCH_SIZES = {"cpu": 8}


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract; none of it changes what a feature means.

    `batch_size` None takes 8 faces on a CPU, where larger batches fall out of its caches (measured:
    1.5 times as many faces/s as 32 with efficientnet_lite0, 1.1 with resnet18), else 128.
    `num_workers` 0 is one per core.
    """

    device: str = "auto"
    batch_size: int | None = None
    num_workers: int = 0
    shard_faces: int = SHARD_FACES

    def __post_init__(self) -> None:
        """Check every field."""
        if self.batch_size is not None:
            check_range("batch size", self.batch_size, 1, 65536)
        check_range("workers", self.num_workers, 0, 1024)
        check_range("shard faces", self.shard_faces, 1, 1 << 20)


@dataclass(frozen=True)
class ExtractProgress:
    """Where an extraction stands: faces done and to do in this run, and the stages' seconds."""

    faces_done: int
    faces_total: int
    seconds: StageSeconds


@dataclass
class ExtractSummary:
    """What one extraction did. num_faces == num_cached + num_computed + num_failed + num_missing.

    `num_cached` were there before, `num_failed` have an unusable picture, `num_missing` no file.
    `num_same` of the faces are other names for a face that is counted already.
    """

    folders: tuple[Path, ...]
    num_faces: int
    num_missing: int
    num_same: int
    num_cached: int = 0
    num_computed: int = 0
    num_failed: int = 0
    num_damaged_shards: int = 0
    duration_s: float = 0.0
    seconds: StageSeconds = field(default_factory=StageSeconds)


ProgressCallback = Callable[[ExtractProgress], None]


def extract(
    faces: FaceTable,
    images_dir: Path,
    backbone: Backbone,
    caches: Sequence[FeatureCache],
    options: ExtractOptions,
    on_progress: ProgressCallback | None = None,
) -> ExtractSummary:
    """Bring caches up to a table of faces; resuming, repairing and retrying are the same thing.

    Args:
        faces: what is to be in the caches afterwards.
        images_dir: where the images lie.
        backbone: the network, loaded with the layers of the caches.
        caches: one per layer, all of one backbone and crop.
        options: device, batch and shard sizes.
        on_progress: told after each batch.

    Raises:
        CacheMismatch: a cache is not one of this backbone, so that its features would be lies.
        StorageFailed: the disk would not take a shard; all sealed shards are kept.
    """
    started = time.perf_counter()
    _check_recipes(backbone, caches)
    unique = faces.unique()
    summary = _begin(faces, unique, caches)
    summary.num_damaged_shards = sum(_drop_damaged(cache, faces) for cache in caches)
    work = SharedWork(unique, caches, options.shard_faces)
    run = _Run(backbone, options, summary.seconds, on_progress)
    with work.rounds() as rounds:
        for pieces in rounds:
            run.work(images_dir, pieces, work.claimed(pieces))
    for cache in caches:
        write_views(cache, faces.missing, faces.present)
        run.record(cache, backbone.weights.source)
    _count(summary, faces, caches, run.worked_ids)
    summary.duration_s = time.perf_counter() - started
    return summary


def _begin(
    faces: FaceTable, unique: Sequence[Face], caches: Sequence[FeatureCache]
) -> ExtractSummary:
    return ExtractSummary(
        folders=tuple(cache.folder for cache in caches),
        num_faces=len(faces.present) + len(faces.missing),
        num_missing=len(faces.missing),
        num_same=len(faces.present) - len(unique),
    )


def _check_recipes(backbone: Backbone, caches: Sequence[FeatureCache]) -> None:
    for cache in caches:
        recipe = cache.recipe
        ours = recipes_of(backbone, recipe.crop.margin, recipe.store_dtype)
        if recipe not in ours:
            near = next((other for other in ours if other.layer == recipe.layer), ours[0])
            raise CacheMismatch(
                f"{cache.folder} cannot take features of {backbone.name}, weights "
                f"{backbone.weights.source}: {'; '.join(recipe.differences(near))}. "
                "Name another --cache folder."
            )


def _drop_damaged(cache: FeatureCache, faces: FaceTable) -> int:
    """Strike damaged shards; how many."""
    _, problems = cache.drop_damaged()
    for problem in problems:
        log.warning("%s", problem)
    if problems:  # or features.h5 would show rows that are no more, if this run is killed
        write_views(cache, faces.missing, faces.present)
    return len(problems)


def _count(
    summary: ExtractSummary, faces: FaceTable, caches: Sequence[FeatureCache], worked: set[str]
) -> None:
    """Every name of a face counts once: computed now, cached before or by others, or failed."""
    failed = frozenset().union(*(cache.standing()[1] for cache in caches))
    for face in faces.present:
        if face.face_id in failed:
            summary.num_failed += 1
        elif face.face_id in worked:
            summary.num_computed += 1
        else:
            summary.num_cached += 1


class _Output:
    """The features that one piece of work gives one cache."""

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        recipe = cache.recipe
        self._parts = [np.empty((0, recipe.width), recipe.store_dtype)]

    def add(self, features: dict[str, npt.NDArray[np.float32]]) -> None:
        """Take one batch's features: layer -> [n, D]."""
        recipe = self.cache.recipe
        self._parts.append(to_store(features[recipe.layer], recipe))

    def seal(self, item: WorkItem, faces: Sequence[Face], failed: Sequence[FailedFace]) -> None:
        """Store what is finite; the rest has failed."""
        features = np.concatenate(self._parts)
        is_sound = np.isfinite(features).all(axis=1)
        reason = f"its feature is not finite in {self.cache.recipe.store_dtype}"
        unsound = [_failed(faces[row], reason) for row in np.flatnonzero(~is_sound).tolist()]
        face_ids = [faces[row].face_id for row in np.flatnonzero(is_sound).tolist()]
        self.cache.seal(item, face_ids, features[is_sound], (*failed, *unsound))


class _Run:
    """One extraction in progress: the network on its device, and the counters."""

    def __init__(
        self,
        backbone: Backbone,
        options: ExtractOptions,
        seconds: StageSeconds,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.device = choose_device(options.device)
        self.worked_ids: set[str] = set()
        self._batch_size = options.batch_size or _BATCH_SIZES.get(self.device.type, 128)
        self._options = options
        self._seconds, self._on_progress = seconds, on_progress
        self._total = self._done = 0
        self._network = Network(backbone, self.device)

    def work(self, images_dir: Path, planned: Sequence[Piece], ours: Iterator[Piece]) -> None:
        """Compute those of the planned pieces that are ours in order, sealing each when done."""
        self._total = self._done + sum(len(piece.item.faces) for piece in planned)
        crop = planned[0].caches[0].recipe.crop
        num_workers = self._options.num_workers or default_workers()
        decoder = Decoder(images_dir, crop, num_workers, self._seconds)
        ours, ahead = tee(ours)
        faces = (face for piece in ahead for face in piece.item.faces)
        # One stream over all pieces: reading ahead does not stop at a shard's end.
        with closing(decoder.pictures(faces)) as pictures:
            for piece in ours:
                self._compute(piece, islice(pictures, len(piece.item.faces)))

    def record(self, cache: FeatureCache, weights_source: str) -> None:
        """Note in a cache's provenance that this run took place, if it had work to do."""
        if self.worked_ids:
            with cache.locked():
                record_run(cache.folder, weights_source, self.device, self._batch_size)

    def _compute(self, piece: Piece, pictures: Iterator[Picture]) -> None:
        failed: list[FailedFace] = []
        usable: list[Face] = []
        outputs = [_Output(cache) for cache in piece.caches]

        def on_failed(face: Face, reason: str) -> None:
            """Note a face that cannot be used."""
            failed.append(_failed(face, reason))
            self._advance(1)

        for batch in batches(pictures, self._batch_size, on_failed):
            features = self._forward(batch)
            for output in outputs:
                output.add(features)
            usable.extend(batch.faces)
            self._advance(len(batch.faces))
        started = time.perf_counter()
        for output in outputs:
            output.seal(piece.item, usable, failed)
        self.worked_ids.update(face.face_id for face in piece.item.faces)
        self._seconds.add("write", time.perf_counter() - started)

    def _forward(self, batch: Batch) -> dict[str, npt.NDArray[np.float32]]:
        """Features of each layer: [n, D] float32."""
        started = time.perf_counter()
        features = self._network.features(batch.pictures)
        self._seconds.add("network", time.perf_counter() - started)
        num_faces = len(batch.faces)
        return {layer: values[:num_faces] for layer, values in features.items()}

    def _advance(self, num_faces: int) -> None:
        self._done += num_faces
        if self._on_progress is not None:
            self._on_progress(ExtractProgress(self._done, self._total, self._seconds))


def _failed(face: Face, reason: str) -> FailedFace:
    return FailedFace(face.face_id, face.ref.image, face.ref.box, reason)
