"""Several caches side by side: one matrix whose rows hold each face's features from all caches."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.catalogue import cache_of_fingerprint, select_cache
from fec_cache.cache.matrix import FeatureMatrix
from fec_cache.cache.recipe import FeatureRecipe, blocks_of, label_of
from fec_cache.errors import BadOption, CacheNotFound

_SEVERAL = ", or NAME,NAME for several side by side"
# Rows moved per step: the copy made by fancy indexing stays small beside the matrix.
_ROWS_PER_MOVE = 4096


@dataclass(frozen=True)
class CacheSet:
    """One cache, or several whose features stand side by side in this order."""

    caches: tuple[FeatureCache, ...]

    @property
    def recipes(self) -> tuple[FeatureRecipe, ...]:
        """The recipe of each cache."""
        return tuple(cache.recipe for cache in self.caches)

    @property
    def label(self) -> str:
        """Backbones and layers as the command line names them."""
        return label_of(self.recipes)

    @property
    def names(self) -> str:
        """Comma-separated folder names, as --features takes them."""
        return ",".join(cache.folder.name for cache in self.caches)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Width of each cache's part of a row; empty for a single cache."""
        return blocks_of(self.recipes)

    def load(self, wanted: Collection[str] | None = None) -> FeatureMatrix:
        """Read the features of faces that every cache holds, shard by shard, each byte checked.

        Args:
            wanted: ids of the faces to read; ids without a feature are ignored. None reads all.

        Returns:
            A matrix whose rows are in the order of the first cache, D summed over the caches;
            float16 if all caches are, else float32.

        Raises:
            CacheDamaged: a shard is not what was written.
            CacheNotFound: a cache has no features yet, or no face is in all of them.
        """
        if len(self.caches) == 1:
            return self.caches[0].load(wanted)
        widths = [recipe.width for recipe in self.recipes]
        dtype = np.result_type(*(np.dtype(recipe.store_dtype) for recipe in self.recipes))
        features = np.empty((_max_rows(self.caches[0], wanted), sum(widths)), dtype)
        num_parts = np.zeros(len(features), np.int64)
        row_of: dict[str, int] = {}
        not_in_first: set[str] = set()
        for block, cache in enumerate(self.caches):
            part = features[:, sum(widths[:block]) : sum(widths[: block + 1])]
            for shard in cache.read_shards(wanted):
                if not block:
                    row_of.update((name, len(row_of)) for name in shard.face_ids)
                rows = np.array([row_of.get(name, -1) for name in shard.face_ids], np.int64)
                not_in_first.update(shard.face_ids[row] for row in np.flatnonzero(rows < 0))
                if len(rows):
                    part[rows[rows >= 0]] = shard.features[rows >= 0]
                num_parts[rows[rows >= 0]] += 1
        complete = np.flatnonzero(num_parts == len(widths))
        if wanted is None and not len(complete):
            raise CacheNotFound(
                f"No face is in all of {self.names}. Extract each of them from the same --data."
            )
        num_incomplete = len(row_of) - len(complete) + len(not_in_first)
        face_ids, features = _only_rows(complete, tuple(row_of), features)
        return FeatureMatrix(face_ids, features, num_incomplete)


def _only_rows(
    kept: npt.NDArray[np.int64], face_ids: tuple[str, ...], features: npt.NDArray[np.floating]
) -> tuple[tuple[str, ...], npt.NDArray[np.floating]]:
    """Some rows, ascending, moved to the front of the same array."""
    if len(kept) < len(features):
        for start in range(0, len(kept), _ROWS_PER_MOVE):
            rows = kept[start : start + _ROWS_PER_MOVE]
            features[start : start + len(rows)] = features[rows]
        face_ids = tuple(face_ids[row] for row in kept.tolist())
    return face_ids, features[: len(kept)]


def _max_rows(cache: FeatureCache, wanted: Collection[str] | None) -> int:
    # `load` of an empty cache raises the error that names the command to run.
    num_faces = cache.manifest().num_faces or len(cache.load().face_ids)
    return num_faces if wanted is None else min(num_faces, len(wanted))


def select_caches(cache_dir: Path, wanted: str | None = None) -> CacheSet:
    """The caches that `A` or `A,B,C` names, in this order.

    Args:
        cache_dir: the folder that holds the caches.
        wanted: comma-separated names, each as `select_cache` takes it; None for the only cache.

    Raises:
        BadOption: a name is empty, or two names mean the same cache.
        CacheNotFound: there is no cache at all.
        CacheMismatch: no cache or several caches match one of the names.
    """
    if wanted is None:
        return CacheSet((select_cache(cache_dir, more=_SEVERAL),))
    names = [name.strip() for name in wanted.split(",")]
    if not all(names):
        raise BadOption(f"features is {wanted!r}, but one of its names is empty.")
    caches = [select_cache(cache_dir, name, more=_SEVERAL) for name in names]
    folders = [cache.folder.name for cache in caches]
    for folder in folders:
        if folders.count(folder) > 1:
            raise BadOption(f"features is {wanted!r}, which names {folder} more than once.")
    return CacheSet(tuple(caches))


def caches_of_recipes(cache_dir: Path, recipes: Sequence[FeatureRecipe]) -> CacheSet:
    """The caches of exactly these recipes, in this order.

    Raises:
        CacheMismatch: there is no cache of one of the recipes.
    """
    caches = (cache_of_fingerprint(cache_dir, recipe.fingerprint) for recipe in recipes)
    return CacheSet(tuple(caches))
