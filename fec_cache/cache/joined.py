"""Several caches side by side: one matrix whose rows hold each face's features of all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.catalogue import cache_of_fingerprint, select_cache
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption, CacheNotFound

_SEVERAL = ", or NAME,NAME for several side by side"
_COPIED_AT_ONCE = 4096


@dataclass(frozen=True)
class JoinedMatrix:
    """Features in memory: `features` [N, D], `face_ids` names its rows.

    `num_incomplete` faces stand in some of the caches but not in all, and so in no row.
    """

    face_ids: tuple[str, ...]
    features: npt.NDArray[np.floating]
    num_incomplete: int = 0

    def rows(self) -> dict[str, int]:
        """`face_id` -> row, 0 <= row < N."""
        return {face_id: row for row, face_id in enumerate(self.face_ids)}


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
        """Backbones and layers in the words of the command line."""
        return label_of(self.recipes)

    @property
    def names(self) -> str:
        """The folders' names, parted by commas: what --features takes."""
        return ",".join(cache.folder.name for cache in self.caches)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Width of each cache's part of a row; empty where there is one cache only."""
        return blocks_of(self.recipes)

    def load(self, wanted: Collection[str] | None = None) -> JoinedMatrix:
        """Read the features of all faces that every cache holds, every byte checked.

        With `wanted` only the faces of these ids, as far as they are there. Rows are in the order
        of the first cache. The store's dtype is kept where the caches agree on it. Beside the
        matrix itself, memory is needed for one shard.

        Raises:
            CacheDamaged: a shard is not what was sealed.
            CacheNotFound: a cache has no features yet, or no face is in all of them.
        """
        if len(self.caches) == 1:
            matrix = self.caches[0].load(wanted)
            return JoinedMatrix(matrix.face_ids, matrix.features)
        widths = [recipe.width for recipe in self.recipes]
        dtype = np.result_type(*(np.dtype(recipe.store_dtype) for recipe in self.recipes))
        most = _num_faces(self.caches[0])
        most = most if wanted is None else min(most, len(wanted))
        features = np.empty((most, sum(widths)), dtype)
        num_parts = np.zeros(len(features), np.int64)
        row_of: dict[str, int] = {}
        elsewhere: set[str] = set()
        for block, cache in enumerate(self.caches):
            part = features[:, sum(widths[:block]) : sum(widths[: block + 1])]
            for shard in cache.parts(wanted):
                if not block:
                    row_of.update((name, len(row_of)) for name in shard.face_ids)
                rows = np.array([row_of.get(name, -1) for name in shard.face_ids], np.int64)
                elsewhere.update(shard.face_ids[place] for place in np.flatnonzero(rows < 0))
                if len(rows):
                    part[rows[rows >= 0]] = shard.features[rows >= 0]
                num_parts[rows[rows >= 0]] += 1
        kept = np.flatnonzero(num_parts == len(widths))
        if wanted is None and not len(kept):
            raise CacheNotFound(
                f"No face is in all of {self.names}. Extract each of them from the same --data."
            )
        return self._complete(features, kept, tuple(row_of), len(elsewhere))

    def _complete(
        self,
        features: npt.NDArray[np.floating],
        kept: npt.NDArray[np.int64],
        face_ids: tuple[str, ...],
        num_elsewhere: int,
    ) -> JoinedMatrix:
        """The rows that every cache filled, moved together in place."""
        num_incomplete = len(face_ids) - len(kept) + num_elsewhere
        if len(kept) < len(features):
            for start in range(0, len(kept), _COPIED_AT_ONCE):
                rows = kept[start : start + _COPIED_AT_ONCE]
                features[start : start + len(rows)] = features[rows]
            face_ids = tuple(face_ids[row] for row in kept.tolist())
        return JoinedMatrix(face_ids, features[: len(kept)], num_incomplete)


def _num_faces(cache: FeatureCache) -> int:
    return cache.manifest().num_faces or len(cache.load().face_ids)  # load raises, and says how


def select_caches(cache_dir: Path, wanted: str | None = None) -> CacheSet:
    """The caches that are meant by `A` or `A,B,C`, each as `select_cache` takes it.

    Raises:
        BadOption: one of them stands there twice, or between two commas stands nothing.
        CacheNotFound: there is no cache at all.
        CacheMismatch: none or several answer to one of the names.
    """
    if wanted is None:
        return CacheSet((select_cache(cache_dir, more=_SEVERAL),))
    names = [name.strip() for name in wanted.split(",")]
    if not all(names):
        raise BadOption(f"features is {wanted!r}, but an empty name stands between the commas.")
    caches = [select_cache(cache_dir, name, more=_SEVERAL) for name in names]
    folders = [cache.folder.name for cache in caches]
    for folder in folders:
        if folders.count(folder) > 1:
            raise BadOption(f"features is {wanted!r}, which names {folder} more than once.")
    return CacheSet(tuple(caches))


def caches_of_recipes(cache_dir: Path, recipes: Sequence[FeatureRecipe]) -> CacheSet:
    """The caches of exactly these recipes, in this order.

    Raises:
        CacheMismatch: one of them is not there.
    """
    found = (cache_of_fingerprint(cache_dir, recipe.fingerprint) for recipe in recipes)
    return CacheSet(tuple(found))


def blocks_of(recipes: Sequence[FeatureRecipe]) -> tuple[int, ...]:
    """Widths of the parts of a joined feature; empty for a single recipe."""
    return tuple(recipe.width for recipe in recipes) if len(recipes) > 1 else ()


def label_of(recipes: Sequence[FeatureRecipe]) -> str:
    """Backbones and layers in the words of the command line, random weights named."""
    return " + ".join(recipe.label for recipe in recipes)
