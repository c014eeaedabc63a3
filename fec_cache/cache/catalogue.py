"""Which caches there are, and the one that is meant."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fec_cache.backbones.registry import split_layer
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import MANIFEST_NAME
from fec_cache.cache.rebuild import SHARDS_NAME
from fec_cache.cache.recipe_file import RECIPE_NAME
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound
from fec_cache.system.atomic import TEMPORARY_PREFIX

log = logging.getLogger(__name__)


def cache_folders(cache_dir: Path) -> tuple[Path, ...]:
    """Every folder that is a cache or was one, by name; damaged ones too."""
    marks = (RECIPE_NAME, MANIFEST_NAME, SHARDS_NAME)
    folders = {path.parent for mark in marks for path in cache_dir.glob(f"*/{mark}")}
    return tuple(sorted(path for path in folders if not path.name.startswith(TEMPORARY_PREFIX)))


def find_folders(cache_dir: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The folders of the caches that are meant, damaged ones too; all where nothing is named.

    Args:
        cache_dir: the folder that holds the caches.
        names: each `BACKBONE`, `BACKBONE:LAYER` or a folder's name; all that answer are meant.

    Raises:
        CacheNotFound: there is no cache at all.
        CacheMismatch: a name that none answers to.
    """
    folders = cache_folders(cache_dir)
    if not folders:
        raise CacheNotFound(f"{cache_dir} holds no features yet. Run: fec extract")
    found: dict[Path, None] = {}
    for name in names:
        matching = [folder for folder in folders if _may_answer(folder, name)]
        if not matching:
            listing = ", ".join(folder.name for folder in folders)
            raise CacheMismatch(
                f"{cache_dir} holds {listing}, but {name} was asked for. Name one of those."
            )
        found.update(dict.fromkeys(matching))
    return tuple(found) if names else folders


def select_cache(
    cache_dir: Path, wanted: str | None = None, by: str = "--features", more: str = ""
) -> FeatureCache:
    """The cache that is meant; an empty one, left by a run that ended early, yields to a full one.

    Args:
        cache_dir: the folder that holds the caches.
        wanted: `BACKBONE`, `BACKBONE:LAYER`, a folder's name, or None for the only one there is.
        by: how a cache is named on the command line, for an error.
        more: what else can be named there.

    Raises:
        CacheNotFound: there is no cache at all.
        CacheMismatch: none or several answer to `wanted`.
        CacheDamaged: a cache that may be the one meant cannot be read.
    """
    caches = _readable(cache_dir, wanted)
    if not caches:
        options = f" {_options(wanted)}" if wanted else ""
        raise CacheNotFound(f"{cache_dir} holds no features yet. Run: fec extract{options}")
    matching = [cache for cache in caches if wanted is None or _answers(cache, wanted)]
    if len(matching) > 1:
        matching = [cache for cache in matching if cache.manifest().num_faces] or matching
    if len(matching) == 1:
        return matching[0]
    listing = ", ".join(cache.folder.name for cache in caches)
    if not matching:
        raise CacheMismatch(
            f"{cache_dir} holds {listing}, but {wanted} was asked for. Name one of those "
            f"with {by}, or run: fec extract {_options(wanted or '')}"
        )
    names = ", ".join(cache.folder.name for cache in matching)
    raise CacheMismatch(
        f"{cache_dir} holds several caches that fit: {names}. Say which with {by} NAME{more}."
    )


def cache_of_fingerprint(cache_dir: Path, fingerprint: str) -> FeatureCache:
    """The cache of exactly one recipe.

    Raises:
        CacheMismatch: there is no such cache.
    """
    caches = _readable(cache_dir, fingerprint[:8])
    for cache in caches:
        if cache.recipe.fingerprint == fingerprint:
            return cache
    listing = ", ".join(cache.folder.name for cache in caches) or "nothing"
    raise CacheMismatch(
        f"The head was trained on features of recipe {fingerprint[:8]}, but {cache_dir} holds "
        f"{listing}. Name the cache folder it was trained on with --cache DIR, or train anew."
    )


def _readable(cache_dir: Path, wanted: str | None) -> tuple[FeatureCache, ...]:
    """Every cache that can be read; one that cannot is passed over only if another is meant."""
    caches = []
    for folder in cache_folders(cache_dir):
        try:
            caches.append(FeatureCache.open(folder))
        except (CacheDamaged, CacheNotFound) as error:
            if wanted is None or _sounds_like(folder, wanted):
                raise
            log.warning("%s", error)
    return tuple(caches)


def _may_answer(folder: Path, wanted: str) -> bool:
    try:
        return _answers(FeatureCache.open(folder), wanted)
    except (CacheDamaged, CacheNotFound):
        return _sounds_like(folder, wanted)


def _sounds_like(folder: Path, wanted: str) -> bool:
    words = wanted.replace(":", "-").replace("/", "-")
    return folder.name.startswith(f"{words}-") or folder.name.endswith(words)


def _answers(cache: FeatureCache, wanted: str) -> bool:
    recipe = cache.recipe
    names = (recipe.backbone, f"{recipe.backbone}:{recipe.layer}", cache.folder.name)
    return wanted in names


def _options(wanted: str) -> str:
    """`BACKBONE:LAYER` as options of `fec extract`."""
    backbone, layer = split_layer(wanted)
    return f"--backbone {backbone}" + (f" --layer {layer}" if layer else "")
