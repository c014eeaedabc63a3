"""The work of several caches -> one list of pieces, each computed in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.plan import WorkItem, faces_per_shard, plan_work
from fec_cache.faces.table import Face


@dataclass(frozen=True)
class Piece:
    """One piece of work and the caches that lack it."""

    item: WorkItem
    caches: list[FeatureCache]


def plan_pieces(
    unique: Sequence[Face], caches: Sequence[FeatureCache], wanted: int
) -> tuple[Piece, ...]:
    """The work of all caches; what several of them lack is one pass over the faces.

    Args:
        unique: all faces in stable order, each `face_id` once.
        caches: one per layer.
        wanted: faces in a shard, at most; the widest layer may allow fewer.
    """
    shard_faces = min(
        faces_per_shard(cache.recipe.width, np.dtype(cache.recipe.store_dtype).itemsize, wanted)
        for cache in caches
    )
    plans = []
    for cache in caches:
        stored, failed = cache.standing()
        plans.append((plan_work(unique, stored, failed, shard_faces), cache))
    pieces: dict[str, Piece] = {}
    # The cache that lacks most comes first: its order holds for those a kill left ahead of it.
    for items, cache in sorted(plans, key=lambda plan: -len(plan[0])):
        for item in items:
            pieces.setdefault(item.plan, Piece(item, [])).caches.append(cache)
    return tuple(pieces.values())
