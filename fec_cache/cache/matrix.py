"""Features in memory: one array, and the face that each of its rows belongs to."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.cache.shards import Shard


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of N faces in memory.

    `features` is [N, D] float16 or float32, all finite; `face_ids` names its rows. Of several
    caches side by side, `num_incomplete` faces are in some caches but not in all, and have no row.
    """

    face_ids: tuple[str, ...]
    features: npt.NDArray[np.floating]
    num_incomplete: int = 0

    def rows(self) -> dict[str, int]:
        """`face_id` -> row, 0 <= row < N."""
        return {face_id: row for row, face_id in enumerate(self.face_ids)}


def matrix_of(recipe: FeatureRecipe, shards: Iterable[Shard], max_rows: int) -> FeatureMatrix:
    """Join the rows of shards in their order.

    Args:
        recipe: of the cache the shards belong to.
        shards: each with n face ids and features [n, D] in the recipe's dtype.
        max_rows: upper bound of the number of rows in all shards.
    """
    # Filled shard by shard: concatenating at the end would need the memory twice.
    features = np.empty((max_rows, recipe.width), recipe.store_dtype)
    face_ids: list[str] = []
    for shard in shards:
        if shard.face_ids:
            features[len(face_ids) : len(face_ids) + len(shard.face_ids)] = shard.features
            face_ids.extend(shard.face_ids)
    return FeatureMatrix(tuple(face_ids), features[: len(face_ids)])
