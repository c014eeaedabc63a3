"""The expensive stage: faces -> frozen backbone -> cache. It never sees a label."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fec_cache.backbones.base import Backbone
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.views import write_views
from fec_cache.errors import CacheMismatch
from fec_cache.extraction.batches import StageSeconds
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.recipes import recipes_of
from fec_cache.extraction.run import ProgressCallback, Run
from fec_cache.extraction.sharing import SharedWork
from fec_cache.faces.table import Face, FaceTable

log = logging.getLogger(__name__)


@dataclass
class ExtractSummary:
    """What one extraction did. num_faces == num_cached + num_computed + num_failed + num_missing.

    `num_cached` had a feature before, `num_failed` have an unusable picture, `num_missing` have no
    file. `num_same` of the faces are other names of a face that is counted already. `num_faint` of
    the computed ones lost over one part in a hundred to float16. `smallest_cosine` is the result
    of the self-check, None if nothing was computed.
    """

    folders: tuple[Path, ...]
    num_faces: int
    num_missing: int
    num_same: int
    num_cached: int = 0
    num_computed: int = 0
    num_failed: int = 0
    num_faint: int = 0
    num_damaged_shards: int = 0
    duration_s: float = 0.0
    smallest_cosine: float | None = None
    engine: str = ""
    seconds: StageSeconds = field(default_factory=StageSeconds)


def extract(
    faces: FaceTable,
    images_dir: Path,
    backbone: Backbone,
    caches: Sequence[FeatureCache],
    config: ExtractConfig,
    on_progress: ProgressCallback | None = None,
) -> ExtractSummary:
    """Bring caches up to date with a table of faces: start, resume, repair and retry alike.

    Args:
        faces: the faces to be in the caches afterwards.
        images_dir: folder of the images.
        backbone: the network, loaded with the layers of the caches.
        caches: one per layer, plain or mirrored, all of one backbone, crop and precision.
        config: how to extract: device, threads, memory, batch and shard sizes. Which features are
            made is decided by `backbone` and `caches`, not by its fields on features.
        on_progress: called after each batch.

    Raises:
        CacheMismatch: the recipe of a cache does not match the backbone.
        PrecisionLost: the network's features in the caches' precision are wrong.
        StorageFailed: a shard could not be written; all sealed shards are kept.
    """
    started = time.perf_counter()
    _check_recipes(backbone, caches)
    unique = faces.unique()
    summary = _begin(faces, unique, caches)
    summary.num_damaged_shards = sum(_drop_damaged(cache, faces) for cache in caches)
    work = SharedWork(unique, caches, config.shard_faces)
    run = Run(backbone, caches, config, summary.seconds, on_progress)
    with work.rounds() as rounds:
        for pieces in rounds:
            run.work(images_dir, pieces, work.claimed(pieces))
    for cache in caches:
        write_views(cache, faces.missing, faces.present)
        run.record(cache)
    _count(summary, faces, caches, run)
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
        crop = recipe.crop
        ours = recipes_of(
            backbone,
            crop.margin,
            recipe.store_dtype,
            recipe.precision,
            (recipe.flip,),
            crop.decode,
        )
        if recipe not in ours:
            near = next((other for other in ours if other.layer == recipe.layer), ours[0])
            raise CacheMismatch(
                f"{cache.folder} cannot take features of {backbone.name}, weights "
                f"{backbone.weights.source}: {'; '.join(recipe.differences(near))}. "
                "Choose another --cache folder."
            )
        first = caches[0].recipe
        if (recipe.crop, recipe.precision) != (first.crop, first.precision):
            raise CacheMismatch(
                f"{cache.folder} and {caches[0].folder} cannot be filled in one pass: "
                f"{'; '.join(recipe.differences(first))}. Extract them one after the other."
            )


def _drop_damaged(cache: FeatureCache, faces: FaceTable) -> int:
    """Drop damaged shards; returns the number of problems."""
    _, problems = cache.drop_damaged()
    for problem in problems:
        log.warning("%s", problem)
    if problems:
        # Not only at the end: if this run is killed, features.h5 must not show dropped rows.
        write_views(cache, faces.missing, faces.present)
    return len(problems)


def _count(
    summary: ExtractSummary, faces: FaceTable, caches: Sequence[FeatureCache], run: Run
) -> None:
    """Count each name of a face once: as computed here, cached before or by others, or failed."""
    summary.smallest_cosine, summary.num_faint = run.smallest_cosine, run.num_faint
    summary.engine = run.engine
    failed = frozenset().union(*(cache.stored_and_failed()[1] for cache in caches))
    for face in faces.present:
        if face.face_id in failed:
            summary.num_failed += 1
        elif face.face_id in run.worked_ids:
            summary.num_computed += 1
        else:
            summary.num_cached += 1
