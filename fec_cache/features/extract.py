"""The costly half: faces -> frozen backbone -> cache. Never sees a label."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.config import check_range
from fec_cache.faces.table import Face, FaceTable
from fec_cache.features.backbones import Backbone
from fec_cache.features.batches import Batch, Decoder, StageSeconds, default_workers
from fec_cache.features.cache import FeatureCache
from fec_cache.features.manifest import FailedFace
from fec_cache.features.network import Network, choose_device
from fec_cache.features.plan import SHARD_FACES, WorkItem, faces_per_shard, plan_work
from fec_cache.features.provenance import record_run
from fec_cache.features.views import write_views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract; none of it changes what a feature means."""

    device: str = "auto"
    batch_size: int = 32
    num_workers: int = 0
    shard_faces: int = SHARD_FACES

    def __post_init__(self) -> None:
        """Check every field."""
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
        StorageFailed: the disk would not take a shard; all sealed shards are kept.
    """
    started = time.perf_counter()
    unique = faces.unique()
    summary = ExtractSummary(
        folders=tuple(cache.folder for cache in caches),
        num_faces=len(faces.present) + len(faces.missing),
        num_missing=len(faces.missing),
        num_same=len(faces.present) - len(unique),
    )
    plans = _plan_all(unique, caches, options, summary)
    total = sum(len(item.faces) for items in plans for item in items)
    run = _Run(images_dir, backbone, options, total, summary.seconds, on_progress)
    for items, together in plans.items():
        for item in items:
            run.work(item, together)
    for cache in caches:
        write_views(cache, faces.missing)
        if total:
            record_run(cache.folder, backbone.weights.source, run.device, options.batch_size)
    _count(summary, faces, unique, run.failed_ids, plans)
    summary.duration_s = time.perf_counter() - started
    return summary


def _plan_all(
    unique: Sequence[Face],
    caches: Sequence[FeatureCache],
    options: ExtractOptions,
    summary: ExtractSummary,
) -> dict[tuple[WorkItem, ...], list[FeatureCache]]:
    """The work of each cache; caches with the same work share one pass over the faces."""
    shard_faces = min(
        faces_per_shard(
            cache.recipe.width, np.dtype(cache.recipe.store_dtype).itemsize, options.shard_faces
        )
        for cache in caches
    )
    plans: dict[tuple[WorkItem, ...], list[FeatureCache]] = {}
    for cache in caches:
        stored, problems = cache.drop_damaged()
        for problem in problems:
            log.warning("%s", problem)
        summary.num_damaged_shards += len(problems)
        manifest = cache.manifest()
        failed = {face.face_id for face in manifest.failed}
        done = {shard.plan for shard in manifest.shards}
        plans.setdefault(plan_work(unique, stored, failed, done, shard_faces), []).append(cache)
    return plans


def _count(
    summary: ExtractSummary,
    faces: FaceTable,
    unique: Sequence[Face],
    failed_ids: set[str],
    plans: dict[tuple[WorkItem, ...], list[FeatureCache]],
) -> None:
    """Every name of a face counts once: computed now, cached before, or failed."""
    worked = {face.face_id for items in plans for item in items for face in item.faces}
    for face in faces.present:
        if face.face_id in failed_ids:
            summary.num_failed += 1
        elif face.face_id in worked:
            summary.num_computed += 1
        else:
            summary.num_cached += 1


class _Run:
    """One extraction in progress: the network on its device, and the counters."""

    def __init__(
        self,
        images_dir: Path,
        backbone: Backbone,
        options: ExtractOptions,
        faces_total: int,
        seconds: StageSeconds,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.device = choose_device(options.device)
        self.failed_ids: set[str] = set()
        self._images_dir, self._backbone, self._options = images_dir, backbone, options
        self._seconds, self._on_progress = seconds, on_progress
        self._total, self._done = faces_total, 0
        self._network = Network(backbone, self.device)

    def work(self, item: WorkItem, caches: Sequence[FeatureCache]) -> None:
        """Compute one piece of work and seal it in each cache."""
        failed: dict[str, FailedFace] = {}

        def on_failed(face: Face, reason: str) -> None:
            failed[face.face_id] = FailedFace(face.face_id, face.ref.image, face.ref.box, reason)
            self._advance(1)

        decoder = Decoder(
            self._images_dir,
            caches[0].recipe.crop,
            self._options.num_workers or default_workers(),
            self._seconds,
        )
        face_ids: list[str] = []
        parts: dict[str, list[npt.NDArray[np.floating]]] = {c.recipe.layer: [] for c in caches}
        for batch in decoder.batches(item.faces, self._options.batch_size, on_failed):
            features = self._forward(batch)
            for cache in caches:
                recipe = cache.recipe
                parts[recipe.layer].append(features[recipe.layer].astype(recipe.store_dtype))
            face_ids.extend(face.face_id for face in batch.faces)
            self._advance(len(batch.faces))
        self._seal(item, caches, face_ids, parts, failed)
        self.failed_ids.update(failed)

    def _forward(self, batch: Batch) -> dict[str, npt.NDArray[np.float32]]:
        """Features of each layer: [n, D] float32."""
        started = time.perf_counter()
        features = self._network.features(batch.pictures)
        self._seconds.add("network", time.perf_counter() - started)
        num_faces = len(batch.faces)
        return {layer: values[:num_faces] for layer, values in features.items()}

    def _seal(
        self,
        item: WorkItem,
        caches: Sequence[FeatureCache],
        face_ids: Sequence[str],
        parts: dict[str, list[npt.NDArray[np.floating]]],
        failed: dict[str, FailedFace],
    ) -> None:
        started = time.perf_counter()
        by_id = {face.face_id: face for face in item.faces}
        for cache in caches:
            recipe = cache.recipe
            empty = np.empty((0, recipe.width), recipe.store_dtype)
            features = np.concatenate([empty, *parts[recipe.layer]])
            sound = np.isfinite(features).all(axis=1)
            mine = dict(failed)
            for row in np.flatnonzero(~sound).tolist():
                face = by_id[face_ids[row]]
                reason = f"its feature is not finite in {recipe.store_dtype}"
                mine[face.face_id] = FailedFace(face.face_id, face.ref.image, face.ref.box, reason)
                self.failed_ids.add(face.face_id)
            kept = [face_id for face_id, fine in zip(face_ids, sound, strict=True) if fine]
            cache.seal(item, kept, features[sound], tuple(mine.values()))
        self._seconds.add("write", time.perf_counter() - started)

    def _advance(self, num_faces: int) -> None:
        self._done += num_faces
        if self._on_progress is not None:
            self._on_progress(ExtractProgress(self._done, self._total, self._seconds))
