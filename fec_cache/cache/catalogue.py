"""Which caches a folder contains, and which of them a name refers to."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.folders import (
    cache_folders,
    extract_options,
    no_features,
    some_cache_folders,
)
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound
from fec_cache.system.checks import check_type

log = logging.getLogger(__name__)


def find_folders(cache_dir: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The folders of all caches that match one of the names; includes damaged caches.

    Args:
        cache_dir: the folder that holds the caches.
        names: each `BACKBONE`, `BACKBONE:LAYER` or a folder name; without names all caches match.

    Raises:
        CacheNotFound: there is no cache at all.
        CacheMismatch: no cache matches a name.
    """
    folders = some_cache_folders(cache_dir)
    matches: dict[Path, None] = {}
    for name in names:
        matching = [folder for folder in folders if _may_match(folder, name)]
        if not matching:
            listing = ", ".join(folder.name for folder in folders)
            raise CacheMismatch(
                f"{cache_dir} contains {listing}, but not {name}. Choose one of those."
            )
        matches.update(dict.fromkeys(matching))
    return tuple(matches) if names else folders


def open_cache(cache_dir: str | Path, features: str | None = None) -> FeatureCache:
    """Open one cache by name.

    Args:
        cache_dir: the folder that holds the caches.
        features: `BACKBONE`, `BACKBONE:LAYER` or a folder name; None for the only cache.

    Raises:
        BadOption: `features` is not a string.
        CacheNotFound: there is no cache at all.
        CacheMismatch: no cache or several caches match.
        CacheDamaged: a cache that may match cannot be read.

    Example:
        A cache of two faces with D = 3:

        >>> import tempfile
        >>> import numpy as np
        >>> from fec_cache.cache.recipe import FeatureRecipe
        >>> from fec_cache.faces.crop import CropConfig
        >>> mean, std = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
        >>> recipe = FeatureRecipe("toy", "random:0:ab", "avgpool", (3,), CropConfig(), mean, std)
        >>> folder = tempfile.TemporaryDirectory()
        >>> made = FeatureCache.create(Path(folder.name), recipe)
        >>> made.seal("plan", ["0" * 32, "1" * 32], np.eye(2, 3, dtype=np.float16), ())
        >>> with open_cache(folder.name, "toy:avgpool") as cache:
        ...     X, face_ids = cache.features(), cache.face_ids()
        >>> X.tolist(), X.dtype.name, len(face_ids)
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 'float16', 2)
        >>> folder.cleanup()
    """
    if features is not None:
        check_type("features", features, str, "BACKBONE, BACKBONE:LAYER or a folder name")
    return select_cache(Path(cache_dir), features)


def select_cache(
    cache_dir: Path, wanted: str | None = None, by: str = "--features", more: str = ""
) -> FeatureCache:
    """The cache that a name means.

    If several match, empty ones, left by runs that ended early, are ignored.

    Args:
        cache_dir: the folder that holds the caches.
        wanted: `BACKBONE`, `BACKBONE:LAYER` or a folder name; None for the only cache.
        by: the command-line option that names a cache, for error messages.
        more: what else that option accepts, for error messages.

    Raises:
        CacheNotFound: there is no cache at all.
        CacheMismatch: no cache or several caches match.
        CacheDamaged: a cache that may match cannot be read.
    """
    caches = _readable(cache_dir, wanted)
    if not caches:
        raise no_features(cache_dir, wanted)
    matching = [cache for cache in caches if wanted is None or _matches(cache, wanted)]
    if len(matching) > 1:
        matching = [cache for cache in matching if cache.manifest().num_faces] or matching
    if len(matching) == 1:
        return matching[0]
    listing = ", ".join(cache.folder.name for cache in caches)
    if not matching:
        raise CacheMismatch(
            f"{cache_dir} contains {listing}, but not {wanted}. Choose one of those "
            f"with {by}, or run: fec extract {extract_options(wanted or '')}"
        )
    names = ", ".join(cache.folder.name for cache in matching)
    raise CacheMismatch(
        f"{cache_dir} contains several matching caches: {names}. Choose one with {by} NAME{more}."
    )


def cache_of_fingerprint(cache_dir: Path, fingerprint: str) -> FeatureCache:
    """The cache of one exact recipe.

    Raises:
        CacheMismatch: there is no such cache.
    """
    caches = _readable(cache_dir, fingerprint[:8])
    for cache in caches:
        if cache.recipe.fingerprint == fingerprint:
            return cache
    listing = ", ".join(cache.folder.name for cache in caches) or "nothing"
    raise CacheMismatch(
        f"The head was trained on features of recipe {fingerprint[:8]}, but {cache_dir} contains "
        f"{listing}. Give the cache folder that it was trained on with --cache DIR, or train again."
    )


def _readable(cache_dir: Path, wanted: str | None) -> tuple[FeatureCache, ...]:
    """Every readable cache; an unreadable one raises if `wanted` may mean it, else it is logged."""
    caches = []
    for folder in cache_folders(cache_dir):
        try:
            caches.append(FeatureCache.open(folder))
        except (CacheDamaged, CacheNotFound) as error:
            # Never fall back to another cache without saying so: the damaged one may be meant.
            if wanted is None or _may_be_named(folder, wanted):
                raise
            log.warning("%s", error)
    return tuple(caches)


def _may_match(folder: Path, wanted: str) -> bool:
    try:
        return _matches(FeatureCache.open(folder), wanted)
    except (CacheDamaged, CacheNotFound):
        return _may_be_named(folder, wanted)


def _may_be_named(folder: Path, wanted: str) -> bool:
    # The end of a folder name is the start of its fingerprint, by which heads find their cache.
    prefix = wanted.replace(":", "-").replace("/", "-")
    return folder.name.startswith(f"{prefix}-") or folder.name.endswith(prefix)


def _matches(cache: FeatureCache, wanted: str) -> bool:
    recipe = cache.recipe
    names = (recipe.backbone, f"{recipe.backbone}:{recipe.layer}", cache.folder.name)
    return wanted in names
