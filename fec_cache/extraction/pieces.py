"""The missing work of several caches -> one list of pieces, each computed in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fec_cache.cache.cache import FeatureCache
from fec_cache.extraction.plan import WorkItem, faces_per_shard, plan_work
from fec_cache.faces.table import Face


@dataclass(frozen=True)
class Piece:
    """One piece of work and the caches that lack it."""

    item: WorkItem
    caches: list[FeatureCache]


def plan_pieces(
    unique: Sequence[Face], caches: Sequence[FeatureCache], max_faces: int
) -> tuple[Piece, ...]:
    """The work that caches lack; what several of them lack is computed in one pass.

    Args:
        unique: all faces in stable order, each `face_id` once.
        caches: one per layer, plain or mirrored.
        max_faces: maximum number of faces per shard; the widest layer may allow fewer.
    """
    shard_faces = min(
        faces_per_shard(cache.recipe.width, np.dtype(cache.recipe.store_dtype).itemsize, max_faces)
        for cache in caches
    )
    plans = []
    for cache in caches:
        stored, failed = cache.stored_and_failed()
        plans.append((plan_work(unique, stored, failed, shard_faces), cache))
    pieces: dict[str, Piece] = {}
    # The cache that lacks most comes first. A kill may have left another one ahead: in the order of
    # the first, both are filled by the same passes.
    for items, cache in sorted(plans, key=lambda plan: -len(plan[0])):
        for item in items:
            pieces.setdefault(item.plan, Piece(item, [])).caches.append(cache)
    return tuple(pieces.values())
